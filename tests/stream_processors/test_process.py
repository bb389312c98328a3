"""The refine process on a real broker: restarts, topics made again, settings, and stopping rather than losing."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from proventrail.embedded.broker import KafkaBroker
from proventrail.privacy.errors import AnonymiseError
from proventrail.schemas import avro
from proventrail.schemas.registry import RegistryUnavailable
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.wire import confluent_prefix
from proventrail.stream_processors.catalog import Catalog
from proventrail.stream_processors.errors import RefineError
from proventrail.stream_processors.process import RefineProcess
from proventrail.stream_processors.refine import Place, Refine
from proventrail.streaming.admin import TopicIds
from proventrail.streaming.consuming import ends, membership

from ..conftest import MakeTopic, create_topic

Json = dict[str, Any]


def event(i: int) -> bytes:
    return avro.encode(
        "lineage_event",
        {
            "id": str(uuid.UUID(int=i)),
            "source": "",
            "time": 1_700_000_000_000_000,
            "kind": "JOB",
            "job": {"namespace": "n", "name": f"j{i % 7}"},
            "column_lineage": [],
        },
    )


class Bench:
    """Topics of a test, and refine processes over them in threads."""

    def __init__(self, servers: str, make_topic: MakeTopic, partitions: int = 2) -> None:
        self.settings = KafkaSettings(bootstrap_servers=servers)
        self.servers = servers
        names = ("raw", "refined", "dead", "seen")
        self.raw, self.refined, self.dead, self.seen = (make_topic(partitions, n) for n in names)
        self.partitions = partitions
        self.group = f"g-{uuid.uuid4().hex[:8]}"
        self._running: list[tuple[threading.Event, threading.Thread]] = []
        self.processes: list[RefineProcess] = []
        self.failures: list[BaseException] = []

    def process(self, refine: Refine | None = None, **options: Any) -> RefineProcess:
        named = {"refined": self.refined, "dead_letters": self.dead, "observations": self.seen, **options}
        return RefineProcess(
            self.settings, refine or Refine(Catalog()), group=self.group, raw_topics=(self.raw,), **named
        )

    def start(self, **options: Any) -> Callable[[], None]:
        process, stop = self.process(**options), threading.Event()
        self.processes.append(process)

        def run() -> None:
            try:
                process.run(stop)
            except BaseException as error:  # noqa: BLE001 - looked at by the test
                self.failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self._running.append((stop, thread))

        def end() -> None:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

        return end

    def send(self, values: list[bytes | None], partition: int | None = None) -> None:
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True})
        for i, value in enumerate(values):
            producer.produce(self.raw, value, b"k", partition=i % self.partitions if partition is None else partition)
        assert producer.flush(30) == 0

    def read(self, topic: str, schema: str, n: int) -> list[Json]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "t", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(self.partitions)])
        found: list[Json] = []
        deadline = time.monotonic() + 60
        while len(found) < n:
            assert time.monotonic() < deadline, f"{len(found)} of {n} records came to {topic}; {self.failures}"
            messages = consumer.consume(n - len(found), timeout=1)
            found += [{"partition": m.partition(), **avro.decode(schema, m.value())} for m in messages]
        consumer.close()
        return found

    def coordinates(self, n: int) -> set[tuple[int, int]]:
        """Raw partition and offset of refined events, when there are `n`; a worker that left may have left repeats."""
        deadline, found = time.monotonic() + 60, n
        while True:
            rows = self.read(self.refined, "refined_event", found)
            distinct = {(row["raw_partition"], row["raw_offset"]) for row in rows}
            if len(distinct) >= n:
                return distinct
            assert time.monotonic() < deadline
            found = len(rows) + 1

    def count(self, topic: str) -> int:
        """How many records the topic has now."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "t"})
        found = [ends(consumer, TopicPartition(topic, p)) for p in range(self.partitions)]
        consumer.close()
        return sum(high - low for low, high in found)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, ([process.ready() for process in self.processes], self.failures)
            time.sleep(0.02)

    def keys(self, topic: str) -> list[bytes]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "t", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(self.partitions)])
        n = self.count(topic)
        found = [message.key() for message in consumer.consume(n, timeout=60)]
        consumer.close()
        return found

    def end(self) -> None:
        for stop, _ in self._running:
            stop.set()
        for _, thread in self._running:
            thread.join(60)


@pytest.fixture
def bench(kafka: KafkaBroker, make_topic: MakeTopic) -> Iterator[Bench]:
    bench = Bench(kafka.bootstrap_servers, make_topic)
    yield bench
    bench.end()


def test_partition_and_order_are_kept_and_garbage_is_set_aside(bench: Bench) -> None:
    bench.send([event(i) if i % 5 else b"garbage" for i in range(200)])
    bench.start()
    refined = bench.read(bench.refined, "refined_event", 160)
    dead = bench.read(bench.dead, "dead_letter", 40)
    for rows in (refined, dead):
        assert all(row["partition"] == row["raw_partition"] for row in rows)
        for partition in range(2):
            offsets = [row["raw_offset"] for row in rows if row["partition"] == partition]
            assert offsets == sorted(offsets)
    assert len({(r["raw_partition"], r["raw_offset"]) for r in [*refined, *dead]}) == 200


