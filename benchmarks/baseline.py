"""What the usual ways of writing such a pipeline reach, measured in the same run: the yardstick of refine.

*Python loop*: for each event fastavro decode, mask one field in a dict, fastavro encode; the output goes to Kafka. Run
in this process, one thread. *Faust*: an agent of faust-streaming that takes each event and sends it on as it is.
"""

from __future__ import annotations

import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import broker
from benchmarks.processes import cpu_seconds
from benchmarks.report import Options, Row
from benchmarks.sender import finish, producer, send
from benchmarks.workloads import REPOSITORY, Kind, Workload, make
from proventrail.schemas import avro

_EVENTS: dict[Kind, tuple[int, int]] = {"compact": (20_000, 6_000), "recorded": (6_000, 2_000)}


def run(options: Options) -> Iterator[Row]:
    """Events per second of both, on one broker."""
    with broker(options.scratch / "baseline-kafka") as servers:
        for kind in options.kinds:
            load = make(kind, options.count(*_EVENTS[kind]))
            rates, costs = [], []
            for _ in range(options.runs):
                used, started = time.process_time(), time.perf_counter()
                _python_loop(servers, load)
                rates.append(len(load) / (time.perf_counter() - started))
                costs.append((time.process_time() - used) * 1e6 / len(load))
            note = "decode, mask, encode by fastavro, produce"
            yield Row("baseline", f"Python loop, {kind}", "events/s", tuple(rates), statistics.median(costs), note=note)
            yield _faust(servers, kind, load, options)


def _python_loop(servers: str, load: Workload) -> None:
    schema = fastavro.parse_schema(json.loads(avro.schema_json("lineage_event")), _force=True)
    client = Producer({"bootstrap.servers": servers, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    for key, value in zip(load.keys, load.values, strict=True):
        event = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, schema)
        assert isinstance(event, dict)
        event["actor"] = None
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, event)
        client.produce("lineage.refined", value[:10] + out.getvalue(), key)
        client.poll(0)
    client.flush(60)


def _faust(servers: str, kind: Kind, load: Workload, options: Options) -> Row:
    source, target = f"faust-in-{kind}", f"faust-out-{kind}"
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([NewTopic(source, 1), NewTopic(target, 1)]).values():
        future.result()
    # aiokafka reads lz4 only with a library that we do not need.
    client = producer(servers, compression="none")
    send(client, load, 0, len(load), topic=source)
    finish(client)
    command = [sys.executable, "-m", "benchmarks.faust_forward", servers, source, target]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BENCH_SCRATCH": str(options.scratch / "faust")}
    log = (options.scratch / f"faust-{kind}.log").open("wb")
    with log:
        worker = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
    try:
        rate, cost = _rate_of(worker, servers, target, len(load))
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    return Row("baseline", f"Faust, {kind}", "events/s", (rate,), cost, note="forwards bytes, from first to last event")


def _rate_of(worker: subprocess.Popen[bytes], servers: str, topic: str, events: int) -> tuple[float, float]:
    """Events/s and CPU time for each, from the first forwarded event to the last."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench-faust", "enable.auto.commit": False})
    at = TopicPartition(topic, 0)
    deadline = time.monotonic() + 180
    started = used = 0.0
    first = 0
    while True:
        done = consumer.get_watermark_offsets(at, timeout=10)[1]
        if done and not started:
            started, used, first = time.perf_counter(), cpu_seconds(worker.pid), done
        if done >= events:
            break
        if worker.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Faust forwarded {done} of {events} events, then ended or took too long: see its log")
        time.sleep(0.02)
    consumer.close()
    counted = max(1, events - first)
    took = max(1e-9, time.perf_counter() - started)
    return counted / took, (cpu_seconds(worker.pid) - used) * 1e6 / counted
