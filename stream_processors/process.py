"""The refine process: raw topics -> refine -> refined, dead-letter and observation topics, exactly in that order.

Offsets are committed only after everything that a batch led to was acknowledged. While the brokers take one batch, the
next is being refined. A crash or a rebalance replays from the commit; the sink recognises repeats by their raw
coordinates, because a replay gives the same bytes in the same order.
"""

from __future__ import annotations

import logging
import threading
import time
from itertools import groupby
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from proventrail.privacy.errors import AnonymiseError
from proventrail.privacy.vault import VaultError
from proventrail.schemas import avro
from proventrail.schemas.registry import RegistryUnavailable
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import DEADLETTER, OBSERVATIONS, RAW_TOPICS, REFINED
from proventrail.stream_processors import clients
from proventrail.stream_processors.errors import RefineError
from proventrail.stream_processors.output import Output
from proventrail.stream_processors.refine import Refine, Refined
from proventrail.stream_processors.steps.batch import RawBatch
from proventrail.streaming.admin import TopicIds
from proventrail.streaming.consuming import close, committed, ends, rejoining, reposition
from proventrail.streaming.errors import NOT_OWNER, POSITION_GONE, TOPIC_GONE, is_transient
from proventrail.telemetry import metrics

log = logging.getLogger(__name__)

_STAGE = "refine"
_AGAIN_SECONDS = 1.0
"""How long a batch waits for what it cannot be refined without, before it is tried again."""
# A batch of one partition costs 5 ms of CPU time before its first event: when there is much to do, a longer wait for
# more of it saves what it costs; a few events go on at once.
_IDLE_SECONDS = 0.05
_BUSY_SECONDS = 0.2
_BUSY_RECORDS = 500
# Large events make batches of fewer records: what a batch takes in memory is some ten times its bytes.
_BATCH_BYTES = 10 << 20
_FIRST_RECORDS = 1000

Where = tuple[str, int]


