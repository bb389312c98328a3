"""Canaries sent down the whole road: a real `proventrail up`, every way in, refused records, and faults on purpose."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from proventrail.producers import Emitter
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.topics import LINEAGE_EVENTS, MAX_EVENT_BYTES, OPENLINEAGE
from tests.cli.conftest import START_SECONDS, Up, event, written

from .canaries import Planter

Json = dict[str, Any]
Said = list[tuple[str, bytes]]
"""What somebody could read, and where it stood."""

_STEPS = 0.2


def wait_until(done: Callable[[], object], what: str) -> None:
    """Return once `done` says so."""
    deadline = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(_STEPS)


@dataclass
class Road:
    """One pipeline, what was planted on it, and what it answered."""

    up: Up
    planter: Planter
    events: list[Json]
    answers: Said = field(default_factory=list)
    spools: list[tuple[str, int, bytes]] = field(default_factory=list)
    """Path, mode and content of the emitter's files while the broker was away."""

    def planted(self, way: str, every: int = 1) -> list[Json]:
        return [self.planter.event(told, f"{way}[{i}]") for i, told in enumerate(self.events[::every])]

    # -- ways in -------------------------------------------------------------------------------------------------------

    def spooled(self, emitter: Emitter, folder: Path) -> None:
        """By the SDK, while no broker is there."""
        for told in self.planted("SDK", 4):
            emitter.emit(told)
        with emitter.run(("shop", "job" + self.planter.text("SDK.job.name"))) as run:
            run.add_facet("note", {"text": self.planter.text("SDK.note")})
        try:
            with emitter.run(("shop", "fails")):
                raise ValueError(f"no such customer {self.planter.text('SDK.exception')}")
        except ValueError:
            pass
        wait_until(lambda: emitter.stats.spool_bytes, "nothing was spooled")
        for path in (folder, *folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            self.spools.append((str(path), stat.S_IMODE(path.stat().st_mode), content))

    def sent(self) -> None:
        """The corpus, by HTTP, as batches, and as JSON on Kafka."""
        headers = {"Authorization": f"Bearer {self.up.token}", "Content-Type": "application/json"}
        with httpx.Client(base_url=self.up.url, headers=headers, timeout=120) as client:
            for told in self.planted("HTTP", 3):
                self._answered(client.post("/api/v1/lineage", json=told), {201})
            self._answered(client.post("/api/v1/lineage/batch", json=self.planted("batch", 2)), {204})
            self._refused_by_http(client)
        self.produced(OPENLINEAGE, [json.dumps(told).encode() for told in self.planted("Kafka")])

    def produced(self, topic: str, values: list[bytes | None], keys: bool = True) -> None:
        """Records on a raw topic, with canaries in their keys and headers."""
        producer = Producer({**self.up.kafka.client_config(), "message.max.bytes": 12 << 20})
        for value in values:
            key = self.planter.text("key of a record").encode()
            header = ("traceparent", self.planter.text("header of a record").encode())
            producer.produce(topic, value, key if keys else None, headers=[header])
            producer.poll(0)
        assert producer.flush(120) == 0

    # -- what is refused -----------------------------------------------------------------------------------------------

    def _answered(self, answer: httpx.Response, statuses: set[int]) -> None:
        assert answer.status_code in statuses, answer.status_code
        self.answers.append(
            (f"answer {answer.status_code} of the gateway", answer.content + repr(answer.headers).encode())
        )

    def _refused_by_http(self, client: httpx.Client) -> None:
        text, path = self.planter.text, "/api/v1/lineage"
        self._answered(client.post(path, content=f'{{"job": "{text("HTTP 400")}" '), {400})
        self._answered(client.post(path, content=text("HTTP 400").encode("utf-16")), {400})
        for wrong in self.wrong_events("HTTP 422"):
            self._answered(client.post(path, json=wrong), {422})
        self._answered(client.post(f"{path}/batch", json=[*self.wrong_events("batch")]), {200, 207, 422})
        self._answered(client.post(path, content=f'"{text("HTTP 413")}{"x" * MAX_EVENT_BYTES}"'), {400, 413, 422})
        odd = {"Content-Type": "text/x-note; note=yes", "X-Note": text("HTTP header").strip().replace("\\", "/")}
        self._answered(client.post(path, content=text("HTTP 415"), headers=odd), {400, 415, 422})
        self._answered(client.get("/nothing/" + text("HTTP path").strip().replace("/", "_")), {404})
        self._answered(client.get(path, params={"q": text("HTTP query")}), {404, 405})
        odd = {"Authorization": "Bearer " + text("HTTP token").strip()}
        self._answered(client.post(path, content=text("HTTP 401"), headers=odd), {401, 403})

    def wrong_events(self, way: str) -> Iterator[Json]:
        """Events that are JSON, and whose shape or types are wrong."""
        good, text = event("shop"), self.planter.text
        yield {**good, "eventTime": text(f"{way}.eventTime")}
        yield {**good, "job": text(f"{way}.job")}
        yield {**good, "job": {"namespace": text(f"{way}.job.namespace")}}
        yield {**good, "run": {"runId": [text(f"{way}.run.runId[]")]}}
        yield {**good, "inputs": text(f"{way}.inputs")}
        yield {**good, "outputs": [{"namespace": {text(f"{way}.(name)"): 1}, "name": "x"}]}
        yield {**good, "run": {"runId": "x", "facets": text(f"{way}.facets")}}
        yield {"note": text(f"{way}.note")}

    def refused(self) -> None:
        """Records that become dead letters."""
        text = self.planter.text
        told = from_openlineage(self.planter.event(event("shop"), "dead letter"))
        good = avro.encode("lineage_event", told)
        large = {"x": json.dumps(text("large facet") + "x" * MAX_EVENT_BYTES)}
        # Pseudonyms are longer than what they stand for: refined, this one is larger than a record may be.
        growing = {f"x{i}": json.dumps(text("too large") + "x" * 4_130_000) for i in range(3)}
        growing["phones"] = json.dumps(text("too large") * 8_000)
        self.produced(
            LINEAGE_EVENTS,
            [
                text("garbage").encode(),
                None,
                good[: len(good) - 40],
                good[:2] + bytes(8) + good[10:],
                avro.encode("lineage_event", {**told, "run": None}),
                avro.encode("lineage_event", {**told, "time": -1}),
                avro.encode("lineage_event", {**told, "job": {**told["job"], "facets": large}}),
                avro.encode("lineage_event", {**told, "job": {**told["job"], "facets": growing}}),
            ],
        )
        self.produced(
            OPENLINEAGE,
            [
                f'{{"job": "{text("malformed")}'.encode(),
                f'["{text("list")}"]'.encode(),
                f'"{text("string")}"'.encode(),
                text("UTF-16").encode("utf-16"),
                *(json.dumps(wrong).encode() for wrong in self.wrong_events("Kafka")),
            ],
        )

    # -- faults --------------------------------------------------------------------------------------------------------

    def _refine(self) -> Json:
        return dict(self.up.instance.children["refine"])

    def _back(self, before: Json) -> None:
        wait_until(
            lambda: (child := self._refine())["restarts"] > before["restarts"] and child["state"] == "ready",
            "refine did not come back",
        )

    def refine_killed(self) -> None:
        """kill -9 of refine in the middle of its work."""
        before = self._refine()
        self.produced(OPENLINEAGE, [json.dumps(told).encode() for told in self.planted("before the kill", 3)])
        os.kill(before["pid"], signal.SIGKILL)
        self._back(before)

    def vault_locked(self) -> None:
        """Somebody holds the vault's database: refine stops with an error, and goes on later."""
        before = self._refine()
        database = sqlite3.connect(self.up.data_dir / "vault" / "vault.db", isolation_level=None)
        try:
            database.execute("BEGIN EXCLUSIVE")
            self.produced(OPENLINEAGE, [json.dumps(told).encode() for told in self.planted("vault locked", 3)])
            wait_until(lambda: self._refine()["restarts"] > before["restarts"], "refine went on without its vault")
        finally:
            database.close()
        self._back(before)

    def vault_open_to_others(self) -> None:
        """A mode that lets others read the vault: refine does not start with it."""
        before = self._refine()
        database = self.up.data_dir / "vault" / "vault.db"
        database.chmod(0o644)
        self.produced(OPENLINEAGE, [json.dumps(told).encode() for told in self.planted("vault open", 8)])
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: self._refine()["restarts"] > before["restarts"] + 1, "refine started with an open vault")
        database.chmod(0o600)
        self._back(before)

    # -- commands ------------------------------------------------------------------------------------------------------

    def commands(self, folder: Path) -> None:
        """What an operator types; what comes back may be copied into a ticket."""
        text, up = self.planter.text, self.up
        bad = folder / "bad.json"
        bad.write_text(f'{{"job": "{text("file of ingest")}')
        calls: list[tuple[str | Path, ...]] = [
            ("ingest", bad),
            ("ingest", written(folder / "wrong.jsonl", [*self.wrong_events("ingest")])),
            ("ingest", "--strict", written(folder / "good.jsonl", self.planted("ingest", 9))),
            ("dead-letters", "list", "--limit", "1000"),
            ("dead-letters", "list", "--limit", "1000", "--format", "json"),
            ("dead-letters", "show", OPENLINEAGE, "0", "0", "--as", "nobody"),
            ("status",),
            ("verify-delivery", "--wait"),
            *(("privacy", "report", "--by", by) for by in ("job", "dataset", "path")),
            ("privacy", "audit"),
        ]
        for call in calls:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PROVENTRAIL_PRINCIPAL_TOKEN", "none")
                result = up.run(*call)
            assert "Traceback" not in result.errors
            self.answers.append((f"output of {' '.join(map(str, call))}", result.raw + result.errors.encode()))
        # What somebody types into a query is on their terminal; it must be nowhere else.
        for query in ("SELECT {}", "SELECT * FROM events WHERE actor = {}", "SELEKT {}", "SELECT toUInt8({})"):
            up.run("sql", query.format("'" + text("query").replace("\\", "/") + "'"))

    def told_by_stages(self) -> None:
        """Health and metrics of all processes."""
        for name in ("gateway", "refine", "sink"):
            for path in (
                "health",
                "metrics",
                "nothing" + self.planter.text("path of a stage").strip().replace(" ", ""),
            ):
                answer = httpx.get(f"http://127.0.0.1:{self.up.instance.ports[name]}/{path}", timeout=60)
                self.answers.append((f"/{path[:7]} of {name}", answer.content))

    def topics(self, names: Callable[[str], bool]) -> dict[str, bytes]:
        """Topic -> keys, values and headers of all of its records."""
        found: dict[str, list[bytes]] = {}
        for topic, parts in self._records(names):
            found.setdefault(topic, []).extend(parts)
        return {topic: b"\n".join(parts) for topic, parts in found.items()}

    def _records(self, names: Callable[[str], bool]) -> Iterator[tuple[str, list[bytes]]]:
        """Read until each partition has said that it is at its end."""
        config = {**self.up.kafka.client_config(), "group.id": "canaries", "enable.auto.commit": False}
        consumer = Consumer({**config, "fetch.message.max.bytes": 16 << 20, "enable.partition.eof": True})
        topics = consumer.list_topics(timeout=60).topics
        unread = {(topic, number) for topic, told in topics.items() if names(topic) for number in told.partitions}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in sorted(unread)])
        deadline = time.monotonic() + START_SECONDS
        while unread:
            assert time.monotonic() < deadline, f"these were not read to their end: {sorted(unread)}"
            for message in consumer.consume(1000, _STEPS):
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error.name()
                    unread.discard((str(message.topic()), message.partition()))
                    continue
                parts = (message.key(), message.value(), *(part for pair in message.headers() or [] for part in pair))
                yield (
                    str(message.topic()),
                    [part if isinstance(part, bytes) else str(part).encode() for part in parts if part is not None],
                )
        consumer.close()


def regular_files(root: Path) -> Iterator[Path]:
    """Files below `root`, but no sockets and the like."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
