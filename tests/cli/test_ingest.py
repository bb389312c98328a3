"""`proventrail ingest`: files of every shape, bad ones named with their line, nothing taken twice."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

from .conftest import COMMAND, Up, event, run, written


def stored(pipeline: Up, namespace: str) -> list[str]:
    found = pipeline.sql(f"SELECT job_name FROM events WHERE job_namespace = '{namespace}' ORDER BY 1")
    return [row["job_name"] for row in found]


def test_a_folder_of_every_kind_of_file(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    def one(name: str) -> dict[str, Any]:
        return event(namespace, name)

    (tmp_path / "deep").mkdir()
    (tmp_path / "one.json").write_text(json.dumps(one("a"), indent=2))
    (tmp_path / "array.json").write_text(json.dumps([one("b"), one("c")]))
    written(tmp_path / "deep" / "lines.ndjson", [one("d"), one("e")])
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(json.dumps(one("f")).encode()))
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(json.dumps([one("g")]).encode()))
    (tmp_path / "request.json").write_text(json.dumps({"method": "POST", "headers": [], "body": one("h")}))
    (tmp_path / "notes.txt").write_text("not an event")
    result = pipeline.run("ingest", tmp_path, "--wait")
    assert (result.code, result.errors) == (0, "")
    assert result.output == "8 events taken, 0 refused, from 6 files\n"
    assert stored(pipeline, namespace) == list("abcdefgh")


def test_a_file_that_is_sent_twice_is_stored_once(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", [event(namespace, "a")])
    for _ in range(2):
        assert pipeline.run("ingest", path, "--wait").output == "1 events taken, 0 refused, from 1 file\n"
    assert stored(pipeline, namespace) == ["a"]


def test_standard_input_plain_and_packed(pipeline: Up, namespace: str) -> None:
    lines = b"\n".join(json.dumps(event(namespace, name)).encode() for name in "ab")
    result = pipeline.run("ingest", "-", stdin=lines)
    assert result.output == "2 events taken, 0 refused, from standard input\n"
    packed = gzip.compress(json.dumps(event(namespace, "c"), indent=1).encode())
    assert pipeline.run("ingest", "--wait", "-", stdin=packed).code == 0
    assert stored(pipeline, namespace) == list("abc")


def test_a_pipe_is_read_to_its_end(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", [event(namespace, f"{n:04d}") for n in range(3000)])
    command = [*COMMAND, "ingest", "-", "--wait", "--data-dir", str(pipeline.data_dir)]
    with path.open("rb") as stream, subprocess.Popen(["cat"], stdin=stream, stdout=subprocess.PIPE) as cat:
        done = subprocess.run(command, stdin=cat.stdout, capture_output=True, check=True)
    assert done.stdout == b"3000 events taken, 0 refused, from standard input\n"
    assert done.stderr == b""
    assert len(stored(pipeline, namespace)) == 3000


def test_a_line_that_is_not_json_ends_it_after_what_stands_before(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text(f"{json.dumps(event(namespace, 'a'))}\n\n{{'no': 1}}\n{json.dumps(event(namespace, 'b'))}\n")
    result = pipeline.run("ingest", path)
    assert result.code == 2
    assert result.error == f"error: {path}:3: not JSON in UTF-8 (column 2); the 1 events before it were taken"
    assert pipeline.run("verify-delivery", "--wait").code == 0
    assert stored(pipeline, namespace) == ["a"]

    result = pipeline.run("ingest", "--continue", "--wait", path)
    assert result.code == 1
    assert result.errors == f"skipped {path}:3: not JSON in UTF-8 (column 2)\n"
    assert result.output == "2 events taken, 0 refused, 1 places skipped, from 1 file\n"
    assert stored(pipeline, namespace) == ["a", "b"]


def test_bad_files_are_named_with_the_line(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    files = {
        "pretty.json": (b'\n{\n "eventTime": 1,\n oops\n}', "not JSON in UTF-8 (line 4, column 2)"),
        "latin.json": ('{"é": 1}'.encode("latin-1"), "not JSON in UTF-8"),
        "cut.json.gz": (gzip.compress(b'{"a": 1}')[:-9], "the gzip file is damaged or ends too early"),
    }
    for name, (content, reason) in files.items():
        (tmp_path / name).write_bytes(content)
        result = pipeline.run("ingest", tmp_path / name)
        assert result.code == 2
        assert result.error.startswith(f"error: {tmp_path / name}: {reason}"), result.error
    good = written(tmp_path / "good.jsonl", [event(namespace)])
    result = pipeline.run("ingest", "--continue", *(tmp_path / name for name in files), good)
    assert result.code == 1
    assert len(result.errors.splitlines()) == 3
    assert result.output == "1 events taken, 0 refused, 3 places skipped, from 4 files\n"


def test_a_refused_event_is_told_with_place_and_reason_and_no_value(
    pipeline: Up, namespace: str, tmp_path: Path
) -> None:
    bad = {**event(namespace), "eventTime": "secret@example.org"}
    path = written(tmp_path / "e.jsonl", [event(namespace), bad, {"x": 1}])
    result = pipeline.run("ingest", path)
    assert result.code == 1
    assert result.output == "1 events taken, 2 refused, from 1 file\n"
    first, second = result.errors.splitlines()
    assert first.startswith(f"refused {path}:2: $.eventTime: ")
    assert second.startswith(f"refused {path}:3: ")
    assert "secret" not in result.errors


def test_one_event_that_is_too_large_does_not_hold_up_the_others(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    huge = event(namespace, "huge", job={"namespace": namespace, "name": "huge", "x": "y" * (11 << 20)})
    path = written(tmp_path / "e.jsonl", [event(namespace, "a"), huge, event(namespace, "b")])
    result = pipeline.run("ingest", path, "--wait")
    assert result.code == 1
    assert result.errors == f"refused {path}:2: larger than the gateway takes\n"
    assert stored(pipeline, namespace) == ["a", "b"]


def test_nothing_to_send_is_an_error(pipeline: Up, tmp_path: Path) -> None:
    result = pipeline.run("ingest", tmp_path)
    assert (result.code, result.error) == (2, f"error: no *.json, *.jsonl or *.ndjson (.gz) in {tmp_path}")
    assert pipeline.run("ingest", tmp_path / "nowhere").code == 2
    assert pipeline.run("ingest").code == 2


def test_a_wrong_token_and_a_gateway_elsewhere(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", [event(namespace)])
    result = pipeline.run("ingest", path, "--token", "x" * 30)
    assert (result.code, "refuses the token" in result.error) == (3, True)
    result = run("ingest", path, "--url", pipeline.url, "--token", pipeline.token, "--data-dir", tmp_path)
    assert result.code == 0
    result = pipeline.run("ingest", path, "--url", "htp:/x")
    assert (result.code, "htp:/x" in result.error) == (2, True)
