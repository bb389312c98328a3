"""ClickHouse's own clients, unmodified, against the endpoint: what they read is what the store holds.

curl runs in `make test`; the JDBC driver and the Node.js client, which are fetched, in `make test-interop`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.engine import Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.sink.events import EventWriter
from proventrail.storage.store import ClientStore
from tests.storage.conftest import TOKEN, chunk, dataset, refined

# The newest version that is published with the classifier `all`.
JDBC_DRIVER = "com.clickhouse:clickhouse-jdbc:0.9.9:all"
SLF4J = "org.slf4j:slf4j-nop:2.0.17"

# Every kind of column: UUID, DateTime64, Enum8, LowCardinality, Nullable, Array, Map, Tuple, UInt8 to UInt64, Int64.
QUERIES = [
    "SELECT * FROM events ORDER BY raw_offset",
    "SELECT * FROM runs ORDER BY run_id",
    "SELECT * FROM run_states ORDER BY run_id",
    "SELECT * FROM run_datasets ORDER BY run_id, direction, name",
    "SELECT * FROM lineage_edges ORDER BY run_id, source_name",
    "SELECT [['a', 'ü'], []] AS nested, map('k', [1, 2]) AS m, (1, ('x', NULL)) AS t, "
    "[toUUID('11111111-2222-4333-8444-555555555555')] AS u, "
    "[toDateTime64('2026-01-02 03:04:05.678901', 6, 'UTC')] AS times, 18446744073709551615 AS big, "
    "-9223372036854775808 AS small, toNullable(toUInt8(0)) AS n, toLowCardinality(toNullable('lc')) AS l",
]
MILLION = "SELECT number, repeat(toString(number), 60) FROM numbers(1000000)"
CHARACTERS = 60 * sum(map(len, map(str, range(1_000_000))))
MILLION_ANSWER = ["1000000", str(999_999 * 500_000), str(CHARACTERS)]


@pytest.fixture(scope="module")
def dialect(store: ClientStore) -> Iterator[Dialect]:
    """Three runs, with everything that an event can hold."""
    dialect = Dialect(database=f"i_{uuid.uuid4().hex[:12]}", storage_policy="tiered")
    migrate(store, dialect)
    writer = EventWriter(store, dialect, 0)
    writer.open(None)
    facets = {"schema": '{"fields": [{"name": "prénom"}]}', "quoted": 'it\'s "x"\\\n'}
    sources = [dataset("orders", facets=facets), dataset("prénom\t'"), dataset("empty", version="7")]
    events = [
        refined(0, inputs=sources, outputs=[dataset("b", io_facets=facets)], run_facets=facets),
        refined(
            1, event_type="COMPLETE", inputs=sources[:1], outputs=[dataset("c")], nominal_start=1_700_000_000_123_456
        ),
        refined(2, event_kind="JOB", event_type="", run_id="", regulations=["GDPR", "AI Act"], emitter_epoch=2**62),
        refined(3, parent_run_id="run-1", parent_job_namespace="n", parent_job_name="j", lateness_ms=-5),
    ]
    writer.write(chunk(events), replay=False)
    yield dialect
    store.command(f"DROP DATABASE {dialect.database}")


@pytest.fixture(scope="module")
def endpoint(engine: Engine, dialect: Dialect) -> Iterator[Endpoint]:
    endpoint = Endpoint(engine.connection_string, TOKEN, sessions=3, database=dialect.database).start()
    yield endpoint
    endpoint.stop()


def in_database(sql: str, dialect: Dialect) -> str:
    return sql.replace("FROM ", f"FROM {dialect.database}.")


def finished(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(command, text=True, capture_output=True, timeout=300, check=False, **more)
    assert found.returncode == 0, found.stdout + found.stderr
    return found


def lines(command: list[str], **more: Any) -> list[Any]:
    """The lines of JSON that a program prints."""
    return [json.loads(line) for line in finished(command, **more).stdout.splitlines()]


@contextmanager
def memory_grows_by_less_than(limit: int) -> Iterator[None]:
    """Of this process, which holds the engine and the endpoint. In bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # The peak counts from now.
    before = peak_memory()
    yield
    assert peak_memory() - before < limit


