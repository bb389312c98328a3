"""The catalogue of data sources: YAML files under version control, and the compacted topic that refine follows.

Key of the topic: namespace + newline + name. Value: Avro `catalog_entry`; no value deletes the entry.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from pydantic import ValidationError

from proventrail.schemas import avro
from proventrail.schemas.models import CatalogEntry
from proventrail.schemas.registry import RegistryUnavailable
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import CATALOG
from proventrail.schemas.yaml_file import YamlError, read_yaml
from proventrail.streaming.consuming import ends, reposition
from proventrail.streaming.errors import is_transient

log = logging.getLogger(__name__)

DEFAULT_RETENTION_CLASS = "operational"


class CatalogError(Exception):
    """A catalogue file that cannot be used: file, line and reason."""


@dataclass(frozen=True)
class Known:
    """What events are enriched with."""

    kind: str = ""
    owner: str = ""
    classification: str = ""
    retention_class: str = ""
    regulations: tuple[str, ...] = ()


_UNKNOWN = Known()
Record = dict[str, Any]
Key = tuple[str, str]


class Catalog:
    """Entries by (namespace, name). An exact one wins; of patterns the one with most characters besides wildcards."""

    def __init__(self, entries: Iterable[Record] = ()) -> None:
        self._entries: dict[Key, Record] = {(e["namespace"], e["name"]): e for e in entries}
        self._settle()

    def _settle(self) -> None:
        digest = hashlib.sha256()
        for key in sorted(self._entries):
            digest.update(avro.encode_datum("catalog_entry", self._entries[key]))
        self.version = digest.hexdigest()[:16] if self._entries else ""
        patterns = [key for key in self._entries if any(c in "*?" for c in "".join(key))]
        self._patterns = sorted(patterns, key=lambda key: (-sum(c not in "*?" for c in "".join(key)), key))

    @property
    def entries(self) -> list[Record]:
        return [self._entries[key] for key in sorted(self._entries)]

    def change(self, changes: dict[Key, Record | None]) -> None:
        """Take in new entries; None removes one."""
        for key, entry in changes.items():
            if entry is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = entry
        if changes:
            self._settle()

    def find(self, namespace: str, name: str) -> Known:
        """What is known of the dataset with this normalised name; empty fields if nothing is."""
        entry = self._entries.get((namespace, name))
        if entry is None:
            for pattern in self._patterns:
                if fnmatch.fnmatchcase(namespace, pattern[0]) and fnmatch.fnmatchcase(name, pattern[1]):
                    entry = self._entries[pattern]
                    break
            else:
                return _UNKNOWN
        return Known(
            entry["kind"],
            entry["owner"],
            entry["classification"],
            entry["retention_class"],
            tuple(sorted(entry["regulations"])),
        )


# -- files -------------------------------------------------------------------------------------------------------------


def read_file(path: Path) -> list[CatalogEntry]:
    """The entries of a YAML file: a list of mappings. Raises CatalogError with file, line and reason."""
    try:
        file = read_yaml(path)
    except YamlError as error:
        raise CatalogError(str(error)) from None
    items = file.content or []
    if not isinstance(items, list):
        raise CatalogError(f"{path}:1: must be a list of entries, each with namespace, name and kind")
    return [_entry(path, file.line([index]), item) for index, item in enumerate(items)]


def _entry(path: Path, line: int, item: Any) -> CatalogEntry:
    try:
        return CatalogEntry.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "entry"
        raise CatalogError(f"{path}:{line}: {where}: {first['msg']}") from None


def read_files(paths: Sequence[Path]) -> list[CatalogEntry]:
    """Entries of files, and of all `*.yaml` and `*.yml` below folders. Raises CatalogError, also for a double entry."""
    files = [
        file
        for path in paths
        for file in (sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")]) if path.is_dir() else [path])
    ]
    seen: dict[Key, Path] = {}
    entries: list[CatalogEntry] = []
    for file in files:
        for entry in read_file(file):
            record = entry.to_record()
            key = (record["namespace"], record["name"])
            if key in seen:
                raise CatalogError(f"{file}: the dataset of an entry stands in {seen[key]} too: keep one of them")
            seen[key] = file
            entries.append(entry)
    return entries


# -- topic -------------------------------------------------------------------------------------------------------------


def _key_bytes(key: Key) -> bytes:
    return "\n".join(key).encode()


class CatalogFollower:
    """Keeps a Catalog equal to the topic: `load` reads it to its end, `poll` what came since."""

    def __init__(self, kafka: KafkaSettings, topic: str = CATALOG, resolver: avro.Resolver | None = None) -> None:
        self.catalog = Catalog()
        self._resolver = resolver
        self._waiting = False
        self._topic = topic
        self._consumer = Consumer(
            {
                **kafka.client_config(),
                "group.id": "proventrail-catalog-reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )

    def load(self, timeout: float = 30.0) -> CatalogFollower:
        """Read the whole topic. Raises KafkaException or TimeoutError if that fails within `timeout` seconds.

        Raises RegistryUnavailable where an entry needs a schema registry that is away.
        """
        partition = TopicPartition(self._topic, 0, 0)
        low, end = ends(self._consumer, partition, timeout)
        partition.offset = low
        self._consumer.assign([partition])
        deadline = time.monotonic() + timeout
        while self._position() < end and low < end:
            self.catalog.change(self._changes(0.2))
            if time.monotonic() > deadline:
                raise TimeoutError(f"the catalogue (topic {self._topic}) could not be read within {timeout:.0f} s")
        return self

    def _position(self) -> int:
        offset = self._consumer.position([TopicPartition(self._topic, 0)])[0].offset
        return int(offset)

    def poll(self, timeout: float = 0.0) -> None:
        """Take in what came since; does not wait for more than `timeout` seconds.

        While an entry needs a schema registry that is away, the catalogue stays as it was.
        """
        try:
            self.catalog.change(self._changes(timeout))
            self._waiting = False
        except RegistryUnavailable as error:
            if not self._waiting:
                log.warning("%s; the catalogue stays as it is until then", error)
            self._waiting = True

    def _changes(self, timeout: float) -> dict[Key, Record | None]:
        changes: dict[Key, Record | None] = {}
        messages = self._consumer.consume(1000, timeout=timeout)
        first = messages[0].offset() if messages else 0
        for message in messages:
            error = message.error()
            if error is not None:
                if not is_transient(error):
                    raise KafkaException(error)
                continue
            namespace, _, name = (message.key() or b"").decode().partition("\n")
            value = message.value()
            try:
                changes[namespace, name] = avro.decode("catalog_entry", value, self._resolver) if value else None
            except RegistryUnavailable:
                # What was read with it is read again too.
                reposition(self._consumer, TopicPartition(self._topic, 0, first))
                raise
        return changes

    def close(self) -> None:
        self._consumer.close()


def differences(wanted: Iterable[CatalogEntry], catalog: Catalog, *, prune: bool) -> dict[Key, Record | None]:
    """What `apply` would write: new and changed entries, and with `prune` None for those that are in no file."""
    there = {(e["namespace"], e["name"]): e for e in catalog.entries}
    records = {(r["namespace"], r["name"]): r for r in (entry.to_record() for entry in wanted)}
    changes: dict[Key, Record | None] = {key: record for key, record in records.items() if there.get(key) != record}
    if prune:
        changes |= dict.fromkeys(there.keys() - records.keys())
    return changes


def write_changes(
    kafka: KafkaSettings,
    changes: dict[Key, Record | None],
    topic: str = CATALOG,
    framing: avro.Framing = avro.SINGLE_OBJECT,
) -> None:
    """Write entries and removals to the topic; returns when the broker has them. Raises KafkaException otherwise."""
    failures: list[Any] = []
    producer = Producer({**kafka.client_config(), "enable.idempotence": True})
    for key, record in changes.items():
        value = avro.encode("catalog_entry", record, framing) if record is not None else None
        producer.produce(topic, value, _key_bytes(key), on_delivery=lambda e, _: failures.append(e) if e else None)
    if producer.flush(30) or failures:
        raise KafkaException(failures[0] if failures else "the broker did not take the catalogue within 30 s")
