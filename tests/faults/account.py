"""The account after a fault: every acknowledged record is stored exactly once, or is a dead letter with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from proventrail.cli.drained import Backlog
from proventrail.privacy.vault import Vault
from proventrail.privacy.vault.records import open_record
from proventrail.schemas.settings import KafkaSettings
from proventrail.storage.store import Store

from .load import Coordinate, Outcome, digest
from .road import Road

_COORDINATE = "toString(raw_topic_id), raw_partition, raw_offset"


def wait_stored(servers: str, seconds: float, alive: Callable[[], object]) -> None:
    """Return when refine and sink have committed all that was sent; `alive` raises if a process has ended."""
    backlog = Backlog(KafkaSettings(bootstrap_servers=servers))
    backlog.wait(seconds, lambda: alive() is not None)
    backlog.close()


def check(road: Road, store: Store, outcome: Outcome, database: str = "proventrail") -> None:
    """Compare what is stored with `outcome`: coordinates, ids, dead letters, and what is derived from the events.

    Dead letters are sealed: the vault of the road's refine workers opens them.
    """
    events: dict[Coordinate, str] = {}
    for topic_id, partition, offset, event_id in store.rows(
        f"SELECT {_COORDINATE}, toString(event_id) FROM {database}.events"
    ):
        assert (topic_id, partition, offset) not in events, "a coordinate is stored twice"
        events[topic_id, partition, offset] = event_id
    repeats = [tuple(row) for row in store.rows(f"SELECT {_COORDINATE} FROM {database}.duplicate_deliveries")]
    letters = {
        tuple(row[:3]): row[3:]
        for row in store.rows(f"SELECT {_COORDINATE}, reason, hex(value) FROM {database}.dead_letters")
    }
    good = {at: record.event_id for at, record in outcome.records.items() if record.event_id is not None}
    bad = {at: record for at, record in outcome.records.items() if record.event_id is None}

    stored = Counter([*events, *repeats, *letters])
    assert stored.keys() == outcome.records.keys()
    assert max(stored.values()) == 1
    assert all(good[at] == event_id for at, event_id in events.items())
    assert len(set(events.values())) == len(events), "an event is stored twice"
    assert set(events.values()) == set(good.values())
    assert letters.keys() == bad.keys()
    assert all(reason for reason, _ in letters.values())
    with road.vault() as vault:
        opened = {at: _opened(vault, at, bytes.fromhex(sealed)) for at, (_, sealed) in letters.items()}
    assert {at: digest(value) for at, value in opened.items()} == {at: digest(r.value) for at, r in bad.items()}

    runs = store.rows(f"SELECT run_id, state FROM {database}.runs WHERE job_namespace = 'load'")
    assert set(runs) ^ {(run, "COMPLETE") for run in outcome.runs} == set()
    assert len(runs) == len(outcome.runs)
    edges = store.rows(f"SELECT DISTINCT source_name, target_name FROM {database}.lineage_edges")
    assert set(edges) == outcome.edges
    links = store.rows(f"SELECT run_id, count() FROM {database}.lineage_edges GROUP BY run_id")
    assert sorted(links) == sorted((run, 1) for run in outcome.runs)


def _opened(vault: Vault, at: Coordinate, sealed: bytes) -> bytes:
    return open_record(vault, sealed, *at, "value") if sealed else b""