def test_a_restart_goes_on_where_it_was(bench: Bench) -> None:
    bench.send([event(i) for i in range(100)])
    end = bench.start()
    bench.read(bench.refined, "refined_event", 100)
    end()
    bench.send([event(i) for i in range(100, 150)])
    bench.start()
    rows = bench.read(bench.refined, "refined_event", 150)
    assert len({(row["raw_partition"], row["raw_offset"]) for row in rows}) == 150
    assert not bench.failures


def test_two_workers_share_the_partitions(bench: Bench) -> None:
    first, _ = bench.start(), bench.start()
    for i in range(10):
        bench.send([event(100 * i + n) for n in range(100)])
        if i == 5:
            first()
    assert len(bench.coordinates(1000)) == 1000
    assert not bench.failures


@pytest.mark.parametrize("again", [30, 300])
def test_a_topic_made_again_is_read_from_its_start(bench: Bench, again: int) -> None:
    bench.send([event(i) for i in range(100)])
    bench.start()
    first = bench.read(bench.refined, "refined_event", 100)
    admin = AdminClient({"bootstrap.servers": bench.servers})
    admin.delete_topics([bench.raw])[bench.raw].result()
    time.sleep(2)
    create_topic(bench.servers, bench.raw, bench.partitions)
    bench.send([event(i) for i in range(1000, 1000 + again)])
    rows = bench.read(bench.refined, "refined_event", 100 + again)
    assert len({row["raw_topic_id"] for row in rows}) == 2
    made_again = [row for row in rows if row["raw_topic_id"] != first[0]["raw_topic_id"]]
    assert len({row["event_id"] for row in made_again}) == again
    assert not bench.failures


