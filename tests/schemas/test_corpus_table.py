"""docs/openlineage.md says what both verdicts say of each file of the corpus, and every event of it round-trips."""

from __future__ import annotations

from pathlib import Path

from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage, to_openlineage
from proventrail.schemas.verdict import Problem, lenient, strict

from .corpus import DOCUMENT, _around, corpus_files, rewritten


def test_the_table_is_true(shared_dir: Path) -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert rewritten(document, shared_dir / "openlineage") == document, "run: python -m tests.schemas.corpus"


def test_every_event_of_the_corpus_comes_back(shared_dir: Path) -> None:
    """Also the facets that lie there alone, each within an event, and the events of the template."""
    files = [file for file in corpus_files(shared_dir / "openlineage") if file.what != "no event"]
    for file in files:
        for event in file.events:
            assert lenient(event) == [], file.path
            record = avro.decode("lineage_event", avro.encode("lineage_event", from_openlineage(event)))
            assert to_openlineage(record) == event, file.path
    assert sum(len(file.events) for file in files) >= 119


def test_the_facets_that_lie_alone_are_judged_by_their_schemas(shared_dir: Path) -> None:
    """They would pass anyway if they were put where no schema looks."""
    whats = [file.what for file in corpus_files(shared_dir / "openlineage")]
    assert whats.count("facet, put into an event") == 47


def test_a_facet_is_held_to_its_file_also_where_the_url_names_no_definition(shared_dir: Path) -> None:
    facet = {
        "_producer": "https://example.org/test",
        "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/NominalTimeRunFacet.json",
        "nominalStartTime": "2026-01-01",
    }
    [found] = strict(_around({"nominalTime": facet}), spec=str(shared_dir / "openlineage/spec_schemas"))
    assert found == Problem("$.run.facets.nominalTime.nominalStartTime", "breaks the rule format date-time")


def test_the_strict_verdict_takes_the_kind_that_the_record_has(shared_dir: Path) -> None:
    """Where the shape fits two kinds, schemaURL decides: as a dataset event, its fault is that it has a run at all."""
    event = {
        "eventTime": "2026-01-01T00:00:00Z",
        "producer": "https://example.org/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent",
        "run": {"runId": "no UUID"},
        "job": {"namespace": "n", "name": "j"},
        "dataset": {"namespace": "n", "name": "d"},
    }
    spec = str(shared_dir / "openlineage/spec_schemas")
    assert from_openlineage(event)["kind"] == "DATASET"
    assert [problem.path for problem in strict(event, spec=spec)] == ["$"]
    as_run = {**event, "schemaURL": str(event["schemaURL"]).replace("DatasetEvent", "RunEvent")}
    assert from_openlineage(as_run)["kind"] == "RUN"
    assert [problem.path for problem in strict(as_run, spec=spec)] == ["$.run.runId"]