def peak_memory() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])


# -- curl --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def curl(endpoint: Endpoint) -> Callable[..., subprocess.CompletedProcess[str]]:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    url = f"http://127.0.0.1:{endpoint.port}/"

    def run(*arguments: str, query_string: str = "") -> subprocess.CompletedProcess[str]:
        command = ["curl", "--silent", "--show-error", "--fail-with-body", url + query_string, *arguments]
        return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)

    return run


Curl = Callable[..., subprocess.CompletedProcess[str]]
ZIPPED = "?enable_http_compression=1"
IDENTITIES = [
    ["--user", f"auditor:{TOKEN}"],
    ["--header", f"Authorization: Bearer {TOKEN}"],
    ["--header", "X-ClickHouse-User: auditor", "--header", f"X-ClickHouse-Key: {TOKEN}"],
]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_curl_asks_in_three_ways_who_it_is(curl: Curl, identity: list[str]) -> None:
    query = "SELECT job_name, count() FROM events GROUP BY 1 FORMAT CSV"
    found = curl(*identity, "--data-binary", query)
    assert (found.returncode, found.stdout) == (0, '"j",4\n')
    wrong = [argument.replace(TOKEN, "wrong") for argument in identity]
    refused = curl(*wrong, "--data-binary", query)
    assert refused.returncode == 22
    assert refused.stdout.startswith("Code: 516. ")


def test_curl_is_told_of_an_error_by_its_exit_code(curl: Curl) -> None:
    found = curl(*IDENTITIES[0], "--data-binary", "SELEC 1")
    assert found.returncode == 22
    assert found.stdout.startswith("Code: 62. DB::Exception: Syntax error: failed at position ")


def test_curl_takes_a_zipped_million_rows(curl: Curl) -> None:
    arguments = [*IDENTITIES[0], "--compressed", "--data-binary", "SELECT number FROM numbers(1000000)"]
    found = curl(*arguments, query_string=ZIPPED)
    assert found.stdout == "".join(f"{n}\n" for n in range(1_000_000))


def test_curl_is_told_of_an_error_in_mid_stream(curl: Curl) -> None:
    query = "SELECT throwIf(number = 3000000) FROM numbers(4000000)"
    for query_string in ("", ZIPPED):
        arguments = [*IDENTITIES[0], "--compressed", "--data-binary", query]
        assert curl(*arguments, query_string=query_string).returncode != 0


# -- JDBC --------------------------------------------------------------------------------------------------------------

Jdbc = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def jdbc(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path, endpoint: Endpoint, dialect: Dialect) -> Jdbc:
    """Runs a step of `Query.java` in 96 MB and gives what it printed."""
    if shutil.which("javac") is None:
        pytest.skip("needs a JDK: the program is compiled here")
    import jgo

    folder = tmp_path_factory.mktemp("java")
    found = [
        jar for name in (JDBC_DRIVER, SLF4J) for jar in jgo.build(name, cache_dir=folder / "jgo").path.rglob("*.jar")
    ]
    # `all` holds its dependencies, but for slf4j.
    jars = [jar for jar in found if jar.name.endswith("-all.jar") or jar.name.startswith("slf4j-")]
    class_path = os.pathsep.join(map(str, [folder, *jars]))
    source = repo_dir / "tests/interop/java-clickhouse/Query.java"
    subprocess.run(["javac", "-cp", class_path, "-d", folder, source], check=True, timeout=120)

    def run(step: str, *arguments: str, token: str = TOKEN, options: str = "") -> list[Any]:
        url = f"jdbc:clickhouse://127.0.0.1:{endpoint.port}/{dialect.database}{options}"
        return lines(["java", "-Xmx96m", "-cp", class_path, "Query", url, token, step, *arguments])

    return run