def test_no_record_of_a_topic_made_again_at_once_goes_under_the_id_of_the_old_one(bench: Bench) -> None:
    """Each time with more records than before, so that the position of the old topic is one of the new one too."""
    bench.start()
    admin = AdminClient({"bootstrap.servers": bench.servers})
    accepted: set[tuple[str, int, int]] = set()
    for n in (100, 400, 1600, 3000):
        [topic_id] = TopicIds(bench.settings)([bench.raw]).values()
        bench.send([event(i) for i in range(n)])
        accepted |= {(topic_id, i % bench.partitions, i // bench.partitions) for i in range(n)}
        bench.read(bench.refined, "refined_event", len(accepted))
        admin.delete_topics([bench.raw])[bench.raw].result()
        create_topic(bench.servers, bench.raw, bench.partitions)
    rows = bench.read(bench.refined, "refined_event", bench.count(bench.refined))
    assert {(str(row["raw_topic_id"]), row["raw_partition"], row["raw_offset"]) for row in rows} == accepted
    assert not bench.failures


def test_a_commit_of_a_topic_that_is_gone_is_not_taken_for_one_of_its_namesake(bench: Bench) -> None:
    end = bench.start()
    bench.send([event(i) for i in range(100)])
    bench.read(bench.refined, "refined_event", 100)
    end()
    group = Consumer({"bootstrap.servers": bench.servers, "group.id": bench.group})
    commits = group.committed([TopicPartition(bench.raw, p) for p in range(bench.partitions)], timeout=30)
    assert [commit.offset for commit in commits] == [50, 50]
    admin = AdminClient({"bootstrap.servers": bench.servers})
    admin.delete_topics([bench.raw])[bench.raw].result()
    create_topic(bench.servers, bench.raw, bench.partitions)
    bench.send([event(i) for i in range(300)])
    # As of a worker that was killed just when it committed what it had read of the old topic.
    group.commit(offsets=commits, asynchronous=False)
    group.close()
    bench.start()
    [topic_id] = TopicIds(bench.settings)([bench.raw]).values()
    rows = bench.read(bench.refined, "refined_event", 400)
    assert sum(str(row["raw_topic_id"]) == topic_id for row in rows) == 300
    assert not bench.failures


def _take_the_place_of(bench: Bench, member: str) -> None:
    """Join the group under the name of another worker, and be gone."""
    config = {"bootstrap.servers": bench.servers, "partition.assignment.strategy": "cooperative-sticky"}
    ghost = Consumer({**config, **membership(bench.group, member)})
    ghost.subscribe([bench.raw])
    bench.wait(lambda: ghost.poll(0.1) is None and bool(ghost.assignment()))
    ghost.close()


def test_a_worker_that_the_group_has_fenced_once_joins_it_anew(bench: Bench) -> None:
    end = bench.start(member="m")
    bench.send([event(i) for i in range(100)])
    assert len(bench.coordinates(100)) == 100
    _take_the_place_of(bench, "m")
    bench.send([event(i) for i in range(100, 200)])
    assert len(bench.coordinates(200)) == 200
    assert not bench.failures
    _take_the_place_of(bench, "m")
    bench.wait(lambda: bool(bench.failures))
    assert isinstance(bench.failures[0], KafkaException), "twice within a minute: there are two of that name"
    end()


def test_records_that_expired_unread_are_recorded(bench: Bench) -> None:
    bench.send([event(i) for i in range(10)], partition=0)
    end = bench.start()
    bench.read(bench.refined, "refined_event", 10)
    end()
    bench.send([event(i) for i in range(10, 30)], partition=0)
    admin = AdminClient({"bootstrap.servers": bench.servers})
    [future] = admin.delete_records([TopicPartition(bench.raw, 0, 25)]).values()
    future.result()
    bench.start()
    rows = bench.read(bench.refined, "refined_event", 15)
    assert [row["raw_offset"] for row in rows] == [*range(10), *range(25, 30)]
    [letter] = bench.read(bench.dead, "dead_letter", 1)
    assert (letter["reason"], letter["raw_offset"]) == ("expired", 10)
    assert "records 10 to 24 were removed" in letter["message"]


def test_without_a_place_for_dead_letters_it_stops_and_commits_nothing(bench: Bench) -> None:
    bench.send([event(0), b"garbage"], partition=0)
    bench.start(dead_letters="no-such-topic", producer_config={"topic.metadata.propagation.max.ms": 100})
    deadline = time.monotonic() + 60
    while not bench.failures:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert isinstance(bench.failures[0], RefineError)
    assert "nothing was committed" in str(bench.failures[0])
    bench.failures.clear()
    bench.start()
    assert [letter["raw_offset"] for letter in bench.read(bench.dead, "dead_letter", 1)] == [1]


@pytest.mark.parametrize(
    "unsafe",
    [
        {"consumer_config": {"enable.auto.commit": True}},
        {"consumer_config": {"auto.offset.reset": "latest"}},
        {"consumer_config": {"isolation.level": "read_uncommitted"}},
        {"producer_config": {"enable.idempotence": False}},
        {"producer_config": {"acks": "1"}},
    ],
)
def test_settings_that_can_lose_events_are_refused(bench: Bench, unsafe: Json) -> None:
    with pytest.raises(RefineError, match="can lose events"):
        bench.process(**unsafe)


def test_events_wait_for_a_schema_registry_that_is_away(bench: Bench) -> None:
    """Not one is refused; a second worker joins meanwhile, and all are refined once it is back."""
    away = threading.Event()
    away.set()

    def resolve(schema_id: int) -> str:
        if away.is_set():
            raise RegistryUnavailable("away")
        return avro.schema_json("lineage_event")

    by_id = confluent_prefix(7)
    values = [by_id + event(i)[10:] if i % 3 else event(i) for i in range(100)]
    bench.send([*values, b"garbage", b"garbage"])
    for _ in range(2):
        bench.start(refine=Refine(Catalog(), resolver=resolve))
        bench.wait(lambda: all(process.ready() == (False, "away") for process in bench.processes))
    time.sleep(2.5)
    assert bench.count(bench.dead) == bench.count(bench.refined) == 0
    away.clear()
    rows = bench.read(bench.refined, "refined_event", 100)
    letters = bench.read(bench.dead, "dead_letter", 2)
    assert len({(row["raw_partition"], row["raw_offset"]) for row in [*rows, *letters]}) == 102
    assert {letter["reason"] for letter in letters} == {"unknown-framing"}
    bench.wait(lambda: all(process.ready()[0] for process in bench.processes))
    assert not bench.failures


def test_a_batch_that_cannot_be_anonymised_stops_refine_and_nothing_of_it_is_written(bench: Bench) -> None:
    def away(refined: pa.RecordBatch) -> pa.RecordBatch:
        raise AnonymiseError("the vault is away")

    bench.send([event(0), b"garbage", event(1)], partition=0)
    process = bench.process(refine=Refine(Catalog(), away))
    with pytest.raises(RefineError, match=r"\[0\] from offset 0: the vault is away"):
        process.run(threading.Event())
    bench.start()
    # What is there now was written by the second process: it began where the first one had stopped.
    rows = bench.read(bench.refined, "refined_event", 2)
    assert [row["raw_offset"] for row in rows] == [0, 2]
    assert len(bench.read(bench.dead, "dead_letter", 1)) == 1
    for topic, n in ((bench.refined, 2), (bench.dead, 1)):
        assert bench.count(topic) == n


def test_keys_are_those_of_the_refined_names_and_of_protected_dead_letters(bench: Bench) -> None:
    def protect(data: bytes | None, place: Place) -> bytes | None:
        return None if data is None else f"{place.part} {place.offset}".encode()

    bench.send([event(0), b"garbage"], partition=0)
    bench.start(refine=Refine(Catalog(), protect=protect))
    bench.read(bench.refined, "refined_event", 1)
    [letter] = bench.read(bench.dead, "dead_letter", 1)
    assert (letter["key"], letter["value"]) == (b"key 1", b"value 1")
    assert bench.keys(bench.refined) == [b"n/j0"]
    assert bench.keys(bench.dead) == [b"key 1"]
