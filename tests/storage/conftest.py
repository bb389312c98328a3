"""A database of its own for each test, refined events to put into it, and an endpoint that serves it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from proventrail.schemas import avro
from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.engine import Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.sink.writer import Chunk
from proventrail.storage.store import ClientStore

TOPIC_ID = "11111111-2222-4333-8444-555555555555"
TOKEN = "a-token-for-tests"


@pytest.fixture
def dialect(store: ClientStore) -> Iterator[Dialect]:
    """A migrated database; dropped afterwards."""
    dialect = Dialect(database=f"t_{uuid.uuid4().hex[:12]}", storage_policy="tiered")
    migrate(store, dialect)
    yield dialect
    store.command(f"DROP DATABASE {dialect.database}")


@pytest.fixture(scope="module")
def endpoint(engine: Engine, store: ClientStore) -> Iterator[Endpoint]:
    """Three sessions; the database of who names none is empty."""
    database = f"e_{uuid.uuid4().hex[:12]}"
    store.command(f"CREATE DATABASE {database}")
    endpoint = Endpoint(engine.connection_string, TOKEN, sessions=3, database=database).start()
    yield endpoint
    endpoint.stop()
    store.command(f"DROP DATABASE {database}")


@pytest.fixture
def client(endpoint: Endpoint, dialect: Dialect) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{endpoint.port}"
    with httpx.Client(base_url=base, headers={"X-ClickHouse-Database": dialect.database}, timeout=60) as client:
        yield client


def ask(client: httpx.Client, query: str, **params: str) -> httpx.Response:
    return client.post("/", content=query, params=params, auth=("auditor", TOKEN))


def dataset(name: str, **fields: Any) -> dict[str, Any]:
    strings = "raw_namespace raw_name version schema_fingerprint kind owner classification extra".split()
    return {"namespace": "s3://b", "name": name, **dict.fromkeys(strings, ""), "facets": {}, "io_facets": {}, **fields}


def refined(offset: int, **fields: Any) -> dict[str, Any]:
    """A refined event with as little in it as can be."""
    strings = (
        "event_time_text producer schema_url raw_run_id parent_job_namespace parent_job_name parent_run_id "
        "root_job_namespace root_job_name root_run_id processing_type integration job_type run_extra job_extra extra "
        "emitter_id actor transformation_version code_location code_version schema_id catalog_version policy_version"
    ).split()
    return {
        "raw_topic_id": TOPIC_ID,
        "raw_topic": "lineage.events",
        "raw_partition": 0,
        "raw_offset": offset,
        "received_at": 1_700_000_000_000 + offset,
        "event_id": str(uuid.UUID(int=offset + (1 << 80))),
        "event_time": 1_700_000_000_000_000 + offset,
        "event_kind": "RUN",
        "event_type": "START",
        "job_namespace": "n",
        "job_name": "j",
        "run_id": f"run-{offset}",
        "nominal_start": None,
        "nominal_end": None,
        "inputs": [],
        "outputs": [],
        "column_lineage": [],
        "run_facets": {},
        "job_facets": {},
        "emitter_epoch": 0,
        "emitter_sequence": -1,
        "retention_class": "operational",
        "regulations": [],
        "privacy": [],
        "lateness_ms": 0,
        **dict.fromkeys(strings, ""),
        **fields,
    }


def chunk_of(values: list[bytes], start: int = 0, topic: str = "lineage.refined", partition: int = 0) -> Chunk:
    n = len(values)
    return Chunk(
        topic,
        "99999999-2222-4333-8444-555555555555",
        partition,
        start,
        start + n,
        list(range(start, start + n)),
        [None] * n,
        list(values),
        [1_700_000_000_000] * n,
    )


def chunk(events: list[dict[str, Any]], start: int = 0) -> Chunk:
    return chunk_of([avro.encode("refined_event", event) for event in events], start)
