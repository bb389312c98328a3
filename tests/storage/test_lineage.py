"""Walking the graph: levels, cycles, names, times, and levels that are too wide for one query."""

from __future__ import annotations

import datetime

import pytest

from proventrail.storage.dialect import Dialect
from proventrail.storage.lineage import Lineage
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import ClientStore

from .conftest import chunk, dataset, refined

BASE = 1_700_000_000_000_000
FIRST = datetime.datetime.fromtimestamp(BASE // 1_000_000, datetime.UTC).replace(tzinfo=None)


class Graph:
    """Jobs that read and write datasets of s3://b, written by the sink's own writer."""

    def __init__(self, store: ClientStore, dialect: Dialect) -> None:
        self._writer = EventWriter(store, dialect, 0)
        self._writer.open(None)
        self._offset = 0
        self.lineage = Lineage(store, dialect.database)

    def add(self, *edges: str, time: int = 0) -> None:
        """`a-b` for a job of that name that reads a and writes b; `a-` only reads; `time` in seconds from BASE."""
        events = []
        for offset, edge in enumerate(edges, self._offset):
            source, _, target = edge.partition("-")
            sides = {"inputs": [dataset(source)], "outputs": [dataset(target)] if target else []}
            events.append(refined(offset, job_name=edge, event_time=BASE + time * 1_000_000, **sides))
        self._writer.write(chunk(events, self._offset), replay=False)
        self._offset += len(edges)

    def walk(self, direction: str, name: str, depth: int = 10) -> list[tuple[int, str]]:
        found = self.lineage.walk("s3://b", name, direction, depth)
        return [(edge.depth, edge.job_name) for edge in found]


@pytest.fixture
def graph(store: ClientStore, dialect: Dialect) -> Graph:
    return Graph(store, dialect)


def test_levels_in_both_directions_and_their_bound(graph: Graph) -> None:
    graph.add("a-b", "b-c", "c-d")
    assert graph.walk("downstream", "a") == [(1, "a-b"), (2, "b-c"), (3, "c-d")]
    assert graph.walk("upstream", "d") == [(1, "c-d"), (2, "b-c"), (3, "a-b")]
    assert graph.walk("upstream", "d", 2) == [(1, "c-d"), (2, "b-c")]
    assert graph.walk("upstream", "a") == []


def test_a_diamond_has_each_edge_once(graph: Graph) -> None:
    graph.add("a-b", "a-c", "b-d", "c-d", "a-d", "d-e")
    assert graph.walk("downstream", "a") == [(1, "a-b"), (1, "a-c"), (1, "a-d"), (2, "b-d"), (2, "c-d"), (2, "d-e")]


def test_cycles_end(graph: Graph) -> None:
    graph.add("a-b", "b-c", "c-a", "c-c")
    assert graph.walk("downstream", "a", 1000) == [(1, "a-b"), (2, "b-c"), (3, "c-a"), (3, "c-c")]
    assert graph.walk("upstream", "c", 1000) == [(1, "b-c"), (1, "c-c"), (2, "a-b"), (3, "c-a")]


def test_a_job_that_runs_again_is_one_edge_with_both_times(graph: Graph) -> None:
    graph.add("a-b")
    graph.add("a-b", time=60)
    [edge] = graph.lineage.walk("s3://b", "a", "downstream", 5)
    assert edge.first_seen == FIRST
    assert edge.last_seen - edge.first_seen == datetime.timedelta(seconds=60)


def test_times_do_not_depend_on_the_order_of_arrival(graph: Graph) -> None:
    for time in (60, 0, 30):
        graph.add("a-b", time=time)
    [edge] = graph.lineage.walk("s3://b", "b", "upstream", 5)
    assert edge.first_seen == FIRST
    assert edge.last_seen - edge.first_seen == datetime.timedelta(seconds=60)


def test_any_spelling_of_a_name_finds_the_dataset(graph: Graph) -> None:
    graph.add("a-b")
    for namespace, name in (("s3a://b", "a"), ("S3N://b/", "/a/"), ("s3://b", "a")):
        [edge] = graph.lineage.walk(namespace, name, "downstream", 1)
        assert edge.far("downstream") == ("s3://b", "b")
        assert edge.near("downstream") == ("s3://b", "a")
        assert graph.lineage.knows(namespace, name)


def test_a_dataset_is_known_once_an_event_names_it(graph: Graph) -> None:
    graph.add("a-b", "lonely-")
    assert [graph.lineage.knows("s3://b", name) for name in ("a", "b", "lonely", "nowhere")] == [True] * 3 + [False]
    assert not graph.lineage.knows("s3://other", "a")
    assert graph.walk("downstream", "lonely") == []


def test_a_level_that_is_wider_than_a_query(graph: Graph) -> None:
    wide = [f"{'x' * 60}{n:04d}" for n in range(1500)]
    graph.add(*(f"a-{name}" for name in wide), *(f"{name}-z" for name in wide))
    found = graph.walk("downstream", "a")
    assert found == [(1, f"a-{name}") for name in wide] + [(2, f"{name}-z") for name in wide]
    assert graph.walk("upstream", "z") == [(1, f"{name}-z") for name in wide] + [(2, f"a-{name}") for name in wide]


def test_names_are_values_and_not_sql(graph: Graph) -> None:
    graph.add("it's \\ a'); DROP-b")
    assert graph.walk("downstream", "it's \\ a'); DROP") == [(1, "it's \\ a'); DROP-b")]
