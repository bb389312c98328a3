"""`sql`, `runs`, `lineage`: answers for people and for programs, and errors of one line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest

from .conftest import COMMAND, Up, event, moved, written

VALUES = (
    "SELECT 1 AS n, 'a\tb\"c' AS s, [1, 2] AS l, map('k', 1) AS m, NULL AS z, nan AS f, toDate('2026-11-24') AS d, "
    "toDateTime64('2026-11-24 09:30:00.5', 3, 'UTC') AS t, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u"
)


def test_json_has_typed_values(pipeline: Up) -> None:
    [row] = pipeline.run("sql", VALUES, "--format", "json").json()
    assert row == {
        "n": 1,
        "s": 'a\tb"c',
        "l": [1, 2],
        "m": {"k": 1},
        "z": None,
        "f": None,
        "d": "2026-11-24",
        "t": "2026-11-24 09:30:00.500000Z",
        "u": "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
    }
    result = pipeline.run("sql", VALUES, "--format", "jsonl")
    assert [json.loads(line) for line in result.output.splitlines()] == [row]


@pytest.mark.parametrize(("fmt", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_and_tsv_can_be_read_back(pipeline: Up, fmt: str, delimiter: str) -> None:
    text = pipeline.run("sql", VALUES, "--format", fmt).output
    [row] = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    assert row["s"] == 'a\tb"c'
    assert (row["l"], row["m"], row["z"], row["f"]) == ("[1, 2]", '{"k": 1}', "", "nan")


def test_no_rows(pipeline: Up) -> None:
    def output(fmt: str) -> str:
        return pipeline.run("sql", "SELECT 1 AS n WHERE 0", "--format", fmt).output

    # The engine sends no columns where there are no rows.
    assert [output(fmt) for fmt in ("json", "jsonl", "csv", "tsv", "table")] == ["[]\n", "", "", "", "no rows\n"]


def test_without_a_terminal_it_is_tsv_and_has_no_colours(pipeline: Up) -> None:
    result = pipeline.run("sql", "SELECT 1 AS a, 2 AS b")
    assert result.output == "a\tb\n1\t2\n"
    table = pipeline.run("sql", "SELECT 'x' AS a", "--format", "table")
    assert "\x1b" not in table.output
    assert "│ x │" in table.output


def test_values_cannot_style_a_table_or_move_the_cursor(pipeline: Up) -> None:
    result = pipeline.run("sql", r"SELECT '[/red][bold]x[/bold]' AS s, '\x1b[31mred\r\x07' AS c", "--format", "table")
    assert result.code == 0
    assert "[/red][bold]x[/bold]" in result.output
    assert r"\x1b[31mred\x0d\x07" in result.output
    assert "\x1b" not in result.output


def test_a_query_from_standard_input(pipeline: Up) -> None:
    assert pipeline.run("sql", "-", stdin=b"SELECT 1\n AS a;\n").output == "a\n1\n"


def test_a_format_of_clickhouse_comes_as_it_is(pipeline: Up, tmp_path: Path) -> None:
    assert pipeline.run("sql", "SELECT 1 AS a FORMAT JSONEachRow").output == '{"a":1}\n'
    result = pipeline.run("sql", "SELECT number FROM numbers(100000) FORMAT Parquet;")
    assert pyarrow.parquet.read_table(io.BytesIO(result.raw)).num_rows == 100_000
    result = pipeline.run("sql", "SELECT 1 FORMAT CSV", "--format", "json")
    assert (result.code, "leave out that or --format" in result.error) == (2, True)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELEC 1", "error 62: Syntax error"),
        ("SELECT * FROM nowhere", "error 60: Unknown table"),
        ("SELECT * FROM nowhere FORMAT CSV", "error 60: Unknown table"),
        ("INSERT INTO events (event_id) VALUES (1)", "error 164: only SELECT"),
        ("SELECT throwIf(1, 'a\nb')", "a b"),
        ("  ; ", "there is no query"),
    ],
)
def test_a_query_that_is_wrong_is_one_line_and_2(pipeline: Up, query: str, reason: str) -> None:
    result = pipeline.run("sql", query)
    assert (result.code, result.output) == (2, "")
    assert reason in result.error


def test_the_reader_of_a_pipe_may_leave(pipeline: Up) -> None:
    command = [*COMMAND, "sql", "SELECT number FROM numbers(300000)", "--data-dir", pipeline.data_dir]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")


def test_runs(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    events = [
        event(namespace, "etl.orders", eventTime="2026-11-24T09:00:00Z"),
        event(namespace, "etl_orders", eventTime="2026-11-24T10:00:00Z", eventType="FAIL"),
        event(namespace, "train", eventTime="2026-11-24T11:00:00Z", eventType="START"),
    ]
    assert pipeline.run("ingest", written(tmp_path / "e.jsonl", events), "--wait").code == 0

    def names(*options: str) -> list[tuple[str, str]]:
        rows = pipeline.run("runs", "--namespace", namespace, "--format", "json", *options).json()
        return [(row["job_name"], row["state"]) for row in rows]

    assert names() == [("train", "RUNNING"), ("etl_orders", "FAIL"), ("etl.orders", "COMPLETE")]
    assert names("--limit", "1") == [("train", "RUNNING")]
    assert names("--job", "etl*") == [("etl_orders", "FAIL"), ("etl.orders", "COMPLETE")]
    assert names("--job", "etl_orders") == [("etl_orders", "FAIL")]
    assert names("--job", "etl?orders", "--state", "complete") == [("etl.orders", "COMPLETE")]
    assert names("--job", "%") == []


@pytest.mark.parametrize("options", [["--limit", "0"], ["--state", "DONE"], ["--format", "xml"], ["--nope"]])
def test_options_that_are_wrong_are_one_line_and_2(pipeline: Up, options: list[str]) -> None:
    result = pipeline.run("runs", *options)
    assert result.code == 2
    assert result.error.endswith(": see `proventrail runs --help`")


@pytest.fixture
def graph(pipeline: Up, namespace: str, tmp_path: Path) -> str:
    """a → b → d and a → c → d (a diamond), d → e → b (a cycle), and [x]/y → z, whose name is like markup."""
    edges = ["a-b", "b-d", "a-c", "c-d", "d-e", "e-b", "[x]/y-z"]
    events = [moved(namespace, f"job-{edge}", *edge.split("-")) for edge in edges]
    lonely = event(namespace, "reads", inputs=[{"namespace": f"s3://{namespace}", "name": "unused"}])
    assert pipeline.run("ingest", written(tmp_path / "e.jsonl", [*events, lonely]), "--wait").code == 0
    return f"s3://{namespace}"


def test_lineage_of_diamonds_and_cycles(pipeline: Up, graph: str) -> None:
    def edges(direction: str, name: str, *options: str) -> list[tuple[int, str]]:
        rows = pipeline.run("lineage", direction, graph, name, "--format", "json", *options).json()
        return [(row["depth"], f"{row['source_name']}-{row['target_name']}") for row in rows]

    assert edges("downstream", "a") == [(1, "a-b"), (1, "a-c"), (2, "b-d"), (2, "c-d"), (3, "d-e"), (4, "e-b")]
    assert edges("downstream", "a", "--depth", "1") == [(1, "a-b"), (1, "a-c")]
    assert edges("upstream", "d") == [(1, "b-d"), (1, "c-d"), (2, "a-b"), (2, "a-c"), (2, "e-b"), (3, "d-e")]
    assert edges("upstream", "a") == []


def test_the_tree(pipeline: Up, graph: str) -> None:
    jobs = graph.removeprefix("s3://")
    result = pipeline.run("lineage", "downstream", graph.replace("s3://", "s3a://"), "/a/")
    assert result.errors == ""
    assert result.output.splitlines() == [
        f"{graph} a",
        f"├── → {graph} b  {jobs}/job-a-b",
        f"│   └── → {graph} d  {jobs}/job-b-d",
        f"│       └── → {graph} e  {jobs}/job-d-e",
        f"│           └── → {graph} b  {jobs}/job-e-b (see above)",
        f"└── → {graph} c  {jobs}/job-a-c",
        f"    └── → {graph} d  {jobs}/job-c-d (see above)",
    ]
    tree = pipeline.run("lineage", "upstream", graph, "z").output
    assert f"← {graph} [x]/y  {jobs}/job-[x]/y-z" in tree


def test_a_dataset_without_lineage_and_one_that_nobody_knows(pipeline: Up, graph: str) -> None:
    result = pipeline.run("lineage", "upstream", graph, "a")
    assert (result.code, result.output, result.errors) == (0, f"{graph} a\n", "nothing is known upstream of it\n")
    result = pipeline.run("lineage", "upstream", graph, "unused", "--format", "json")
    assert (result.code, result.json()) == (0, [])
    result = pipeline.run("lineage", "downstream", graph, "nowhere")
    assert (result.code, result.error) == (1, f"error: no event names the dataset {graph} nowhere")
    assert pipeline.run("lineage", "upstream", graph, "a", "--depth", "0").code == 2
