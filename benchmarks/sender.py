"""The load generator: a process of its own that makes its events first and sends them when told to."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from confluent_kafka import Producer

from benchmarks.workloads import Kind, Workload, make
from proventrail.schemas.topics import LINEAGE_EVENTS, MAX_MESSAGE_BYTES

_SPAWN = multiprocessing.get_context("spawn")
_SLICES_PER_SECOND = 50


class Sent(NamedTuple):
    """When the first event was given to the client and the last one acknowledged (`time.time`), CPU time used."""

    started: float
    acknowledged: float
    cpu_seconds: float


def producer(servers: str, compression: str = "lz4") -> Producer:
    """As the SDK's: idempotent, keys spread as Java's clients do."""
    return Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 10,
            "compression.type": compression,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.messages": 10_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
        }
    )


def send(client: Producer, load: Workload, first: int, last: int, topic: str = LINEAGE_EVENTS) -> None:
    """Queue events `first` to `last` (not included) of `load`."""
    messages = [
        {"value": value, "key": key} for key, value in zip(load.keys[first:last], load.values[first:last], strict=True)
    ]
    if client.produce_batch(topic, messages) != len(messages):
        raise RuntimeError("the client did not take all events: its queue is full")


def finish(client: Producer) -> None:
    """Wait until all of it is acknowledged."""
    if client.flush(600):
        raise RuntimeError("the broker did not take all events in ten minutes")


def _work(servers: str, kind: Kind, events: int, seed: int, rate: float | None, pipe: Connection) -> None:
    load = make(kind, events, seed)
    client = producer(servers)
    client.list_topics(LINEAGE_EVENTS, timeout=30)
    pipe.send(load.mean_bytes)
    pipe.recv()
    used, started = time.process_time(), time.time()
    if rate is None:
        for first in range(0, events, 10_000):
            send(client, load, first, first + 10_000)
    else:
        size = max(1, round(rate / _SLICES_PER_SECOND))
        for first in range(0, events, size):
            time.sleep(max(0.0, started + first / rate - time.time()))
            send(client, load, first, first + size)
            client.poll(0)
    finish(client)
    pipe.send(Sent(started, time.time(), time.process_time() - used))


class Sender:
    """`events` events of a kind, ready to be sent: at once, or `rate` a second."""

    def __init__(self, servers: str, kind: Kind, events: int, seed: int, rate: float | None = None) -> None:
        self._pipe, there = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(servers, kind, events, seed, rate, there), daemon=True)
        self._process.start()
        there.close()
        self.mean_bytes: float = self._pipe.recv()

    def go(self) -> None:
        self._pipe.send("go")

    @property
    def sending(self) -> bool:
        return not self._pipe.poll(0)

    def done(self) -> Sent:
        """Wait for the end. Raises EOFError if the sender has failed."""
        sent: Sent = self._pipe.recv()
        self._process.join()
        return sent
