"""HTTP intake: events/s of one gateway with a real broker, all on this machine.

`python benchmarks/bench_intake.py [--seconds S] [--runs N] [--workers N] [--only TEXT]` prints a table of medians:
single events and batches, plain and gzip, compact events (400 bytes) and events with facets (2.3 KB). A rate counts
events that the gateway acknowledged, that is, events that are on the topic. The load generator is a process of its own
and shares the cores. The last column, CPU time of the gateway for each event, depends least on what else the machine
does.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import multiprocessing
import resource
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import orjson
import uvloop

from proventrail.embedded.broker import KafkaBroker, free_port
from proventrail.gateway import GatewaySettings, run_gateway
from proventrail.gateway.auth import read_token
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import topic_specs
from proventrail.streaming.admin import ensure_topics

BATCH = 500
JOBS = 100
_SPAWN = multiprocessing.get_context("spawn")


def compact_event(n: int) -> dict[str, Any]:
    """About 400 bytes of JSON, each with its own run id and one of 100 jobs."""
    return {
        "eventTime": "2026-11-24T09:30:00.123Z",
        "eventType": "START",
        "run": {"runId": f"0190f0aa-0000-7000-8000-{n:012d}"},
        "job": {"namespace": "bench", "name": f"job-{n % JOBS}"},
        "inputs": [{"namespace": "s3://bucket", "name": f"raw/{n % JOBS}"}],
        "outputs": [{"namespace": "postgres://db:5432", "name": f"shop.public.t{n % JOBS}"}],
        "producer": "https://example.org/bench",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def facet_event(n: int) -> dict[str, Any]:
    """About 2.6 KB of JSON: schema, SQL, parent and column lineage facets."""
    facet = {
        "_producer": "https://example.org/bench",
        "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/F.json",
    }
    event = compact_event(n)
    event["run"]["facets"] = {
        "parent": {**facet, "run": {"runId": "0190f0aa-0000-7000-8000-0"}, "job": {"namespace": "b", "name": "p"}}
    }
    event["job"]["facets"] = {"sql": {**facet, "query": "SELECT a, b FROM t WHERE c > 1 " * 8}}
    fields = [{"name": f"column_{i}", "type": "VARCHAR"} for i in range(8)]
    for dataset in event["inputs"] + event["outputs"]:
        dataset["facets"] = {"schema": {**facet, "fields": fields}}
    source = [{"namespace": "s3://bucket", "name": f"raw/{n % JOBS}", "field": "column_0"}]
    lineage = {f"column_{i}": {"inputFields": source} for i in range(4)}
    event["outputs"][0]["facets"]["columnLineage"] = {**facet, "fields": lineage}
    return event


def _request(path: str, token: str, body: bytes, *, compress: bool) -> bytes:
    if compress:
        body = gzip.compress(body, 3)
    encoding = "Content-Encoding: gzip\r\n" if compress else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\n{encoding}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the last one was answered."""

    def __init__(self, requests: list[bytes], start: int, accepted: bytes) -> None:
        self._requests, self._next, self._accepted = requests, start, accepted
        self.answered = 0
        self.refused = 0
        self.stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def _send(self) -> None:
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        if data.startswith(self._accepted):
            self.answered += 1
        else:
            self.refused += 1
        if self.stopping:
            self._transport.close()
        else:
            self._send()


def _load(port: int, requests: list[bytes], connections: int, seconds: float, accepted: bytes, to: Connection) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        spacing = max(1, len(requests) // connections)
        made = [
            (await loop.create_connection(partial(_Connection, requests, i * spacing, accepted), "127.0.0.1", port))[1]
            for i in range(connections)
        ]
        await asyncio.sleep(0.5)
        before, started = sum(c.answered for c in made), time.perf_counter()
        await asyncio.sleep(seconds)
        done, took = sum(c.answered for c in made) - before, time.perf_counter() - started
        for connection in made:
            connection.stopping = True
        await asyncio.sleep(0.2)
        to.send((done / took, sum(c.answered for c in made), sum(c.refused for c in made)))

    uvloop.run(main())


def _serve(settings: GatewaySettings, to: Connection) -> None:
    run_gateway(settings)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    to.send((sum(u.ru_utime + u.ru_stime for u in used), max(u.ru_maxrss for u in used)))


def _until_ready(port: int) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
            return
        except OSError:
            time.sleep(0.1)


def _cpu_seconds(port: int) -> float:
    """CPU time of all processes of the gateway."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("process_cpu_seconds_total{"))


def _measure(
    port: int, requests: list[bytes], connections: int, seconds: float, accepted: bytes
) -> tuple[float, int, int]:
    """Requests/s in the middle of the run; requests accepted and refused in all of it."""
    here, there = _SPAWN.Pipe()
    load: BaseProcess = _SPAWN.Process(target=_load, args=(port, requests, connections, seconds, accepted, there))
    load.start()
    rate, answered, refused = here.recv()
    load.join()
    return rate, answered, refused


def _cases(token: str) -> list[tuple[str, list[bytes], int, int, bytes]]:
    """Name, requests, events in each, connections, start of the answer that counts."""
    found = []
    kinds: list[tuple[str, Callable[[int], dict[str, Any]]]] = [("compact", compact_event), ("facets", facet_event)]
    for kind, make in kinds:
        events = [make(n) for n in range(BATCH * 8)]
        size = len(orjson.dumps(events[0]))
        for compress in (False, True):
            form = "gzip" if compress else "plain"
            one = [_request("/api/v1/lineage", token, orjson.dumps(e), compress=compress) for e in events]
            many = [
                _request("/api/v1/lineage/batch", token, orjson.dumps(events[i : i + BATCH]), compress=compress)
                for i in range(0, len(events), BATCH)
            ]
            found.append((f"single, {kind} ({size} bytes), {form}", one, 1, 64, b"HTTP/1.1 201"))
            found.append((f"batch of {BATCH}, {kind} ({size} bytes), {form}", many, BATCH, 8, b"HTTP/1.1 204"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = KafkaBroker(Path(folder) / "kafka").start()
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        ensure_topics(kafka, topic_specs())
        here, there = _SPAWN.Pipe()
        port = free_port()
        data_dir = Path(folder) / "data"
        settings = GatewaySettings(kafka=kafka, data_dir=data_dir, port=port, workers=arguments.workers)
        server = _SPAWN.Process(target=_serve, args=(settings, there))
        server.start()
        _until_ready(port)
        token = read_token(data_dir)
        print(f"{'case':<45} {'events/s':>9} {'CPU/event':>11}  runs")
        for name, requests, events, connections, accepted in _cases(token):
            if arguments.only not in name:
                continue
            rates, costs, refused = [], [], 0
            for _ in range(arguments.runs):
                before = _cpu_seconds(port)
                rate, answered, not_accepted = _measure(port, requests, connections, arguments.seconds, accepted)
                rates.append(rate * events)
                costs.append((_cpu_seconds(port) - before) * 1e6 / (answered * events))
                refused += not_accepted
            runs = " ".join(f"{rate:,.0f}" for rate in sorted(rates))
            note = f"  {refused} refused" if refused else ""
            print(f"{name:<45} {statistics.median(rates):>9,.0f} {statistics.median(costs):>8.0f} us  {runs}{note}")
        server.terminate()
        seconds, kilobytes = here.recv()
        print(f"gateway: {seconds:.1f} s of CPU in all, {kilobytes / 1024:.0f} MB in its largest process")
        server.join()
        broker.stop()


if __name__ == "__main__":
    main()
