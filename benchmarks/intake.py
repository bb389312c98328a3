"""HTTP intake: events/s of one gateway with a real broker, all on this machine.

Single events and batches, plain and gzip, compact events (400 bytes) and events with facets (2.3 KB). A rate counts
events that the gateway acknowledged, that is, events that are on the topic. The load generator is a process of its own
and shares the cores; the CPU time is the gateway's alone.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import resource
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import orjson
import uvloop

from benchmarks.broker import broker
from benchmarks.report import Options, Row
from proventrail.embedded.broker import free_port
from proventrail.gateway import GatewaySettings, run_gateway
from proventrail.gateway.auth import read_token
from proventrail.schemas.settings import KafkaSettings

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


class _Case(NamedTuple):
    name: str
    requests: list[bytes]
    events: int
    """Events in each request."""
    connections: int
    accepted: bytes
    """Start of the answer that counts."""


def _measure(port: int, case: _Case, seconds: float) -> tuple[float, int, int]:
    """Requests/s in the middle of the run; requests accepted and refused in all of it."""
    here, there = _SPAWN.Pipe()
    arguments = (port, case.requests, case.connections, seconds, case.accepted, there)
    load: BaseProcess = _SPAWN.Process(target=_load, args=arguments)
    load.start()
    rate, answered, refused = here.recv()
    load.join()
    return rate, answered, refused


def _cases(token: str) -> Iterator[_Case]:
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
            yield _Case(f"single, {kind} ({size} bytes), {form}", one, 1, 64, b"HTTP/1.1 201")
            yield _Case(f"batch of {BATCH}, {kind} ({size} bytes), {form}", many, BATCH, 8, b"HTTP/1.1 204")


_GOALS = {"single, compact": "≥ 3000", f"batch of {BATCH}, compact": "≥ 20000"}


def run(options: Options, workers: int = 1) -> Iterator[Row]:
    """Events/s by kind of request, then the memory of the gateway."""
    seconds = 0.3 if options.events is not None else 2.0 if options.quick else 3.0
    with broker(options.scratch / "intake-kafka") as servers:
        here, there = _SPAWN.Pipe()
        port = free_port()
        data_dir = options.scratch / "intake-data"
        kafka = KafkaSettings(bootstrap_servers=servers)
        settings = GatewaySettings(kafka=kafka, data_dir=data_dir, port=port, workers=workers)
        server = _SPAWN.Process(target=_serve, args=(settings, there))
        server.start()
        try:
            _until_ready(port)
            for case in _cases(read_token(data_dir)):
                if _is_measured(case.name, options):
                    yield _row(case, port, seconds, options.runs)
        finally:
            server.terminate()
            _, kilobytes = here.recv()
            server.join()
        yield Row("memory", "gateway under load", "MB", (kilobytes / 1024,), goal="≤ 600", note="its largest process")


def _is_measured(case: str, options: Options) -> bool:
    if options.events is not None:
        return "compact" in case and "plain" in case
    return not options.quick or "compact" in case or "plain" in case


def _row(case: _Case, port: int, seconds: float, runs: int) -> Row:
    rates, costs, refused = [], [], 0
    for _ in range(runs):
        before = _cpu_seconds(port)
        rate, answered, not_accepted = _measure(port, case, seconds)
        rates.append(rate * case.events)
        costs.append((_cpu_seconds(port) - before) * 1e6 / (max(1, answered) * case.events))
        refused += not_accepted
    goal = next((goal for name, goal in _GOALS.items() if case.name.startswith(name)), "")
    note = f"{refused} refused" if refused else "CPU of the gateway"
    return Row("intake", case.name, "events/s", tuple(rates), statistics.median(costs), goal, note=note)
