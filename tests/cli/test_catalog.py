"""`catalog`: YAML files to the topic and to the store."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from .conftest import Up, moved, written


def entry(namespace: str, name: str, owner: str = "team") -> str:
    return f"- namespace: s3://{namespace}\n  name: {name}\n  kind: database\n  owner: {owner}\n"


def entries(pipeline: Up, namespace: str) -> dict[str, str]:
    found = pipeline.run("catalog", "list", "--format", "json").json()
    return {row["name"]: row["owner"] for row in found if row["namespace"] == f"s3://{namespace}"}


def test_apply_says_what_it_changes(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(entry(namespace, "a"))
    (tmp_path / "b.yml").write_text(entry(namespace, "b"))
    told = f"set s3://{namespace} a\nset s3://{namespace} b\n"
    result = pipeline.run("catalog", "apply", "--dry-run", tmp_path)
    assert (result.code, result.output) == (0, told + "2 changes (dry run: nothing was written)\n")
    assert entries(pipeline, namespace) == {}
    assert pipeline.run("catalog", "apply", tmp_path).output == told + "2 changes\n"
    assert entries(pipeline, namespace) == {"a": "team", "b": "team"}
    assert pipeline.run("catalog", "apply", tmp_path).output == "no changes\n"

    (tmp_path / "a.yaml").write_text(entry(namespace, "a", "other"))
    (tmp_path / "b.yml").unlink()
    assert pipeline.run("catalog", "apply", tmp_path).output == f"set s3://{namespace} a\n1 change\n"
    assert entries(pipeline, namespace) == {"a": "other", "b": "team"}
    result = pipeline.run("catalog", "apply", "--prune", "--dry-run", tmp_path)
    assert f"remove s3://{namespace} b\n" in result.output
    assert entries(pipeline, namespace) == {"a": "other", "b": "team"}
    assert pipeline.run("catalog", "apply", "--prune", tmp_path).code == 0
    assert entries(pipeline, namespace) == {"a": "other"}


def test_events_are_enriched_and_the_store_has_the_entry(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(entry(namespace, "in", "data-team"))
    assert pipeline.run("catalog", "apply", tmp_path).code == 0
    # Refine follows the catalogue within a moment: events that come at once may be before it.
    owners: list[str] = []
    deadline = time.monotonic() + 60
    while owners != ["data-team"]:
        assert time.monotonic() < deadline, owners
        path = written(tmp_path / "e.jsonl", [moved(namespace, f"job-{uuid.uuid4().hex}", "in", "out")])
        assert pipeline.run("ingest", path, "--wait").code == 0
        query = (
            f"SELECT inputs.owner AS owner FROM events WHERE job_namespace = '{namespace}' ORDER BY received_at DESC"
        )
        owners = pipeline.sql(query)[0]["owner"]
    query = f"SELECT name, owner FROM catalog WHERE namespace = 's3://{namespace}'"
    assert pipeline.sql(query) == [{"name": "in", "owner": "data-team"}]


def test_a_wrong_file_is_named_with_its_line_and_changes_nothing(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    wrong = {
        f"{entry(namespace, 'a')}- namespace: s3://x\n  name: y\n  kind: nonsense\n": ":5: kind: ",
        f"{entry(namespace, 'a')}- namespace: [\n": ":6: not YAML: ",
        "namespace: x\n": ":1: must be a list of entries",
        entry(namespace, "a") * 2: ": the dataset of an entry stands in",
    }
    for text, reason in wrong.items():
        path = tmp_path / "c.yaml"
        path.write_text(text)
        result = pipeline.run("catalog", "apply", path)
        assert result.code == 2
        assert f"{path}{reason}" in result.error, result.error
    assert entries(pipeline, namespace) == {}
    assert pipeline.run("catalog", "apply", tmp_path / "nowhere").code == 2
