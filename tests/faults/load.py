"""A load whose outcome is known beforehand: good events in any order, twice sent ones, and all kinds of bad ones."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import LINEAGE_EVENTS, MAX_MESSAGE_BYTES, OPENLINEAGE
from proventrail.streaming.admin import TopicIds

Json = dict[str, Any]
Coordinate = tuple[str, int, int]
Edge = tuple[str, str]


@dataclass(frozen=True)
class Record:
    """What is sent: an event's id, or none for what must end as a dead letter."""

    topic: str
    key: bytes
    value: bytes | None
    event_id: str | None


@dataclass
class Outcome:
    """What the store must hold: every acknowledged coordinate, and what follows from the events."""

    records: dict[Coordinate, Record] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    edges: set[Edge] = field(default_factory=set)

    def add(self, other: Outcome) -> None:
        self.records |= other.records
        self.runs |= other.runs
        self.edges |= other.edges


def _pair(rng: random.Random, n: int) -> tuple[list[Json], str, Edge]:
    """START with the input and COMPLETE with the output of one run."""
    run = str(uuid.UUID(int=rng.getrandbits(128)))
    source, target = f"in/{n % 97}", f"out/{n % 89}"
    common: Json = {"source": "load", "kind": "RUN", "job": {"namespace": "load", "name": f"job-{n % 50}"}}
    time = 1_700_000_000_000_000 + n * 1000
    start = {"type": "START", "time": time, "inputs": [{"namespace": "s3://lake", "name": source}]}
    end = {"type": "COMPLETE", "time": time + 500, "outputs": [{"namespace": "s3://lake", "name": target}]}
    events = [
        {**common, **half, "id": str(uuid.UUID(int=rng.getrandbits(128))), "run": {"id": run}} for half in (start, end)
    ]
    return events, run, (source, target)


def _record(event: Json, padding: int = 0) -> Record:
    if padding:
        event = {**event, "job": {**event["job"], "facets": {"note": json.dumps("x" * padding)}}}
    value = avro.encode("lineage_event", {"column_lineage": [], **event})
    return Record(LINEAGE_EVENTS, event["job"]["name"].encode(), value, event["id"])


def _as_json(rng: random.Random, n: int) -> Record:
    event = {
        "eventType": "RUNNING",
        "eventTime": "2026-01-01T00:00:00Z",
        "producer": "https://example.com/load",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(uuid.UUID(int=rng.getrandbits(128)))},
        "job": {"namespace": "json", "name": f"job-{n % 20}"},
    }
    known = from_openlineage(event)
    return Record(OPENLINEAGE, b"json/job", json.dumps(event).encode(), known["id"])


def _bad(rng: random.Random, n: int) -> Record:
    [start, _], _, _ = _pair(rng, n)
    good = _record(start)
    assert good.value is not None
    spoil: list[tuple[str, bytes | None]] = [
        (LINEAGE_EVENTS, b"garbage"),
        (LINEAGE_EVENTS, None),
        (LINEAGE_EVENTS, good.value[: len(good.value) // 2]),
        (LINEAGE_EVENTS, b"\xc3\x01" + bytes(8) + good.value[10:]),
        (LINEAGE_EVENTS, _record({**start, "time": -1}).value),
        (LINEAGE_EVENTS, _record({**start, "run": None}).value),
        (OPENLINEAGE, b"{not json"),
        (OPENLINEAGE, b"[]"),
        (OPENLINEAGE, b'{"eventType": "START"}'),
    ]
    topic, value = spoil[n % len(spoil)]
    return Record(topic, good.key, value, None)


class Load:
    """`runs` runs with a START and a COMPLETE each, shuffled, with repeats, JSON events and bad records among them."""

    def __init__(self, seed: int, runs: int, *, oversize: int = 0) -> None:
        rng = random.Random(seed)
        self.outcome = Outcome()
        records: list[Record] = []
        for n in range(runs):
            events, run, edge = _pair(rng, n)
            records += map(_record, events)
            self.outcome.runs.add(run)
            self.outcome.edges.add(edge)
        records += rng.choices(records, k=len(records) // 20)
        records += [_as_json(rng, n) for n in range(runs // 20)]
        records += [_bad(rng, n) for n in range(runs // 20)]
        for n in range(oversize):
            [start, _], _, _ = _pair(rng, n)
            too_large = _record(start, padding=MAX_MESSAGE_BYTES - 2048)
            records.append(Record(too_large.topic, too_large.key, too_large.value, None))
        rng.shuffle(records)
        self.records = records


class Sender:
    """Sends records idempotently and notes which coordinate each was acknowledged at."""

    def __init__(self, servers: str, outcome: Outcome) -> None:
        self._ids = TopicIds(KafkaSettings(bootstrap_servers=servers))((LINEAGE_EVENTS, OPENLINEAGE))
        self._outcome = outcome
        self._failed: list[KafkaError] = []
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def send(self, records: Iterable[Record]) -> None:
        for record in records:
            while True:
                try:
                    self._producer.produce(record.topic, record.value, record.key, on_delivery=self._note(record))
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)

    def _note(self, record: Record) -> Any:
        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed.append(error)
                return
            coordinate = (self._ids[record.topic], message.partition(), message.offset())
            assert coordinate not in self._outcome.records
            self._outcome.records[coordinate] = record

        return acknowledged

    def finish(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(120) == 0
        assert self._failed == []


def digest(value: bytes | None) -> str:
    return sha256(value or b"").hexdigest()
