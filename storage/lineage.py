"""Walking the lineage graph: level by level over job edges, each level one query on the index it needs."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Literal

from proventrail.schemas.naming import normalise_dataset
from proventrail.storage.store import Store

Direction = Literal["upstream", "downstream"]
Dataset = tuple[str, str]

_TABLES = {"downstream": ("job_edges", "source"), "upstream": ("job_edges_by_target", "target")}
_QUERY_BYTES = 24 << 10
"""Names in one query: parameters travel in the URL, where a byte may take three, and servers bound its length."""


@dataclass(frozen=True)
class Edge:
    """Dataset -> dataset by a job; `depth` counts from the dataset that was asked for.

    Times are those of events, in UTC without a zone.
    """

    depth: int
    source_namespace: str
    source_name: str
    target_namespace: str
    target_name: str
    job_namespace: str
    job_name: str
    first_seen: datetime.datetime
    last_seen: datetime.datetime

    def near(self, direction: str) -> Dataset:
        source = (self.source_namespace, self.source_name)
        return source if direction == "downstream" else (self.target_namespace, self.target_name)

    def far(self, direction: str) -> Dataset:
        return self.near("upstream" if direction == "downstream" else "downstream")

    def row(self) -> tuple[object, ...]:
        return astuple(self)


class Lineage:
    """Lineage questions to one store."""

    def __init__(self, store: Store, database: str = "proventrail") -> None:
        self._store = store
        self._database = database

    @staticmethod
    def normal(namespace: str, name: str) -> Dataset:
        """The name under which events of that dataset are kept."""
        return normalise_dataset(namespace, name)

    def knows(self, namespace: str, name: str) -> bool:
        """Whether an event names the dataset, as input or output or by itself. Raises ClickHouseError."""
        dataset = self.normal(namespace, name)
        found = self._store.rows(
            f"SELECT 1 FROM {self._database}.run_datasets "
            "WHERE namespace = {a:String} AND name = {b:String} LIMIT 1",
            {"a": dataset[0], "b": dataset[1]},
        )
        return bool(found)

    def walk(self, namespace: str, name: str, direction: str, depth: int) -> list[Edge]:
        """Every edge within `depth` steps, nearest first; a cycle is walked once. Raises ClickHouseError."""
        frontier = {self.normal(namespace, name)}
        seen = set(frontier)
        edges: list[Edge] = []
        for level in range(1, depth + 1):
            if not frontier:
                break
            found = self._step(frontier, direction, level)
            edges += found
            frontier = {edge.far(direction) for edge in found} - seen
            seen |= frontier
        return edges

    def _step(self, frontier: set[Dataset], direction: str, level: int) -> list[Edge]:
        table, side = _TABLES[direction]
        query = f"""SELECT source_namespace, source_name, target_namespace, target_name, job_namespace, job_name,
    min(event_time), max(last_event_time)
FROM {self._database}.{table}
WHERE ({side}_namespace, {side}_name) IN {{datasets:Array(Tuple(String, String))}}
GROUP BY source_namespace, source_name, target_namespace, target_name, job_namespace, job_name"""
        found = [
            Edge(level, *row)
            for datasets in _portions(sorted(frontier))
            for row in self._store.rows(query, {"datasets": datasets})
        ]
        return sorted(found, key=Edge.row)


def _portions(datasets: list[Dataset]) -> Iterator[list[Dataset]]:
    portion: list[Dataset] = []
    size = 0
    for dataset in datasets:
        length = len("".join(dataset).encode()) + 8
        if portion and size + length > _QUERY_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(dataset)
        size += length
    if portion:
        yield portion
