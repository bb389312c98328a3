"""The catalogue: files with clear errors, a topic that is followed, changes that are only what changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proventrail.schemas import avro
from proventrail.schemas.registry import RegistryUnavailable
from proventrail.schemas.settings import KafkaSettings
from proventrail.stream_processors.catalog import (
    Catalog,
    CatalogError,
    CatalogFollower,
    differences,
    read_file,
    read_files,
    write_changes,
)

from ..conftest import MakeTopic

GOOD = """
- namespace: postgres://DB.example.org
  name: shop.public.orders
  kind: database
  owner: team-shop
  cadence: "0 6 * * 1-5"
- namespace: s3://lake
  kind: file-store
  regulations: [GDPR]
"""


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_entries_take_the_names_that_events_get(tmp_path: Path) -> None:
    first, second = read_file(write(tmp_path, GOOD))
    assert first.to_record()["namespace"] == "postgres://db.example.org:5432"
    assert (second.name, second.is_pattern) == ("*", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"c\.yaml:\d+: not YAML"),
        ("a: 1", r"c\.yaml:1: must be a list"),
        ("- namespace: n\n  name: x\n  kind: spoon", r"c\.yaml:1: kind: "),
        (GOOD + "- kind: api", r"c\.yaml:10: namespace: Field required"),
        (GOOD + "- {namespace: n, kind: api, ownr: x}", r"c\.yaml:10: ownr: Extra inputs"),
        ("- {namespace: n, kind: api, cadence: soon}", "cron expression of five fields"),
        (GOOD + GOOD, "stands in .* too"),
    ],
)
def test_errors_name_file_line_and_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        read_files([write(tmp_path, text)])


def test_the_topic_is_followed(kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic(cleanup_policy="compact")
    entries = read_files([write(tmp_path, GOOD).parent])
    empty = CatalogFollower(kafka_settings, topic).load()
    assert (empty.catalog.entries, empty.catalog.version) == ([], "")
    write_changes(kafka_settings, differences(entries, empty.catalog, prune=False), topic)
    while not empty.catalog.entries:
        empty.poll(0.5)
    loaded = CatalogFollower(kafka_settings, topic).load()
    assert loaded.catalog.version == empty.catalog.version != ""
    assert loaded.catalog.find("postgres://db.example.org:5432", "shop.public.orders").owner == "team-shop"
    assert loaded.catalog.find("s3://lake", "any/thing").regulations == ("GDPR",)
    assert differences(entries, loaded.catalog, prune=True) == {}
    write_changes(kafka_settings, differences(entries[1:], loaded.catalog, prune=True), topic)
    again = CatalogFollower(kafka_settings, topic).load()
    assert [e["namespace"] for e in again.catalog.entries] == ["s3://lake"]
    for follower in (empty, loaded, again):
        follower.close()


def test_entries_wait_for_a_schema_registry_that_is_away(
    kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """Those that came before in one read are not lost either; until then the catalogue stays as it was."""
    away = True

    def resolve(schema_id: int) -> str:
        if away:
            raise RegistryUnavailable("away")
        return avro.schema_json("catalog_entry")

    topic = make_topic(cleanup_policy="compact")
    first, second = read_files([write(tmp_path, GOOD).parent])
    write_changes(kafka_settings, differences([first], Catalog(), prune=False), topic)
    follower = CatalogFollower(kafka_settings, topic, resolve).load()
    framing = avro.Framing({"catalog_entry": 7})
    changed = first.model_copy(update={"owner": "other"})
    write_changes(kafka_settings, differences([changed], Catalog(), prune=False), topic)
    write_changes(kafka_settings, differences([second], Catalog(), prune=False), topic, framing)
    with pytest.raises(RegistryUnavailable):
        CatalogFollower(kafka_settings, topic, resolve).load()
    before = follower.catalog.version
    for _ in range(5):
        follower.poll(0.5)
    assert len(follower.catalog.entries) == 1
    away = False
    deadline = time.monotonic() + 60
    while len(follower.catalog.entries) < 2:
        assert time.monotonic() < deadline
        follower.poll(0.5)
    follower.close()
    assert follower.catalog.version != before
    assert {entry["owner"] for entry in follower.catalog.entries} == {"other", ""}


def test_the_version_follows_the_content_alone() -> None:
    records = [entry.to_record() for entry in ()]
    assert Catalog(records).version == Catalog().version
