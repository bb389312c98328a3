"""The emitter: events from any service to Kafka, without ever blocking or breaking the service.

`emit` numbers and encodes an event and hands it to librdkafka's queue. While the broker is away, or that queue is full,
events go to the spool on disk instead, and all later ones behind them; a thread sends them when the broker is back.
Delivery is at least once; every delivery of an event has its id, by which the pipeline stores it once.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pydantic import ValidationError

from proventrail.producers.framing import LearnedFraming
from proventrail.producers.identity import EventIds, default_emitter_id
from proventrail.producers.runs import RunApi
from proventrail.producers.spool import Spool, Spooled, SpoolFull, adopt, unframe
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage, job_key
from proventrail.schemas.registry import RegistryError, SchemaRegistry
from proventrail.schemas.settings import SchemaRegistrySettings
from proventrail.schemas.verdict import lenient
from proventrail.schemas.wire import CodecError

log = logging.getLogger("proventrail.producers")

_TOPIC = "lineage.events"
_LOG_SECONDS = 10.0
_AWAY = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE}


class EmitError(Exception):
    """An event was not taken; raised only by `strict` emitters, and for wrong settings."""


@dataclass(frozen=True)
class Stats:
    """Counts of events since the emitter (or the fork) began; `spool_bytes` is what waits on disk now."""

    emitted: int = 0
    acknowledged: int = 0
    spooled: int = 0
    rejected: int = 0
    dropped: int = 0
    spool_bytes: int = 0


def _default_spool_dir() -> Path:
    named = os.environ.get("PROVENTRAIL_SPOOL_DIR")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(named) if named else Path(base) / "proventrail" / "spool"


def _registry_settings(url: str | None) -> SchemaRegistrySettings | None:
    try:
        settings = SchemaRegistrySettings.from_environment(url)
        if settings is not None:
            # What is missing or wrong here is said at once; nothing is asked yet.
            SchemaRegistry(settings).close()
    except ValidationError as error:
        raise EmitError(error.errors(include_input=False, include_url=False)[0]["msg"]) from None
    except RegistryError as error:
        raise EmitError(str(error)) from None
    return settings


class Emitter(RunApi):
    """Emits lineage events. Safe to use from threads, coroutines and after fork.

    `bootstrap_servers` falls back to PROVENTRAIL_BOOTSTRAP_SERVERS, `spool_dir` to PROVENTRAIL_SPOOL_DIR,
    `schema_registry_url` to PROVENTRAIL_SCHEMA_REGISTRY_URL (none: Avro single objects). With
    `strict`, `emit` raises EmitError where it would otherwise count, log and go on. `config` goes to librdkafka as it
    is; settings that would lose or reorder events are refused. `flush_seconds` bounds what `close` (and the end of the
    process) waits for the broker; what is not acknowledged by then is in the spool.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        topic: str = _TOPIC,
        source: str = "",
        actor: str | None = None,
        emitter_id: str | None = None,
        spool_dir: Path | str | None = None,
        spool_max_bytes: int = 256 << 20,
        strict: bool = False,
        flush_seconds: float = 5.0,
        schema_registry_url: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        servers = bootstrap_servers or os.environ.get("PROVENTRAIL_BOOTSTRAP_SERVERS")
        if not servers:
            raise EmitError("name the broker: Emitter(bootstrap_servers=…) or PROVENTRAIL_BOOTSTRAP_SERVERS")
        for name in ("enable.idempotence", "acks", "partitioner"):
            if name in (config or {}):
                raise EmitError(f"{name} is fixed: another value could lose events, or scatter those of one job")
        self._registry = _registry_settings(schema_registry_url)
        self.topic = topic
        self.source, self.actor = source, actor
        self._given_id = emitter_id
        self._spool_root = Path(spool_dir) if spool_dir is not None else _default_spool_dir()
        self._spool_max_bytes = spool_max_bytes
        self._strict = strict
        self._flush_seconds = flush_seconds
        self._config = {
            # What matters is said by the emitter, once, and not by the client, each second.
            "log_level": 2,
            "linger.ms": 10,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 65_536,
            "message.max.bytes": 12 << 20,
            "message.timeout.ms": 30_000,
            **(config or {}),
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
        }
        self._begin()
        _emitters.add(self)

    def _begin(self) -> None:
        """Start with an epoch, a spool and a connection of its own."""
        self.emitter_id = self._given_id or default_emitter_id()
        self.epoch = time.time_ns() // 1000
        self._ids = EventIds(self.emitter_id, self.epoch)
        self._sequence = 0
        self._lock = threading.RLock()
        self._stats = Stats()
        self._spool: Spool | None = None
        self._spooling = False
        self._logged = 0.0
        self._closing = threading.Event()
        self._framing = LearnedFraming(self._registry, self.topic, self._closing) if self._registry else None
        self._producer: Producer | None = None
        self._thread: threading.Thread | None = None

    # -- emitting ------------------------------------------------------------------------------------------------------

    def emit(self, event: dict[str, Any]) -> str | None:
        """Emit a record of `lineage_event`, or an OpenLineage event as a dict; its event id, None if it was not taken.

        Returns at once; never raises unless the emitter is `strict` (EmitError).
        """
        try:
            record = self._record(event)
            key = job_key(record)
        except (EmitError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._refused("rejected", f"an event has not the shape of one ({_told(error)})", error)
            return None
        with self._lock:
            return self._send(record, key)

    def _record(self, event: dict[str, Any]) -> dict[str, Any]:
        if "eventTime" not in event:
            return {**event}
        problems = lenient(event)
        if problems:
            raise EmitError(f"{problems[0].path} {problems[0].reason}")
        return from_openlineage(event)

    def _send(self, record: dict[str, Any], key: bytes) -> str | None:
        sequence = self._sequence
        record["emitter"] = {"id": self.emitter_id, "epoch": self.epoch, "sequence": sequence}
        identity: str = record.setdefault("id", "") or self._ids.id_of(sequence)
        record["id"] = identity
        if self.actor is not None and record.get("actor") is None:
            record["actor"] = self.actor
        try:
            framing = self._framing.current if self._framing else avro.SINGLE_OBJECT
            value = avro.encode("lineage_event", record, framing)
        except CodecError as error:
            self._refused("rejected", str(error), error)
            return None
        # From here on the number is used: if the event does not arrive, the hole in the count proves it.
        self._sequence += 1
        self._count(emitted=1)
        if self._thread is None:
            self._connect()
        if not self._spooling:
            assert self._producer is not None
            try:
                self._producer.produce(self.topic, value, key, on_delivery=self._delivered)
                return identity
            except BufferError:
                self._spooling = True
            except KafkaException as error:
                self._refused("dropped", f"the client refused an event: {error.args[0].name()}", error)
                return None
        return identity if self._to_spool(Spooled(key, value)) else None

    def _to_spool(self, event: Spooled) -> bool:
        try:
            if self._spool is None:
                self._spool = Spool(self._spool_root, self._spool_max_bytes)
            self._spool.append(event)
        except (SpoolFull, OSError) as error:
            self._refused("dropped", str(error), error)
            return False
        self._spooling = True
        self._count(spooled=1)
        return True

    def _count(self, **changes: int) -> None:
        with self._lock:
            s = self._stats
            self._stats = replace(s, **{name: getattr(s, name) + more for name, more in changes.items()})

    def _refused(self, what: str, reason: str, error: BaseException) -> None:
        self._count(**{what: 1})
        if self._strict:
            raise EmitError(reason) from error
        if time.monotonic() - self._logged > _LOG_SECONDS:
            self._logged = time.monotonic()
            log.error("lineage event %s: %s (%d so far)", what, reason, getattr(self._stats, what))

    @property
    def stats(self) -> Stats:
        """What became of the events so far."""
        with self._lock:
            return replace(self._stats, spool_bytes=self._spool.bytes if self._spool else 0)

    # -- the connection ------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._producer = Producer({**self._config, "error_cb": self._error}, logger=log)
        if self._framing is not None:
            self._framing.learn()
        self._thread = threading.Thread(target=self._tend, name="proventrail-emitter", daemon=True)
        self._thread.start()

    def _error(self, error: KafkaError) -> None:
        if error.code() in _AWAY:
            with self._lock:
                if not self._spooling:
                    log.warning("the broker is away: lineage events wait in %s", self._spool_root)
                self._spooling = True

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._count(acknowledged=1)
        elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._count(rejected=1)
            log.error("a lineage event is larger than the broker takes; it is not kept")
        else:
            with self._lock:
                event = Spooled(message.key() or b"", message.value() or b"")
                try:
                    self._to_spool(event)
                except EmitError:
                    log.error("a lineage event that the broker did not take could not be spooled either")

    def _tend(self) -> None:
        """The thread: serves delivery reports, and drains spools while a broker answers."""
        producer = self._producer
        assert producer is not None
        next_try = 0.0
        adopted = False
        while not self._closing.is_set():
            producer.poll(0.1)
            if time.monotonic() < next_try or not (self._spooling or not adopted):
                continue
            next_try = time.monotonic() + 1.0
            if not self._answers(producer, 1.0):
                continue
            adopted = adopted or self._adopt(producer)
            self._drain(producer)

    def _answers(self, producer: Producer, timeout: float) -> bool:
        try:
            return bool(producer.list_topics(self.topic, timeout=timeout).brokers)
        except KafkaException:
            return False

    def _resend(self, producer: Producer, segment: Path) -> bool:
        """Produce a segment's events; whether the broker has them all."""
        failures: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                self._count(acknowledged=1)

        for event in unframe(segment.read_bytes()):
            while not self._closing.is_set():
                try:
                    producer.produce(self.topic, event.value, event.key or None, on_delivery=on_delivery)
                    break
                except BufferError:
                    producer.poll(0.05)
        left = producer.flush(self._flush_seconds)
        return not left and not failures and not self._closing.is_set()

    def _drain(self, producer: Producer) -> None:
        """Send what is spooled, oldest first; when nothing is left, events go straight to the broker again."""
        while not self._closing.is_set():
            with self._lock:
                if self._spool is None:
                    self._spooling = False
                    return
                segments = self._spool.segments()
                if not segments:
                    self._spool.seal()
                    segments = self._spool.segments()
                if not segments:
                    self._spooling = False
                    log.info("the broker has all lineage events that waited")
                    return
            if not self._resend(producer, segments[0]):
                return
            with self._lock:
                self._spool.drained(segments[0])

    def _adopt(self, producer: Producer) -> bool:
        """Send what processes that have ended left behind."""
        own = self._spool.folder if self._spool else Path()
        for segment in adopt(self._spool_root, own):
            if not self._resend(producer, segment):
                return False
            segment.unlink()
        return True

    # -- ending --------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the broker has everything, the spool included; False if it has not after `timeout` seconds."""
        deadline = time.monotonic() + (self._flush_seconds if timeout is None else timeout)
        while self._producer is not None:
            self._producer.flush(max(0.0, min(0.2, deadline - time.monotonic())))
            with self._lock:
                if not len(self._producer) and not self._spooling:
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    async def flush_async(self, timeout: float | None = None) -> bool:
        """`flush` without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Flush, and spool what the broker has not acknowledged by then; whether it has everything."""
        if self._producer is None or self._closing.is_set():
            return True
        done = self.flush(timeout)
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2)
        if not done:
            # Reports of purged events bring them to the spool, in their order.
            self._producer.purge()
            self._producer.flush(1)
        with self._lock:
            if self._spool is not None:
                self._spool.close()
                self._spool = None
        return done

    def __enter__(self) -> Emitter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()


def _after_fork() -> None:
    """A child shares neither connection nor count nor spool with its parent."""
    for emitter in list(_emitters):
        if emitter._producer is not None:
            # Its threads did not come along: to destroy it would crash, so it is never destroyed here.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(emitter._producer))
        emitter._begin()


def _at_exit() -> None:
    for emitter in list(_emitters):
        emitter.close()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_after_fork)
atexit.register(_at_exit)


def _told(error: BaseException) -> str:
    """What may be said of an error: our own text, else only its type."""
    return str(error) if isinstance(error, EmitError) else type(error).__name__
