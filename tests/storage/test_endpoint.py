"""The endpoint speaks as a ClickHouse server does, to those who have the token, and only to read."""

from __future__ import annotations

import gzip
import struct
import threading

import clickhouse_connect
import httpx
import lz4.block
import lz4.frame
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.endpoint.compression import NativeBlocks
from proventrail.storage.engine import Engine, EngineError
from proventrail.storage.store import ClientStore
from tests.storage.conftest import TOKEN, ask


def test_ping_needs_no_token(client: httpx.Client) -> None:
    assert client.get("/ping").text == "Ok.\n"


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({}, {}, 403),
        ({"Authorization": f"Bearer {TOKEN}"}, {}, 200),
        ({"Authorization": "Bearer wrong"}, {}, 401),
        ({"Authorization": "Basic !"}, {}, 401),
        ({"X-ClickHouse-User": "auditor", "X-ClickHouse-Key": TOKEN}, {}, 200),
        ({"X-ClickHouse-User": "auditor", "X-ClickHouse-Key": "wrong"}, {}, 403),
        ({"X-ClickHouse-User": "root", "X-ClickHouse-Key": TOKEN}, {}, 403),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": TOKEN}, {}, 403),
        ({}, {"user": "auditor", "password": TOKEN}, 200),
        ({}, {"user": "auditor", "password": ""}, 403),
    ],
)
def test_only_the_token_opens(
    client: httpx.Client, headers: dict[str, str], params: dict[str, str], status: int
) -> None:
    answer = client.get("/", params={"query": "SELECT 1", **params}, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert "Code: 516" in answer.text
        assert answer.headers["x-clickhouse-exception-code"] == "516"
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT 1, 'a\tb'", "1\ta\\tb\n"),
        ("SELECT 1 AS n FORMAT JSONEachRow", '{"n":1}\n'),
        ("SELECT 1 AS n, 'x' AS s FORMAT TabSeparatedWithNamesAndTypes;", "n\ts\nUInt8\tString\n1\tx\n"),
        ("SELECT 1 AS n FORMAT CSVWithNames", '"n"\n1\n'),
        ("SELECT 1 AS n FORMAT CSVWithNames -- so that", '"n"\n1\n'),
        ("SELECT 1 AS n FORMAT JSONEachRow SETTINGS max_threads = 1", '{"n":1}\n'),
        ("SELECT 1 AS n -- FORMAT CSV", "1\n"),
        ("1 + 1", "2\n"),
        ("SELECT number % 2 AS k, count() FROM numbers(5) GROUP BY k WITH TOTALS ORDER BY k", "0\t3\n1\t2\n\n0\t5\n"),
        ("SELECT number FROM numbers(3) SETTINGS extremes = 1", "0\n1\n2\n\n0\n2\n"),
        ("WITH 2 AS x SELECT x SETTINGS max_threads = 1", "2\n"),
        ("SELECT sum(number) FROM numbers(10)", "45\n"),
        ("EXISTS TABLE events", "1\n"),
        ("SELECT ';', '-- no comment', 'INTO OUTFILE' /* ; */", ";\t-- no comment\tINTO OUTFILE\n"),
    ],
)
def test_harmless_queries_are_answered(client: httpx.Client, query: str, text: str) -> None:
    answer = ask(client, query)
    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize("setting", ["readonly", "allow_ddl", "log_queries", "user_files_path", "no_such_setting"])
def test_settings_that_reach_further_change_nothing(client: httpx.Client, setting: str) -> None:
    answer = ask(client, "SELECT getSetting('readonly')", **{setting: "0"})
    assert answer.status_code == 400 or answer.text == "2\n"


def test_the_engine_itself_refuses_writes_of_a_session(endpoint: Endpoint) -> None:
    """The second wall: what if the guard were fooled?"""
    session = endpoint._sessions.pop()
    try:
        with pytest.raises(Exception, match="READONLY"):
            session._ask("CREATE TABLE default.x (a Int32) ENGINE = Memory", "TSV")
    finally:
        endpoint._sessions.append(session)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("SELECT * FROM no_such_table", 404, 60),
        ("SELECT no_such_column FROM events", 404, 47),
        ("SELECT throwIf(1)", 400, 395),
        ("", 400, 62),
        ("SELECT 1 FORMAT Nope", 404, 73),
    ],
)
def test_errors_have_the_servers_codes(client: httpx.Client, query: str, status: int, code: int) -> None:
    answer = ask(client, query)
    assert answer.status_code == status or code == 47
    assert answer.headers["x-clickhouse-exception-code"] == str(code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert answer.text.count("DB::Exception") == 1


def test_a_query_in_pieces_and_zipped(client: httpx.Client) -> None:
    auth = ("auditor", TOKEN)
    assert client.post("/", params={"query": "SELECT"}, content="41 + 1", auth=auth).text == "42\n"
    zipped = {"Content-Encoding": "gzip"}
    assert client.post("/", content=gzip.compress(b"SELECT 7"), headers=zipped, auth=auth).text == "7\n"
    assert client.post("/", content=b"not gzip", headers=zipped, auth=auth).status_code == 400
    assert ask(client, "SELECT {a:String} || {b:UInt8}", param_a="it's ", param_b="5").text == "it\\'s 5\n"


@pytest.mark.parametrize(
    ("encoding", "accept"), [("gzip", "br;q=1.0, gzip"), ("lz4", "lz4"), (None, "gzip;q=0"), (None, "zstd"), (None, "")]
)
def test_a_response_is_encoded_if_it_may_be(client: httpx.Client, encoding: str | None, accept: str) -> None:
    headers = {"Accept-Encoding": accept}
    for params, expected in (({"enable_http_compression": "1"}, encoding), ({}, None)):
        params["query"] = "SELECT number FROM numbers(100000)"
        with client.stream("GET", "/", params=params, headers=headers, auth=("auditor", TOKEN)) as answer:
            assert answer.headers.get("content-encoding") == expected
            data = b"".join(answer.iter_raw())
        plain = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress}.get(expected or "", bytes)(data)
        assert plain == b"".join(b"%d\n" % n for n in range(100_000))


