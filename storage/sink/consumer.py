"""The sink's loop: Kafka -> chunks -> inserts, with the announcement of each insert committed before it.

One thread polls and commits (so that the group knows we live, however slow the store is), others talk to the store, at
any time one of them with one chunk of a partition. Order per chunk: commit (start, metadata = what is about to be
inserted), insert, and only then move on; the next commit, or an idle one, confirms it. A crash at any point leads to
the same insert again, and the writer leaves out what is stored already.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from itertools import count, groupby
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from proventrail.schemas.registry import RegistryUnavailable
from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.errors import ClickHouseError, describe, is_retriable
from proventrail.storage.sink.partition import SinkPartition
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, PartitionWriter, SinkError, Written
from proventrail.streaming.admin import TopicIds
from proventrail.streaming.consuming import close, committed, ends, membership, rejoining
from proventrail.streaming.errors import NOT_OWNER, POSITION_GONE, is_transient
from proventrail.telemetry import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")
WriterFactory = Callable[[int], PartitionWriter]

_BACK_OFF_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5)


class _Revoked(Exception):
    """The partition went to another sink while the store was away; that one does the insert."""


class Sink:
    """Stores the records of `topics`, each by its own kind of writer, until `stop` is set.

    `member` names this sink in its group: started again under that name, it has its partitions back at once.
    `linger` (seconds; `busy_linger` when there is much to do), `max_rows` and `max_bytes` bound a chunk; `buffer_bytes`
    bounds what waits in memory over all partitions. `threads` write side by side, so the store of the writers must be
    one for threads (`PerThreadStore`). `run` raises SinkError when going on would drop something.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: dict[str, WriterFactory],
        *,
        member: str | None = None,
        linger: float = 0.4,
        busy_linger: float = 1.0,
        max_rows: int = 20_000,
        max_bytes: int = 12 << 20,
        buffer_bytes: int = 24 << 20,
        revoke_seconds: float = 20.0,
        threads: int = 2,
    ) -> None:
        self._topic_ids = TopicIds(kafka)
        self._factories = topics
        self._linger, self._busy_linger = linger, busy_linger
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._buffer_bytes, self._revoke_seconds = buffer_bytes, revoke_seconds
        self._partitions: dict[tuple[str, int], SinkPartition] = {}
        self._work: queue.Queue[tuple[SinkPartition, Chunk | None] | None] = queue.Queue()
        self._threads = threads
        self._failure: BaseException | None = None
        self._joined = False
        self._trouble = ""
        self._idle = threading.Condition()
        self._last_poll = 0.0
        self._paused = False
        self._consumer_config: dict[str, object] = {
            **kafka.client_config(),
            **membership(group, member),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A position that retention has overtaken is a loss: it must be an error, never a silent jump.
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 16_384,
            "fetch.message.max.bytes": 4 << 20,
            "fetch.wait.max.ms": 50,
            "enable.partition.eof": False,
            "statistics.interval.ms": 0,
        }
        self._consumer = Consumer(self._consumer_config, logger=log)

    # -- readiness -----------------------------------------------------------------------------------------------------

    def ready(self) -> tuple[bool, str]:
        """Ready while it polls and the store takes inserts."""
        if not self._joined:
            return False, "waiting for partitions"
        if self._trouble:
            return False, self._trouble
        if time.monotonic() - self._last_poll > 30:
            return False, "has not polled for 30 s"
        return True, f"{len(self._partitions)} partitions"

    # -- polling thread ------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; then write what is in memory, commit, and leave the group."""
        writing = [
            threading.Thread(target=self._write_loop, name=f"sink-writer-{n}", daemon=True)
            for n in range(self._threads)
        ]
        for thread in writing:
            thread.start()
        try:
            rejoining(lambda: self._read(stop), self._join_anew)
        finally:
            for _ in writing:
                self._work.put(None)
            deadline = time.monotonic() + self._revoke_seconds
            for thread in writing:
                thread.join(max(0.0, deadline - time.monotonic()))
            close(self._consumer)

    def _read(self, stop: threading.Event) -> None:
        self._consumer.subscribe(list(self._factories), on_assign=self._assigned, on_revoke=self._revoked)
        next_idle_commit = 0.0
        while not stop.is_set():
            self._poll()
            self._submit_due(time.monotonic())
            if time.monotonic() >= next_idle_commit:
                self._commit_positions()
                self._measure_lag()
                next_idle_commit = time.monotonic() + 1.0
        self._drain()

    def _join_anew(self) -> None:
        """As a sink that was killed: what was announced and not confirmed is written again, and found stored."""
        self._joined = False
        self._release(list(self._partitions.values()))
        self._partitions = {}
        close(self._consumer)
        self._consumer = Consumer(self._consumer_config, logger=log)

    def _poll(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._throttle()
        messages = self._consumer.consume(10_000, timeout=0.05)
        self._last_poll = time.monotonic()
        for (topic, partition, failed), group in groupby(
            messages, key=lambda m: (m.topic(), m.partition(), m.error() is not None)
        ):
            found = list(group)
            if failed:
                for message in found:
                    self._check(message)
                continue
            held = self._partitions.get((topic, partition))
            if held is not None:
                size = sum(map(len, found))
                held.add(found, size)
                metrics.EVENTS_IN.labels("sink").inc(len(found))
                metrics.BYTES_IN.labels("sink").inc(size)

    def _throttle(self) -> None:
        """Hold the reading back while the memory bound is reached: shortly by waiting, then by pausing."""
        waited_until = time.monotonic() + 2.0
        while self.buffered_bytes >= self._buffer_bytes and self._failure is None:
            if time.monotonic() >= waited_until:
                if not self._paused:
                    self._pause(True)
                return
            with self._idle:
                self._idle.wait(0.05)
            self._submit_due(time.monotonic())
        if self._paused and self.buffered_bytes < self._buffer_bytes // 2:
            self._pause(False)

    @property
    def buffered_bytes(self) -> int:
        """What waits in memory to be written, over all partitions."""
        return sum(held.buffered_bytes for held in self._partitions.values())

    def _pause(self, paused: bool) -> None:
        assignment = [TopicPartition(topic, partition) for topic, partition in self._partitions]
        (self._consumer.pause if paused else self._consumer.resume)(assignment)
        self._paused = paused
        metrics.PAUSED_PARTITIONS.labels("sink").set(len(assignment) if paused else 0)

    def _check(self, message: Message) -> None:
        error = message.error()
        if error is None or is_transient(error):
            return
        where = f"{message.topic()}[{message.partition()}]"
        if error.code() in POSITION_GONE:
            raise SinkError(
                f"{where}: the records after the committed offset are gone (retention was shorter than the time the "
                "sink was away, or the topic was made again). `proventrail verify-delivery` lists what is missing; "
                "then reset the sink's consumer group to the earliest offset"
            )
        if error.code() == KafkaError._FATAL:
            raise KafkaException(error)
        raise SinkError(f"{where}: reading failed with {error.name()}")

    def _submit_due(self, now: float) -> None:
        for held in self._partitions.values():
            if held.is_due(now, self._linger, self._busy_linger, self._max_rows, self._max_bytes):
                self._submit(held, now)

    def _submit(self, held: SinkPartition, now: float) -> None:
        if held.pending is not None or self._announce(held):
            self._work.put((held, held.take(now, self._max_rows)))

    def _announce(self, held: SinkPartition) -> bool:
        """Commit what is about to be inserted; False if that must be tried again later."""
        metadata = Pending(held.next_end(self._max_rows), held.writer.marks()).to_metadata()
        try:
            self._consumer.commit(
                offsets=[TopicPartition(held.topic, held.partition, held.position, metadata)], asynchronous=False
            )
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() == KafkaError._FATAL:
                raise
            if cause.code() not in NOT_OWNER and not is_transient(cause):
                raise SinkError(
                    f"{held.topic}[{held.partition}]: announcing an insert failed with {cause.name()}"
                ) from error
            log.warning("announcing an insert failed with %s; trying again", cause.name())
            return False
        held.committed = held.position
        return True

    # -- group membership ----------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        ids = self._topic_ids.awaited(sorted({tp.topic for tp in partitions}))
        for tp in committed(consumer, partitions):
            # Where nothing was committed, the position is the first record that is there.
            start = tp.offset if tp.offset >= 0 else ends(consumer, tp)[0]
            pending = Pending.from_metadata(tp.metadata)
            writer = self._factories[tp.topic](tp.partition)
            held = SinkPartition(tp.topic, ids[tp.topic], tp.partition, start, pending, writer)
            self._partitions[tp.topic, tp.partition] = held
            self._work.put((held, None))
        consumer.incremental_assign(
            [
                TopicPartition(tp.topic, tp.partition, self._partitions[tp.topic, tp.partition].position)
                for tp in partitions
            ]
        )
        self._paused = False
        self._joined = True

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        leaving = [self._partitions.pop((tp.topic, tp.partition), None) for tp in partitions]
        held = [state for state in leaving if state is not None]
        self._release(held)
        self._commit_of(held)
        consumer.incremental_unassign(partitions)

    def _release(self, held: list[SinkPartition]) -> None:
        """Wait until what is being written is written, as long as others can wait."""
        for state in held:
            state.revoked = True
        deadline = time.monotonic() + self._revoke_seconds
        with self._idle:
            while any(state.writing for state in held) and self._failure is None and time.monotonic() < deadline:
                self._idle.wait(0.1)

    def _commit_positions(self) -> None:
        """Confirm inserts that no later announcement has confirmed."""
        self._commit_of([held for held in self._partitions.values() if held.buffered_bytes == 0])

    def _commit_of(self, held: list[SinkPartition]) -> None:
        done = [state for state in held if not state.writing and state.position > state.committed]
        if not done:
            return
        offsets = [TopicPartition(state.topic, state.partition, state.position, "") for state in done]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The announcement stands: whoever comes next replays the last insert and finds it stored.
            log.warning("commit after an insert failed with %s; it will be replayed", error.args[0].name())
            return
        for state in done:
            state.committed = state.position

    def _drain(self) -> None:
        deadline = time.monotonic() + self._revoke_seconds
        while time.monotonic() < deadline and self._failure is None:
            now = time.monotonic()
            for held in self._partitions.values():
                if held.buffered_bytes and held.opened and not held.writing and not held.pending:
                    self._submit(held, now)
            if not any(held.writing for held in self._partitions.values()):
                break
            with self._idle:
                self._idle.wait(0.05)
        self._commit_of(list(self._partitions.values()))
        if self._failure is not None:
            raise self._failure

    def _measure_lag(self) -> None:
        for (topic, partition), held in self._partitions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if high >= 0:
                metrics.LAG.labels("sink", topic, str(partition)).set(max(0, high - held.position))

    # -- writing threads -----------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        try:
            while (item := self._work.get()) is not None:
                held, chunk = item
                try:
                    if chunk is None:
                        self._patiently(held, held.open)
                    else:
                        self._write(held, chunk)
                except _Revoked:
                    held.writing = False
                with self._idle:
                    self._idle.notify_all()
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it
            self._failure = error
            with self._idle:
                self._idle.notify_all()

    def _write(self, held: SinkPartition, chunk: Chunk) -> None:
        started = time.monotonic()
        first_try = held.pending is None
        attempts = 0

        def attempt() -> Written:
            nonlocal attempts
            attempts += 1
            return held.writer.write(chunk, replay=attempts > 1 or not first_try)

        written = self._patiently(held, attempt)
        held.written(chunk)
        self._count(chunk, written, time.monotonic() - started)

    def _patiently(self, held: SinkPartition, action: Callable[[], T]) -> T:
        """Do `action`, again and again while the store or the schema registry is away or busy."""
        for attempt in count():
            try:
                result = action()
            except ClickHouseError as error:
                if not is_retriable(error):
                    raise SinkError(
                        f"{held.topic}[{held.partition}] from {held.position}: {describe(error)}; "
                        "nothing was dropped: mend the store and start the sink again"
                    ) from error
                self._back_off(held, f"the store or Kafka is away ({describe(error)})", attempt)
            except RegistryUnavailable as error:
                self._back_off(held, str(error), attempt)
            else:
                self._trouble = ""
                return result
        raise AssertionError("count() does not end")

    def _back_off(self, held: SinkPartition, reason: str, attempt: int) -> None:
        if held.revoked:
            raise _Revoked
        if self._trouble != reason:
            log.warning("%s; waiting, nothing is lost", reason)
        self._trouble = reason
        time.sleep(_BACK_OFF_SECONDS[min(attempt, len(_BACK_OFF_SECONDS) - 1)])

    def _count(self, chunk: Chunk, written: Written, seconds: float) -> None:
        metrics.EVENTS_OUT.labels("sink").inc(written.events)
        metrics.BYTES_OUT.labels("sink").inc(sum(len(value or b"") for value in chunk.values))
        metrics.BATCH_SECONDS.labels("sink").observe(seconds)
