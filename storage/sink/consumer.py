"""The sink's loop: Kafka -> chunks -> inserts, with the announcement of each insert committed before it.

Two threads: this one polls (so that the group knows we live, however slow the store is), the other writes one chunk
at a time. Order per chunk: commit (start, metadata = what is about to be inserted), insert, and only then move on;
the next commit, or an idle one, confirms it. A crash at any point leads to the same insert again, and the writer
leaves out what is stored already.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from itertools import groupby

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.errors import ClickHouseError, describe, is_retriable
from proventrail.storage.sink.partition import SinkPartition
from proventrail.storage.sink.progress import Pending
from proventrail.storage.sink.writer import Chunk, PartitionWriter, SinkError, Written
from proventrail.streaming.admin import topic_ids
from proventrail.telemetry import metrics

log = logging.getLogger(__name__)

WriterFactory = Callable[[int], PartitionWriter]

_NOT_OWNER = {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS}
_TRANSIENT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
}
_BACK_OFF_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5)


class _Revoked(Exception):
    """The partition of a chunk went to another sink before its insert began; that one does it."""


class Sink:
    """Stores the records of `topics`, each by its own kind of writer, until `stop` is set.

    `linger` (seconds), `max_rows` and `max_bytes` bound a chunk; `buffer_bytes` bounds what waits in memory over all
    partitions. `run` raises SinkError when going on would drop something.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topics: dict[str, WriterFactory],
        *,
        linger: float = 0.4,
        max_rows: int = 40_000,
        max_bytes: int = 16 << 20,
        buffer_bytes: int = 48 << 20,
        revoke_seconds: float = 20.0,
    ) -> None:
        self._kafka = kafka
        self._factories = topics
        self._linger, self._max_rows, self._max_bytes = linger, max_rows, max_bytes
        self._buffer_bytes, self._revoke_seconds = buffer_bytes, revoke_seconds
        self._partitions: dict[tuple[str, int], SinkPartition] = {}
        self._work: queue.Queue[tuple[SinkPartition, Chunk] | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._trouble = "not started"
        self._idle = threading.Condition()
        self._last_poll = 0.0
        self._paused = False
        self._consumer = Consumer(
            {
                **kafka.client_config(),
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # A position that retention has overtaken is a loss: it must be an error, never a silent jump.
                "auto.offset.reset": "error",
                "partition.assignment.strategy": "cooperative-sticky",
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": 32_768,
                "fetch.message.max.bytes": 4 << 20,
                "fetch.wait.max.ms": 50,
                "enable.partition.eof": False,
                "statistics.interval.ms": 0,
            },
            logger=log,
        )

    # -- readiness -----------------------------------------------------------------------------------------------------

    def ready(self) -> tuple[bool, str]:
        """Ready while it polls and the store takes inserts."""
        if self._trouble:
            return False, self._trouble
        if time.monotonic() - self._last_poll > 30:
            return False, "has not polled for 30 s"
        return True, f"{len(self._partitions)} partitions"

    # -- polling thread ------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; then write what is in memory, commit, and leave the group."""
        writer = threading.Thread(target=self._write_loop, name="sink-writer", daemon=True)
        writer.start()
        try:
            self._consumer.subscribe(list(self._factories), on_assign=self._assigned, on_revoke=self._revoked)
            self._trouble = "waiting for partitions"
            next_idle_commit = 0.0
            while not stop.is_set():
                self._poll()
                self._submit_due(time.monotonic())
                if time.monotonic() >= next_idle_commit:
                    self._commit_positions()
                    self._measure_lag()
                    next_idle_commit = time.monotonic() + 1.0
            self._drain()
        finally:
            self._work.put(None)
            writer.join(self._revoke_seconds)
            self._consumer.close()

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
        while self._buffered() >= self._buffer_bytes and self._failure is None:
            if time.monotonic() >= waited_until:
                if not self._paused:
                    self._pause(True)
                return
            with self._idle:
                self._idle.wait(0.05)
            self._submit_due(time.monotonic())
        if self._paused and self._buffered() < self._buffer_bytes // 2:
            self._pause(False)

    def _buffered(self) -> int:
        return sum(held.buffered_bytes for held in self._partitions.values())

    def _pause(self, paused: bool) -> None:
        assignment = [TopicPartition(topic, partition) for topic, partition in self._partitions]
        (self._consumer.pause if paused else self._consumer.resume)(assignment)
        self._paused = paused
        metrics.PAUSED_PARTITIONS.labels("sink").set(len(assignment) if paused else 0)

    def _check(self, message: Message) -> None:
        error = message.error()
        code = error.code()
        if code in _TRANSIENT or error.retriable():
            return
        where = f"{message.topic()}[{message.partition()}]"
        if code == KafkaError._AUTO_OFFSET_RESET:
            raise SinkError(
                f"{where}: the records after the committed offset are gone (retention was shorter than the time the "
                "sink was away, or the topic was made again). `proventrail verify-delivery` lists what is missing; "
                "then reset the sink's consumer group to the earliest offset"
            )
        raise SinkError(f"{where}: reading failed with {error.name()}")

    def _submit_due(self, now: float) -> None:
        for held in self._partitions.values():
            if held.is_due(now, self._linger, self._max_rows, self._max_bytes):
                self._work.put((held, held.take(now, self._max_rows)))

    # -- group membership ----------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        ids = topic_ids(self._kafka, sorted({tp.topic for tp in partitions}))
        for tp in consumer.committed(partitions, timeout=30):
            if tp.error is not None:
                raise KafkaException(tp.error)
            start = tp.offset if tp.offset >= 0 else OFFSET_BEGINNING
            low = consumer.get_watermark_offsets(tp, timeout=30)[0] if start < 0 else start
            pending = Pending.from_metadata(tp.metadata)
            writer = self._factories[tp.topic](tp.partition)
            self._partitions[tp.topic, tp.partition] = SinkPartition(
                tp.topic, ids[tp.topic], tp.partition, low, pending, writer
            )
        consumer.incremental_assign(
            [
                TopicPartition(tp.topic, tp.partition, self._partitions[tp.topic, tp.partition].position)
                for tp in partitions
            ]
        )
        self._paused = False
        self._trouble = ""

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        leaving = [self._partitions.pop((tp.topic, tp.partition), None) for tp in partitions]
        held = [state for state in leaving if state is not None]
        for state in held:
            state.revoked = True
        self._wait_written(held, time.monotonic() + self._revoke_seconds)
        self._commit_of(held)
        consumer.incremental_unassign(partitions)

    def _wait_written(self, held: list[SinkPartition], deadline: float) -> None:
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
                if held.buffered_bytes and not held.writing and not held.pending:
                    self._work.put((held, held.take(now, self._max_rows)))
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

    # -- writing thread ------------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        try:
            while (item := self._work.get()) is not None:
                held, chunk = item
                try:
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
        replay = held.pending is not None
        attempt = 0
        announced = False
        while True:
            try:
                if not held.opened:
                    held.writer.open(held.pending)
                    held.opened = True
                if not announced:
                    self._announce(held, chunk)
                    announced = True
                written = held.writer.write(chunk, replay=replay)
                break
            except ClickHouseError as error:
                if not is_retriable(error):
                    raise SinkError(
                        f"{chunk.topic}[{chunk.partition}] {chunk.start}..{chunk.end}: {describe(error)}; "
                        "nothing was dropped: mend the store and start the sink again"
                    ) from error
                replay = True
                self._back_off(held, describe(error), attempt)
                attempt += 1
        self._trouble = ""
        held.written(chunk)
        self._count(chunk, written, time.monotonic() - started)

    def _announce(self, held: SinkPartition, chunk: Chunk) -> None:
        if held.revoked:
            raise _Revoked
        if held.pending:
            return
        metadata = Pending(chunk.end, held.writer.marks()).to_metadata()
        offset = TopicPartition(chunk.topic, chunk.partition, chunk.start, metadata)
        for attempt in range(60):
            try:
                self._consumer.commit(offsets=[offset], asynchronous=False)
            except KafkaException as error:
                code = error.args[0].code()
                if held.revoked or code in _NOT_OWNER:
                    raise _Revoked from error
                if code not in _TRANSIENT and not error.args[0].retriable():
                    raise SinkError(
                        f"{chunk.topic}[{chunk.partition}]: announcing an insert failed with {error.args[0].name()}"
                    ) from error
                self._back_off(held, f"commit failed with {error.args[0].name()}", attempt)
            else:
                held.committed = chunk.start
                return
        raise SinkError(f"{chunk.topic}[{chunk.partition}]: Kafka has not taken a commit for minutes")

    def _back_off(self, held: SinkPartition, reason: str, attempt: int) -> None:
        if held.revoked:
            raise _Revoked
        if self._trouble != reason:
            log.warning("the store or Kafka is away (%s); waiting, nothing is lost", reason)
        self._trouble = reason
        time.sleep(_BACK_OFF_SECONDS[min(attempt, len(_BACK_OFF_SECONDS) - 1)])

    def _count(self, chunk: Chunk, written: Written, seconds: float) -> None:
        metrics.EVENTS_OUT.labels("sink").inc(written.events)
        metrics.BYTES_OUT.labels("sink").inc(sum(len(value or b"") for value in chunk.values))
        metrics.BATCH_SECONDS.labels("sink").observe(seconds)
