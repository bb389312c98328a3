"""Real events: each way in gives the same records; what clients have sent before gets the status it should."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proventrail.schemas import avro, verdict
from proventrail.schemas.openlineage import from_openlineage
from tests.gateway.conftest import Serve, Served


def corpus(shared_dir: Path) -> Iterator[dict[str, Any]]:
    """Every event under ../shared, and what looks like one."""
    for path in sorted([*shared_dir.glob("openlineage/**/*.json"), *shared_dir.glob("recorded/**/*.json*")]):
        if "spec_schemas" in path.parts:
            continue
        text = path.read_text()
        documents = (
            [json.loads(line) for line in text.splitlines() if line] if path.suffix == ".jsonl" else [json.loads(text)]
        )
        for document in documents:
            for event in document if isinstance(document, list) else [document]:
                yield event["body"] if isinstance(event, dict) and isinstance(event.get("body"), dict) else event


def stored(gateway: Served) -> list[tuple[bytes, bytes]]:
    return sorted((m.key(), m.value()) for m in gateway.messages())


def test_every_way_in_gives_the_same_records(serve: Serve, shared_dir: Path) -> None:
    events = list(corpus(shared_dir))
    good = [event for event in events if not verdict.lenient(event)]
    assert len(good) > 100
    single, batch, lines = serve(), serve(), serve()
    for event in events:
        status = single.post(json.dumps(event)).status_code
        assert status == (422 if verdict.lenient(event) else 201)
    answer = batch.batch(json.dumps(events))
    assert answer.json()["summary"]["successful"] == len(good)
    packed = gzip.compress("\n".join(map(json.dumps, events)).encode())
    answer = lines.batch(packed, content_type="application/x-ndjson", content_encoding="gzip")
    assert answer.json()["summary"]["successful"] == len(good)
    expected = sorted(avro.encode("lineage_event", from_openlineage(event)) for event in good)
    assert sorted(value for _, value in stored(single)) == expected
    assert stored(single) == stored(batch) == stored(lines)


def test_recorded_requests_of_openlineage_clients_are_accepted(serve: Serve, shared_dir: Path) -> None:
    gateway = serve()
    requests = sorted((shared_dir / "recorded/openlineage_client/requests").glob("*.json"))
    assert requests
    for path in requests:
        recorded = json.loads(path.read_text())
        headers = {k: v for k, v in recorded["headers"] if k not in ("Host", "Content-Length", "Authorization")}
        body = json.dumps(recorded["body"]).encode()
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.compress(body)
        answer = gateway.client.request(recorded["method"], recorded["path"], content=body, headers=headers)
        assert answer.status_code == 201, path.name
        without_token = {**headers, "Authorization": "Bearer key-123"}
        answer = gateway.client.request(recorded["method"], recorded["path"], content=body, headers=without_token)
        assert answer.status_code == 401, path.name
    assert len(gateway.records()) == len(requests)