class RefineProcess:
    """Runs `refine` over the raw topics until stopped.

    `member` names this worker in its group: started again under that name, it has its partitions back at once.
    `consumer_config` and `producer_config` take librdkafka's names; settings that can lose events are refused.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        refine: Refine,
        *,
        group: str = "proventrail-refine",
        member: str | None = None,
        raw_topics: tuple[str, ...] = RAW_TOPICS,
        refined: str = REFINED,
        dead_letters: str = DEADLETTER,
        observations: str = OBSERVATIONS,
        batch_records: int = 10_000,
        drain_seconds: float = 20.0,
        before_batch: Any = None,
        consumer_config: dict[str, Any] | None = None,
        producer_config: dict[str, Any] | None = None,
    ) -> None:
        self._refine = refine
        self._topics = raw_topics
        self._batch_records, self._drain_seconds = batch_records, drain_seconds
        self._before_batch = before_batch or (lambda: None)
        self._topic_ids = TopicIds(kafka)
        self._ids: dict[str, str] = {}
        self._positions: dict[Where, int] = {}
        self._in_flight: dict[Where, int] = {}
        self._commit_failed = False
        self._newest: dict[Where, int] = {}
        self._trouble = "not started"
        self._last_poll = 0.0
        self._gather_seconds = _IDLE_SECONDS
        self._next_records = min(batch_records, _FIRST_RECORDS)
        self._stop = threading.Event()
        self._consumer_config = clients.consumer_config(kafka, group, member, consumer_config or {})
        self._consumer = Consumer(self._consumer_config, logger=log)
        producing = clients.producer_config(kafka, producer_config or {})
        self._output = Output(producing, refined, dead_letters, observations)

    def ready(self) -> tuple[bool, str]:
        """Ready while it has joined the group, polls, and the brokers take what it produces."""
        if self._trouble:
            return False, self._trouble
        if time.monotonic() - self._last_poll > 30:
            return False, "has not polled for 30 s"
        return True, f"{len(self._positions)} partitions"

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`; then finish what is in flight and leave the group. Raises RefineError, KafkaException."""
        self._stop = stop
        rejoining(lambda: self._work(stop), self._join_anew)

    def _join_anew(self) -> None:
        """As a worker that was killed: what was not committed is refined again."""
        self._positions, self._in_flight = {}, {}
        self._consumer = Consumer(self._consumer_config, logger=log)

    def _work(self, stop: threading.Event) -> None:
        self._trouble = "waiting for partitions"
        self._consumer.subscribe(list(self._topics), on_assign=self._assigned, on_revoke=self._revoked)
        try:
            next_lag = 0.0
            while not stop.is_set():
                self._before_batch()
                self._step()
                if time.monotonic() >= next_lag:
                    self._measure_lag()
                    next_lag = time.monotonic() + 1.0
            self._settle(time.monotonic() + self._drain_seconds)
        finally:
            close(self._consumer)

    # -- one batch -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        messages = self._consumer.consume(self._next_records, timeout=self._gather_seconds)
        self._gather_seconds = _BUSY_SECONDS if len(messages) >= _BUSY_RECORDS else _IDLE_SECONDS
        self._next_records = _fitting(messages, self._next_records, self._batch_records)
        self._last_poll = started = time.monotonic()
        if not messages:
            self._settle()
            return
        try:
            # Asked after they were read: so they are of the topic that has, or had, this id.
            if self._topics_changed():
                return
        except KafkaException as error:
            if not is_transient(error.args[0]):
                raise
            self._hold_back(messages, f"the brokers do not tell the ids of the topics ({error.args[0].name()})")
            return
        try:
            work = [self._refined_group(where, group) for where, group in _by_partition(messages)]
        except RegistryUnavailable as error:
            self._hold_back(messages, str(error))
            return
        if any(work):
            self._trouble = ""
        self._settle()
        for done in work:
            # While it waited, a partition may have gone to another worker, which refines the batch again.
            if done is not None and done[0] in self._positions:
                self._produce(*done)
        metrics.BATCH_SECONDS.labels(_STAGE).observe(time.monotonic() - started)

    def _hold_back(self, messages: list[Message], reason: str) -> None:
        """What these records are can't be told now: they are read again, a little later."""
        self._settle()
        if self._trouble != reason:
            log.warning("%s; waiting, nothing is refined or refused meanwhile", reason)
        self._trouble = reason
        first: dict[Where, int] = {}
        for message in messages:
            if message.error() is None:
                first.setdefault(_where(message), message.offset())
        for where, offset in first.items():
            if where in self._positions:
                self._positions[where] = offset
                reposition(self._consumer, TopicPartition(*where, offset))
        self._stop.wait(_AGAIN_SECONDS)

    def _refined_group(self, where: Where, messages: list[Message]) -> tuple[Where, RawBatch, Refined] | None:
        failed = [message for message in messages if message.error() is not None]
        if failed:
            for message in failed:
                self._handle(where, message.error())
            messages = [message for message in messages if message.error() is None]
        if not messages or where not in self._positions:
            return None
        raw = RawBatch(
            topic=where[0],
            topic_id=self._ids[where[0]],
            partition=where[1],
            offsets=[m.offset() for m in messages],
            times=[m.timestamp()[1] for m in messages],
            keys=[m.key() for m in messages],
            values=[m.value() for m in messages],
        )
        try:
            refined = self._refine(raw)
        except (AnonymiseError, VaultError) as error:
            raise RefineError(f"{where[0]}[{where[1]}] from offset {raw.offsets[0]}: {error}") from None
        metrics.EVENTS_IN.labels(_STAGE).inc(len(raw))
        metrics.BYTES_IN.labels(_STAGE).inc(sum(len(value or b"") for value in raw.values))
        return where, raw, refined

    def _produce(self, where: Where, raw: RawBatch, refined: Refined) -> None:
        self._output.produce(raw.partition, refined)
        self._in_flight[where] = self._positions[where] = raw.offsets[-1] + 1
        if refined.newest_event_micros is not None:
            newest = max(self._newest.get(where, 0), refined.newest_event_micros)
            self._newest[where] = newest
            metrics.WATERMARK.labels(_STAGE, str(where[1])).set(newest / 1e6)
        for item in refined.reasons:
            metrics.DEAD_LETTERS.labels(_STAGE, item.reason).inc()
        metrics.EVENTS_OUT.labels(_STAGE).inc(len(refined.values))
        metrics.BYTES_OUT.labels(_STAGE).inc(sum(map(len, refined.values)))

    def _settle(self, deadline: float | None = None) -> None:
        """Wait until all that was produced is acknowledged, then commit. Beyond `deadline` it is left to a replay."""
        if not self._in_flight:
            return
        limit, paused = deadline, False
        while not self._output.acknowledged(0.5):
            self._trouble = "the brokers do not take what refine produces; waiting"
            if limit is None and self._stop.is_set():
                limit = time.monotonic() + self._drain_seconds
            if limit is not None and time.monotonic() > limit:
                log.warning("stopped with a batch in flight: it will be refined again, and recognised")
                return
            if deadline is None:
                self._poll_paused()
                paused = True
        if paused:
            self._consumer.resume(self._consumer.assignment())
            metrics.PAUSED_PARTITIONS.labels(_STAGE).set(0)
        self._trouble = ""
        self._commit()

    def _poll_paused(self) -> None:
        """Read nothing and stay in the group, however long the brokers take. Never from a callback of the group."""
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        metrics.PAUSED_PARTITIONS.labels(_STAGE).set(len(assigned))
        message = self._consumer.poll(0)
        self._last_poll = time.monotonic()
        # A partition that came just now may give a record or an error: it is read, and told of, again later.
        if message is not None and _where(message) in self._positions:
            offset = self._positions[_where(message)] if message.error() else message.offset()
            reposition(self._consumer, TopicPartition(message.topic(), message.partition(), offset))

    def _commit(self) -> None:
        # While it waited, the partitions may have been revoked, and committed on that occasion.
        if not self._in_flight:
            return
        # The id goes with the position: after a topic of the same name, it would be a position of another one.
        offsets = [TopicPartition(t, p, offset, self._ids[t]) for (t, p), offset in self._in_flight.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            code = error.args[0]
            if code.code() not in NOT_OWNER | TOPIC_GONE and not is_transient(code):
                raise
            # Partitions that stay are committed next time; those that go are refined again elsewhere.
            if not self._commit_failed:
                log.warning("commit failed with %s: trying again; what is refined again is recognised", code.name())
            self._commit_failed = True
            return
        self._in_flight, self._commit_failed = {}, False

    # -- topics and groups ---------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if partitions:
            # The id of a topic that is known already is renewed by `_topics_changed` alone, with all that follows.
            self._ids |= self._topic_ids.awaited(sorted({tp.topic for tp in partitions} - self._ids.keys()))
            starts = [self._start(tp) for tp in committed(consumer, partitions)]
            for tp in starts:
                self._positions[tp.topic, tp.partition] = max(0, tp.offset)
            consumer.incremental_assign(starts)
        self._trouble = ""

    def _start(self, committed: TopicPartition) -> TopicPartition:
        """Where to go on: after the commit, unless that was of a topic of the same name which is gone."""
        topic, offset, topic_id = committed.topic, committed.offset, committed.metadata
        if offset >= 0 and topic_id and topic_id != self._ids.get(topic):
            log.warning("%s[%d] was deleted and made again: reading it from its start", topic, committed.partition)
            offset = -1
        return TopicPartition(topic, committed.partition, offset if offset >= 0 else OFFSET_BEGINNING)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._settle(time.monotonic() + self._drain_seconds)
        for tp in partitions:
            self._positions.pop((tp.topic, tp.partition), None)
            self._in_flight.pop((tp.topic, tp.partition), None)
        consumer.incremental_unassign(partitions)

    def _topics_changed(self) -> bool:
        """Whether a topic was made again; its partitions then start from the beginning, under its new id.

        Raises KafkaException if the brokers do not tell.
        """
        now = self._topic_ids.existing(sorted(self._ids), 4.0)
        changed = {topic for topic, topic_id in now.items() if topic_id != self._ids[topic]}
        if not changed:
            return False
        log.warning("topics %s were deleted and made again: reading them from their start", sorted(changed))
        self._settle()
        self._ids |= now
        for topic, partition in [where for where in self._positions if where[0] in changed]:
            self._positions[topic, partition] = 0
            self._in_flight.pop((topic, partition), None)
            reposition(self._consumer, TopicPartition(topic, partition, 0))
        return True

    def _handle(self, where: Where, error: KafkaError | None) -> None:
        if error is None or is_transient(error) or error.code() in TOPIC_GONE:
            return
        if error.code() == KafkaError._FATAL:
            raise KafkaException(error)
        if error.code() not in POSITION_GONE:
            raise RefineError(f"{where[0]}[{where[1]}]: reading failed with {error.name()}")
        if where in self._positions and not self._topics_changed():
            self._skip_expired(where)

    def _skip_expired(self, where: Where) -> None:
        """Records that retention removed before they were read are a loss: it is recorded, and reading goes on."""
        topic, partition = where
        position = self._positions[where]
        low, high = ends(self._consumer, TopicPartition(topic, partition))
        if position > high:
            raise RefineError(
                f"{topic}[{partition}]: the position {position} lies behind the end {high}: the topic has lost records "
                "(an unclean leader election?). Restore it, or reset the group proventrail-refine to the end"
            )
        if position < low:
            log.error(
                "%s[%d]: records %d..%d were removed by retention before they were read", *where, position, low - 1
            )
            self._record_loss(where, position, low)
        self._positions[where] = max(position, low)
        reposition(self._consumer, TopicPartition(topic, partition, self._positions[where]))

    def _record_loss(self, where: Where, first: int, end: int) -> None:
        letter = {
            "raw_topic_id": self._ids[where[0]],
            "raw_topic": where[0],
            "raw_partition": where[1],
            "raw_offset": first,
            "received_at": 0,
            "reason": "expired",
            "stage": "read",
            "path": "",
            "message": f"records {first} to {end - 1} were removed by retention before they were read: "
            "give the topic a longer retention",
            "key": None,
            "value": None,
        }
        metrics.DEAD_LETTERS.labels(_STAGE, "expired").inc(end - first)
        self._settle()
        self._output.dead_letter(where[1], avro.encode("dead_letter", letter, self._refine.framing))
        self._in_flight[where] = end
        self._settle()

    def _measure_lag(self) -> None:
        for (topic, partition), position in self._positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if high >= 0:
                metrics.LAG.labels(_STAGE, topic, str(partition)).set(max(0, high - position))


def _by_partition(messages: list[Message]) -> list[tuple[Where, list[Message]]]:
    """The messages of each partition in their order, in one group, however the fetches were interleaved."""
    groups: dict[Where, list[Message]] = {}
    for where, run in groupby(messages, key=_where):
        groups.setdefault(where, []).extend(run)
    return list(groups.items())


def _fitting(messages: list[Message], now: int, most: int) -> int:
    """How many records to ask for next, so that a batch has about `_BATCH_BYTES`; as many as `now` after none."""
    size = sum(map(len, messages))
    return max(1, min(most, _BATCH_BYTES * len(messages) // size)) if size else now


def _where(message: Message) -> Where:
    return message.topic(), message.partition()