def as_java_prints(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        utc = value if value.tzinfo else value.replace(tzinfo=UTC)
        return str((utc - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1))
    if isinstance(value, dict):
        return {str(key): as_java_prints(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_java_prints(inner) for inner in value]
    return str(value)


@pytest.mark.interop
@pytest.mark.parametrize("query", QUERIES)
def test_jdbc_reads_every_type(jdbc: Jdbc, store: ClientStore, dialect: Dialect, query: str) -> None:
    types, *rows = jdbc("rows", query)
    expected = store.client.query(in_database(query, dialect), query_formats={"Tuple": "tuple"})
    assert [name for name, _ in types] == list(expected.column_names)
    assert rows == [as_java_prints(row) for row in expected.result_rows]
    assert rows


@pytest.mark.interop
@pytest.mark.parametrize("options", ["?compress=false", "?client.use_http_compression=true"])
def test_jdbc_compresses_as_it_is_told(jdbc: Jdbc, options: str) -> None:
    assert jdbc("rows", "SELECT number FROM numbers(3)", options=options)[1:] == [["0"], ["1"], ["2"]]


@pytest.mark.interop
def test_jdbc_binds_parameters(jdbc: Jdbc) -> None:
    _, row = jdbc("parameters")
    uid = "11111111-2222-4333-8444-555555555555"
    assert row == ['it\'s \\ "ü"\n?', str(2**63 - 1), "0.5", uid, "' UNION ALL SELECT 1 -- ", None, "run-1"]


@pytest.mark.interop
def test_jdbc_streams_a_million_rows(jdbc: Jdbc) -> None:
    with memory_grows_by_less_than(CHARACTERS):
        assert jdbc("stream", MILLION) == [MILLION_ANSWER]


@pytest.mark.interop
def test_jdbc_is_told_what_is_wrong(jdbc: Jdbc) -> None:
    [[_, code, message]] = jdbc("rows", "SELEC 1")
    assert (code, "Syntax error" in message) == ("62", True)
    [[_, code, message]] = jdbc("rows", "SELECT * FROM file('/etc/passwd', 'LineAsString')")
    assert (code, "reaches outside" in message or "stay inside" in message) == ("164", True)
    [[_, code, message]] = jdbc("rows", "SELECT 1", token="wrong")
    assert (code, "Authentication failed" in message) == ("516", True)
    [[kind, *_]] = jdbc("stream", "SELECT throwIf(number = 3000000), '' FROM numbers(4000000)")
    assert kind == "error"


@pytest.mark.interop
def test_jdbc_answers_what_dbeaver_asks(jdbc: Jdbc, dialect: Dialect) -> None:
    [found] = jdbc("metadata", dialect.database)
    assert found["product"] == "ClickHouse"
    assert found["SELECT version()"] == [found["version"]]
    assert found["valid"] is True
    assert found["SELECT currentDatabase()"] == [dialect.database]
    assert {dialect.database, "system"} <= set(found["schemas"])
    assert {"events", "runs", "lineage_edges"} <= set(found["tables"])
    assert {"runs", "lineage_edges"} <= set(found["views"])
    assert "events" not in found["views"]
    assert found["columns"][:3] == ["raw_topic_id", "raw_topic", "raw_partition"]
    assert found["types"][:3] == ["UUID", "LowCardinality(String)", "UInt16"]
    assert {"UInt64", "DateTime64", "Map"} <= set(found["type info"])
    assert found[f"SELECT name FROM system.tables WHERE database = '{dialect.database}' AND name = 'runs'"] == ["runs"]
    assert "CREATE VIEW" in found["create"][0]


@pytest.mark.interop
def test_jdbc_limits_a_result_as_dbeaver_does(jdbc: Jdbc) -> None:
    assert jdbc("limits") == [["200"]]
    # The driver went away in mid-stream.
    assert jdbc("rows", "SELECT 1")[1:] == [["1"]]


# -- Node.js -----------------------------------------------------------------------------------------------------------

Node = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, repo_dir: Path, endpoint: Endpoint, dialect: Dialect) -> Node:
    """Runs a step of `query.mjs` in 64 MB and gives what it printed."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js with npm")
    folder = tmp_path_factory.mktemp("node")
    for file in (repo_dir / "tests/interop/node-clickhouse").iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    finished(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    def run(step: str, *arguments: str, token: str = TOKEN) -> list[Any]:
        url = f"http://127.0.0.1:{endpoint.port}"
        program = ["node", "--max-old-space-size=64", "query.mjs"]
        return lines([*program, url, token, dialect.database, step, *arguments], cwd=folder)

    return run


@pytest.mark.interop
@pytest.mark.parametrize("fmt", ["JSONEachRow", "JSON", "JSONCompactEachRowWithNamesAndTypes", "JSONCompact"])
@pytest.mark.parametrize("query", QUERIES)
def test_node_reads_every_type(node: Node, store: ClientStore, dialect: Dialect, query: str, fmt: str) -> None:
    [found] = node("rows", query, fmt)
    settings = {"output_format_json_quote_64bit_integers": 1}
    text = store.client.raw_query(in_database(query, dialect), fmt=fmt, settings=settings)
    if "EachRow" in fmt:
        assert found == [json.loads(line) for line in text.splitlines()]
        assert found
    else:
        expected = json.loads(text)
        assert (found["meta"], found["data"]) == (expected["meta"], expected["data"])
        assert found["data"]


@pytest.mark.interop
def test_node_binds_parameters(node: Node) -> None:
    found = node("parameters")
    assert len(found[0]) == 1, found
    [[row]] = found
    assert row == {
        "s": 'it\'s \\ "ü"\n\t{x}',
        "n": str(2**64 - 1),
        "t": "2026-01-02 03:04:05.678000",
        "a": ["it's", "\\"],
        "m": {"k": 1},
        "b": True,
        "nothing": None,
        "tuple": ["x", -1],
        "run_id": "run-1",
    }


@pytest.mark.interop
@pytest.mark.parametrize("fmt", ["JSONEachRow", "JSONCompactEachRow"])
def test_node_streams_a_million_rows(node: Node, fmt: str) -> None:
    with memory_grows_by_less_than(CHARACTERS):
        assert node("stream", MILLION, fmt) == [MILLION_ANSWER]


@pytest.mark.interop
def test_node_is_told_what_is_wrong(node: Node) -> None:
    [[_, code, message]] = node("rows", "SELEC 1", "JSONEachRow")
    assert (code, "Syntax error" in message) == ("62", True)
    [[_, code, message]] = node("rows", "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')", "JSONEachRow")
    assert (code, "stay inside the store" in message) == ("164", True)
    [[_, code, message]] = node("rows", "SELECT 1", "JSONEachRow", token="wrong")
    assert (code, "Authentication failed" in message) == ("516", True)
    [[kind, *_]] = node("stream", "SELECT throwIf(number = 3000000), '' FROM numbers(4000000)", "JSONEachRow")
    assert kind == "error"


@pytest.mark.interop
def test_node_has_the_habits_of_grafana(node: Node, dialect: Dialect) -> None:
    ping, select, found, zipped, bearer = node("habits")
    assert ping["success"] is select["success"] is True
    assert found["query_id"] == "a-query-of-ours"
    assert found["data"] == [{"threads": 1, "database": dialect.database}]
    assert (zipped, bearer) == ([{"zipped": 1}], [{"bearer": 1}])


@pytest.mark.interop
def test_node_reads_parquet(node: Node, store: ClientStore, dialect: Dialect) -> None:
    query = "SELECT run_id, event_time, raw_offset, inputs.name FROM events ORDER BY raw_offset"
    [text] = node("parquet", query)
    table = pyarrow.parquet.read_table(pa.BufferReader(base64.b64decode(text)))
    expected = store.client.query_arrow(in_database(query, dialect))
    assert table["run_id"].to_pylist() == expected["run_id"].cast(pa.string()).to_pylist()
    assert table["raw_offset"].to_pylist() == [0, 1, 2, 3]
    assert table.num_columns == 4


@pytest.mark.interop
def test_node_goes_away_in_mid_stream_and_frees_its_session(node: Node) -> None:
    assert node("abort") == [[{"one": 1}]]