def test_clickhouses_own_compressed_blocks(client: httpx.Client) -> None:
    """The JDBC driver verifies such checksums (tests/interop)."""
    block = "aae188d5ccfd2a4dc81e026dfd1d9ee5820d0000000300000030616263"
    assert NativeBlocks().encode(b"abc").hex() == block
    query = "SELECT repeat('xyz', 1000000)"
    data = ask(client, query, compress="1", enable_http_compression="1").content
    plain = b""
    while data:
        method, size, plain_size = struct.unpack_from("<BII", data, 16)
        assert method == 0x82
        plain += lz4.block.decompress(data[25 : 16 + size], plain_size)
        data = data[16 + size :]
    assert plain == b"xyz" * 1_000_000 + b"\n"
    assert ask(client, "SELEC 1", compress="1").text.startswith("Code: 62. ")


def test_a_body_that_would_fill_the_memory_is_not_unzipped(client: httpx.Client) -> None:
    bomb = gzip.compress(b"SELECT 1 " + b" " * (64 << 20))
    answer = client.post("/", content=bomb, headers={"Content-Encoding": "gzip"}, auth=("auditor", TOKEN))
    assert answer.status_code == 413
    cut = gzip.compress(b"SELECT 1")[:-4]
    answer = client.post("/", content=cut, headers={"Content-Encoding": "gzip"}, auth=("auditor", TOKEN))
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["query_id", "default_format", "session_timezone"])
def test_what_goes_back_in_a_header_cannot_break_out_of_it(client: httpx.Client, name: str) -> None:
    answer = ask(client, "SELECT 1", **{name: "TSV\r\nX-Injected: 1"})
    assert answer.status_code == 400
    assert "x-injected" not in answer.headers


def test_a_session_keeps_nothing_of_the_query_before(client: httpx.Client) -> None:
    for _ in range(4):
        answer = ask(client, "SELECT toDateTime(0), timezone()", session_timezone="Asia/Tokyo")
        assert answer.text == "1970-01-01 09:00:00\tAsia/Tokyo\n"
        assert answer.headers["x-clickhouse-timezone"] == "Asia/Tokyo"
    answers = [ask(client, "SELECT timezone()") for _ in range(4)]
    assert (
        {answer.text.strip() for answer in answers} == {answers[0].headers["x-clickhouse-timezone"]} != {"Asia/Tokyo"}
    )


def test_a_failure_after_the_first_rows_breaks_the_response(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client, "SELECT throwIf(number = 3000000) FROM numbers(4000000)")
    assert ask(client, "SELECT 1").text == "1\n"


def test_a_client_that_goes_away_frees_its_session(endpoint: Endpoint, client: httpx.Client) -> None:
    for _ in range(6):
        query = {"query": "SELECT number FROM numbers(1000000000)"}
        with client.stream("GET", "/", params=query, auth=("auditor", TOKEN)) as answer:
            next(answer.iter_bytes())
    assert ask(client, "SELECT 1").text == "1\n"


def test_queries_run_side_by_side(client: httpx.Client) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda i=i: answers.append(ask(client, f"SELECT {i} + sum(number) FROM numbers(100000)").text)
        )
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, answers)) == [4999950000 + i for i in range(12)]


def test_clickhouse_connect_takes_it_for_a_server(endpoint: Endpoint, dialect: Dialect) -> None:
    where = {"host": "127.0.0.1", "port": endpoint.port, "database": dialect.database}
    client = clickhouse_connect.get_client(**where, username="auditor", password=TOKEN)
    result = client.query(
        "SELECT {x:String} AS s, toDateTime64('2026-01-02 03:04:05.678', 6, 'UTC') AS t, [1, 2] AS a, map('k', 'v') "
        "AS m, toUUID('11111111-2222-4333-8444-555555555555') AS u, NULL AS n, toLowCardinality('lc') AS l",
        parameters={"x": "it's"},
    )
    assert result.column_names == ("s", "t", "a", "m", "u", "n", "l")
    row = result.result_rows[0]
    assert (row[0], row[1].microsecond, row[2], row[3]) == ("it's", 678000, [1, 2], {"k": "v"})
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as blocks:
        assert sum(len(block) for block in blocks) == 1_000_000
    assert client.query_arrow("SELECT number FROM numbers(1000)").num_rows == 1000
    with pytest.raises(DatabaseError, match=r"UNKNOWN_TABLE|60"):
        client.query("SELECT 1 FROM no_such_table")
    with pytest.raises(ClickHouseError, match=r"516|AUTHENTICATION"):
        clickhouse_connect.get_client(**where, username="auditor", password="wrong")


def test_a_second_process_is_told_who_has_the_store(engine: Engine, store: ClientStore) -> None:
    with pytest.raises(EngineError, match=r"is open in process \d+: reach it over HTTP"):
        Engine(engine.data_dir)
