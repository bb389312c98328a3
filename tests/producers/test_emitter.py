"""The emitter on a real broker: nothing blocks, nothing breaks, nothing is lost without being told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from proventrail.embedded.broker import KafkaBroker, free_port
from proventrail.producers import Dataset, EmitError, Emitter, current_run
from proventrail.producers.identity import EventIds, uuid7
from proventrail.schemas import avro
from proventrail.schemas.openlineage import to_openlineage

from ..conftest import MakeTopic, create_topic

Record = dict[str, Any]


def event(name: str = "j") -> Record:
    return {"source": "test", "time": 1_700_000_000_000_000, "kind": "RUN", "type": "START", "run": {"id": uuid7()},
            "job": {"namespace": "n", "name": name}}  # fmt: skip


def read(bootstrap_servers: str, topic: str, n: int, partitions: int = 1) -> list[tuple[int, Record]]:
    """(partition, record) of the first `n` records of a topic, waiting for them up to a deadline."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "t", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found: list[tuple[int, Record]] = []
    deadline = time.monotonic() + 60
    while len(found) < n:
        assert time.monotonic() < deadline, f"{len(found)} of {n} records came"
        for message in consumer.consume(min(1000, n - len(found)), timeout=1):
            assert message.error() is None
            found.append((message.partition(), avro.decode("lineage_event", message.value())))
    consumer.close()
    return found


@pytest.fixture
def emitter(kafka: KafkaBroker, make_topic: MakeTopic, tmp_path: Path) -> Emitter:
    return Emitter(kafka.bootstrap_servers, topic=make_topic(), spool_dir=tmp_path / "spool", emitter_id="e")


