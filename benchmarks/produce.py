"""Kafka alone: how fast the load generator brings events to the raw topic. No other rate can be higher than this."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from benchmarks.broker import broker
from benchmarks.report import Options, Row
from benchmarks.sender import finish, producer, send
from benchmarks.workloads import Kind, make

_EVENTS: dict[Kind, tuple[int, int]] = {"compact": (300_000, 100_000), "recorded": (40_000, 15_000)}


def run(options: Options) -> Iterator[Row]:
    """Events acknowledged per second."""
    with broker(options.scratch / "produce-kafka") as servers:
        for kind in options.kinds:
            load = make(kind, options.count(*_EVENTS[kind]))
            rates, costs = [], []
            for _ in range(options.runs):
                client = producer(servers)
                client.list_topics(timeout=30)
                used, started = time.process_time(), time.perf_counter()
                for first in range(0, len(load), 10_000):
                    send(client, load, first, first + 10_000)
                finish(client)
                rates.append(len(load) / (time.perf_counter() - started))
                costs.append((time.process_time() - used) * 1e6 / len(load))
            case = f"{kind}, {load.mean_bytes:.0f} bytes"
            yield Row("produce", case, "events/s", tuple(rates), statistics.median(costs), note="CPU of the client")