def test_a_run_starts_and_completes(emitter: Emitter, kafka: KafkaBroker) -> None:
    with emitter.run(("n", "train"), inputs=[("s3://b", "in")]) as run:
        assert current_run() is run
        out = run.add_output("s3://b", "out", facets={"x": {"a": 1}})
        run.set_row_count(42)
        run.add_facet("note", {"k": "v"})
        run.add_column_lineage("c", Dataset("s3://b", "in"), "d", transformation="DIRECT:IDENTITY")
        assert out is run.outputs[0]
    assert emitter.close()
    (_, start), (_, end) = read(kafka.bootstrap_servers, emitter.topic, 2)
    assert (start["type"], end["type"]) == ("START", "COMPLETE")
    assert start["run"]["id"] == end["run"]["id"] == run.run_id
    assert [e["emitter"]["sequence"] for e in (start, end)] == [0, 1]
    told = to_openlineage(end)
    assert told["inputs"][0]["name"] == "in"
    assert told["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 42
    assert told["outputs"][0]["facets"]["columnLineage"]["fields"]["c"]["inputFields"][0]["field"] == "d"
    assert told["run"]["facets"]["note"] == {"k": "v"}


def test_an_exception_fails_the_run_and_goes_on(emitter: Emitter, kafka: KafkaBroker) -> None:
    with pytest.raises(ZeroDivisionError), emitter.run(("n", "outer")), emitter.run(("n", "inner")):
        raise ZeroDivisionError("x")
    emitter.close()
    records = [record for _, record in read(kafka.bootstrap_servers, emitter.topic, 4)]
    assert [(r["job"]["name"], r["type"]) for r in records] == [
        ("outer", "START"), ("inner", "START"), ("inner", "FAIL"), ("outer", "FAIL"),
    ]  # fmt: skip
    assert records[1]["parent"]["job_name"] == records[1]["parent"]["root_job_name"] == "outer"
    assert "ZeroDivisionError" in records[2]["run"]["facets"]["errorMessage"]


def test_decorated_functions_are_runs(emitter: Emitter, kafka: KafkaBroker) -> None:
    @emitter.traced(("n", "sync"))
    def double(x: int) -> int:
        return 2 * x

    @emitter.traced()
    async def triple(x: int) -> int:
        await asyncio.sleep(0)
        return 3 * x

    assert double(2) == 4
    assert asyncio.run(triple(2)) == 6
    emitter.close()
    names = [record["job"]["name"] for _, record in read(kafka.bootstrap_servers, emitter.topic, 4)]
    assert names[:2] == ["sync"] * 2
    assert names[2].endswith("triple")


def test_threads_share_one_gapless_count(kafka: KafkaBroker, make_topic: MakeTopic, tmp_path: Path) -> None:
    emitter = Emitter(kafka.bootstrap_servers, topic=make_topic(partitions=3), spool_dir=tmp_path)
    threads = [
        threading.Thread(target=lambda i=i: [emitter.emit(event(f"job-{i}")) for _ in range(500)]) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert emitter.close()
    found = read(kafka.bootstrap_servers, emitter.topic, 4000, 3)
    assert sorted(r["emitter"]["sequence"] for _, r in found) == list(range(4000))
    assert len({r["id"] for _, r in found}) == 4000
    for partition in range(3):
        for job in range(8):
            order = [r["emitter"]["sequence"] for p, r in found if p == partition and r["job"]["name"] == f"job-{job}"]
            assert order == sorted(order)


def test_a_job_lies_where_java_would_put_it(kafka: KafkaBroker, make_topic: MakeTopic, tmp_path: Path) -> None:
    """murmur2 as Java's default partitioner computes it: positive(murmur2(key)) % partitions."""
    emitter = Emitter(kafka.bootstrap_servers, topic=make_topic(partitions=7), spool_dir=tmp_path)
    for i in range(40):
        emitter.emit(event(f"job-{i}"))
    assert emitter.close()
    for partition, record in read(kafka.bootstrap_servers, emitter.topic, 40, 7):
        key = f"n/{record['job']['name']}".encode()
        assert partition == (_murmur2(key) & 0x7FFFFFFF) % 7


def _murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, checked below against its published test vectors."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = data[len(data) // 4 * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@pytest.mark.parametrize(
    ("key", "hashed"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_murmur2_follows_kafkas_vectors(key: str, hashed: int) -> None:
    assert _murmur2(key.encode()) == hashed & 0xFFFFFFFF


def test_events_wait_on_disk_until_the_broker_comes(tmp_path: Path) -> None:
    port = free_port()
    emitter = Emitter(f"127.0.0.1:{port}", topic="t", spool_dir=tmp_path / "s", config={"message.timeout.ms": 1000})
    first = [emitter.emit(event()) for _ in range(50)]
    deadline = time.monotonic() + 20
    while emitter.stats.spooled < 50:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    later = [emitter.emit(event()) for _ in range(50)]
    broker = KafkaBroker(tmp_path / "k", port=port).start()
    create_topic(broker.bootstrap_servers, "t")
    assert emitter.flush(30)
    records = [record for _, record in read(broker.bootstrap_servers, "t", 100)]
    assert {record["id"] for record in records} == {*first, *later}
    sequences = list(dict.fromkeys(record["emitter"]["sequence"] for record in records))
    assert sequences[50:] == list(range(50, 100))
    assert emitter.stats.spool_bytes == 0
    emitter.close()
    broker.stop()


_KILLED = """
import os, signal, sys
from proventrail.producers import Emitter
from proventrail.producers.identity import uuid7
emitter = Emitter("127.0.0.1:1", topic="t", spool_dir=sys.argv[1], emitter_id="killed")
emitter._spooling = True
for i in range(20):
    emitter.emit({"source": "", "time": 1, "kind": "JOB", "job": {"namespace": "n", "name": "j"}})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_spooled_is_sent_by_the_next(
    kafka: KafkaBroker, make_topic: MakeTopic, tmp_path: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    emitter = Emitter(kafka.bootstrap_servers, topic=make_topic(), spool_dir=tmp_path, emitter_id="next")
    emitter.emit(event())
    records = [record for _, record in read(kafka.bootstrap_servers, emitter.topic, 21)]
    killed = [r["emitter"]["sequence"] for r in records if r["emitter"]["id"] == "killed"]
    assert killed == list(range(20))
    emitter.close()
    assert list(tmp_path.iterdir()) == []


_EXITS = """
import sys
from proventrail.producers import Emitter
emitter = Emitter(sys.argv[1], topic=sys.argv[2], spool_dir=sys.argv[3])
for i in range(30):
    emitter.emit({"source": "", "time": 1, "kind": "JOB", "job": {"namespace": "n", "name": "j"}})
"""


def test_the_end_of_the_process_flushes(kafka: KafkaBroker, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic()
    subprocess.run([sys.executable, "-c", _EXITS, kafka.bootstrap_servers, topic, str(tmp_path)], check=True)
    assert len(read(kafka.bootstrap_servers, topic, 30)) == 30


def test_what_is_in_flight_at_the_end_is_on_disk(tmp_path: Path) -> None:
    started = time.monotonic()
    arguments = [sys.executable, "-c", _EXITS, "127.0.0.1:1", "t", str(tmp_path)]
    subprocess.run(arguments, check=True)
    assert time.monotonic() - started < 30
    from proventrail.producers.spool import adopt, unframe

    found = [avro.decode("lineage_event", e.value) for s in adopt(tmp_path, Path()) for e in unframe(s.read_bytes())]
    assert sorted(record["emitter"]["sequence"] for record in found) == list(range(30))


def test_a_forked_child_counts_anew(emitter: Emitter, kafka: KafkaBroker) -> None:
    emitter.emit(event("parent"))
    pid = os.fork()
    if pid == 0:
        emitter.emit(event("child"))
        os._exit(0 if emitter.close() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    emitter.emit(event("parent"))
    assert emitter.close()
    found = [record for _, record in read(kafka.bootstrap_servers, emitter.topic, 3)]
    counts = {(r["job"]["name"], r["emitter"]["epoch"]): [] for r in found}
    for record in found:
        counts[record["job"]["name"], record["emitter"]["epoch"]].append(record["emitter"]["sequence"])
    assert sorted(counts.values()) == [[0], [0, 1]]


def test_a_full_spool_is_counted_and_leaves_a_hole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    emitter = Emitter("127.0.0.1:1", topic="t", spool_dir=tmp_path, spool_max_bytes=400, flush_seconds=0.1)
    emitter._spooling = True
    ids = [emitter.emit(event()) for _ in range(10)]
    kept = [i for i in ids if i]
    assert 0 < len(kept) < 10
    assert emitter.stats.dropped == 10 - len(kept)
    assert emitter._sequence == 10
    assert len([r for r in caplog.records if "dropped" in r.message]) == 1
    emitter.close()


def test_strict_raises_instead(tmp_path: Path) -> None:
    emitter = Emitter("127.0.0.1:1", topic="t", spool_dir=tmp_path, spool_max_bytes=10, strict=True, flush_seconds=0.1)
    emitter._spooling = True
    with pytest.raises(EmitError, match="bound of 10 bytes"):
        emitter.emit(event())
    with pytest.raises(EmitError, match="shape"):
        emitter.emit({"job": 7})
    with pytest.raises(EmitError, match=r"\$\.eventTime"):
        emitter.emit({"eventTime": "secret", "job": {"namespace": "n", "name": "j"}})
    emitter.close()


def test_wrong_events_do_not_break_the_service(emitter: Emitter, caplog: pytest.LogCaptureFixture) -> None:
    for wrong in ({}, {"job": None}, {**event(), "time": "secret-value"}, {"eventTime": "secret-value"}):
        assert emitter.emit(wrong) is None
    assert emitter.stats.rejected == 4
    assert emitter._sequence == 0
    assert "secret-value" not in caplog.text
    emitter.close()


def test_openlineage_events_are_taken_as_they_are(emitter: Emitter, kafka: KafkaBroker) -> None:
    told = {
        "eventTime": "2026-11-24T09:30:00Z",
        "eventType": "START",
        "run": {"runId": "r"},
        "job": {"namespace": "n", "name": "j"},
        "producer": "p",
    }
    assert emitter.emit(told)
    emitter.close()
    [(_, record)] = read(kafka.bootstrap_servers, emitter.topic, 1)
    assert to_openlineage(record) == told


def test_settings_that_could_lose_events_are_refused() -> None:
    with pytest.raises(EmitError, match="acks is fixed"):
        Emitter("h:1", config={"acks": 0})
    with pytest.raises(EmitError, match="name the broker"):
        Emitter("")


def test_event_ids_are_uuids_of_emitter_epoch_and_sequence() -> None:
    import uuid

    ids = EventIds("e", 5)
    found = {uuid.UUID(ids.id_of(n)) for n in (0, 1, 1 << 40)}
    assert {(u.version, u.variant) for u in found} == {(8, uuid.RFC_4122)}
    assert len(found) == 3
    assert ids.id_of(7) == EventIds("e", 5).id_of(7) != EventIds("e", 6).id_of(7)
    assert uuid.UUID(uuid7()).version == 7


def test_the_sdk_brings_no_server_code() -> None:
    code = "import sys, proventrail.producers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "pyarrow",
        "clickhouse_connect",
        "faust",
        "starlette",
        "chdb",
        "click",
        "numpy",
        "orjson",
        "uvicorn",
        "httpx",
    }
    assert not heavy & set(loaded)
