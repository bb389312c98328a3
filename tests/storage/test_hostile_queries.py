"""What an auditor may not do, in every disguise that we could think of."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from proventrail.storage.dialect import Dialect
from proventrail.storage.endpoint import Endpoint
from proventrail.storage.endpoint.guard import Refused, check_setting, words
from proventrail.storage.endpoint.session import QueryError, Session, split_format
from proventrail.storage.engine import Engine
from proventrail.storage.migrations import migrate
from proventrail.storage.store import ClientStore
from tests.storage.conftest import TOKEN, ask

SECRET = "a-secret-of-the-machine"

WRITES = [
    "INSERT INTO events (event_id) VALUES (generateUUIDv4())",
    "INSERT INTO FUNCTION file('{folder}/out.csv', 'CSV', 'a Int32') SELECT 1",
    "DROP TABLE events",
    "CREATE TABLE x (a Int32) ENGINE = Memory",
    "CREATE TABLE x (a String) ENGINE = File(CSV, '{folder}/secret.csv')",
    "CREATE TABLE x ENGINE = Memory AS SELECT 1",
    "CREATE TEMPORARY TABLE x (a Int32)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE FUNCTION f AS (a) -> file(a)",
    "CREATE DICTIONARY d (a UInt64, b String) PRIMARY KEY a SOURCE(FILE(path '{folder}/secret.csv' format 'CSV')) "
    "LAYOUT(FLAT())",
    "CREATE NAMED COLLECTION c AS a = 'b'",
    "CREATE USER u",
    "ALTER TABLE events DELETE WHERE 1",
    "DELETE FROM events WHERE 1",
    "UPDATE events SET run_id = '' WHERE 1",
    "RENAME TABLE events TO e",
    "EXCHANGE TABLES events AND dead_letters",
    "TRUNCATE TABLE events",
    "OPTIMIZE TABLE events FINAL",
    "ATTACH TABLE x FROM '{folder}' (a Int32) ENGINE = MergeTree ORDER BY a",
    "DETACH TABLE events",
    "UNDROP TABLE events",
    "BACKUP TABLE events TO File('{folder}/backup')",
    "RESTORE TABLE events FROM File('{folder}/backup')",
    "CHECK TABLE events",
    "SYSTEM FLUSH LOGS",
    "SYSTEM STOP MERGES",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "KILL MUTATION WHERE 1",
    "GRANT ALL ON *.* TO default",
    "REVOKE ALL ON *.* FROM default",
    "SET readonly = 0",
    "SET ROLE DEFAULT",
    "USE system",
    "BEGIN TRANSACTION",
    "EXPLAIN INSERT INTO events (run_id) SELECT 'x'",
    "EXPLAIN CURRENT TRANSACTION",
    "SELECT 1 PARALLEL WITH DROP TABLE events",
    "SELECT 1; DROP TABLE events",
    "SELECT 1 -- x\n; DROP TABLE events",
    "SELECT 1 /* /* */ ; */; DROP TABLE events",
    "SELECT \u2018'\u2019; DROP TABLE events; SELECT \u2018'\u2019",
    "SELECT 1 AS a$x$; DROP TABLE events -- $x$",
]

FILES = [
    "SELECT 1 INTO OUTFILE '{folder}/out'",
    "SELECT 1 INTO/**/OUTFILE '{folder}/out'",
    "SELECT 1 INTO -- x\n OUTFILE '{folder}/out' FORMAT CSV",
    "SELECT 1 INTO\u200bOUTFILE '{folder}/out'",
    "SELECT 1 INTO\u00a0OUTFILE '{folder}/out'",
    "SELECT 1 /* /* */ ' */ INTO OUTFILE '{folder}/out' -- '",
    "SELECT \u2018'\u2019 INTO OUTFILE '{folder}/out' -- '",
    "SELECT 1 AS a$x$ INTO OUTFILE '{folder}/out' -- $x$",
    "SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '{folder}/out' TRUNCATE",
    "(SELECT 1) INTO OUTFILE '{folder}/out' AND STDOUT COMPRESSION 'gzip'",
    "DESCRIBE TABLE events INTO OUTFILE '{folder}/out'",
    "SHOW TABLES INTO OUTFILE '{folder}/out'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{folder}/out'",
    "SELECT * FROM file('{folder}/secret.csv', 'LineAsString')",
    "SELECT * FROM `file`('{folder}/secret.csv', 'LineAsString')",
    "SELECT * FROM \"file\"('{folder}/secret.csv', 'LineAsString')",
    "SELECT * FROM FILE('{folder}/secret.csv', 'LineAsString')",
    "SELECT file('{folder}/secret.csv')",
    "SELECT arrayMap(f -> file(f), ['{folder}/secret.csv'])",
    "SELECT (file('{folder}/secret.csv') AS a, 1).1",
    "SELECT 1 ORDER BY file('{folder}/secret.csv') WITH FILL",
    "SELECT * FROM (SELECT * FROM file('{folder}/secret.csv', 'LineAsString'))",
    "WITH x AS (SELECT * FROM file('{folder}/secret.csv', 'LineAsString')) SELECT * FROM x",
    "WITH (SELECT any(line) FROM file('{folder}/secret.csv', 'LineAsString')) AS x SELECT x",
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x, file('{folder}/secret.csv') WHERE n < 2) "
    "SELECT * FROM x",
    "SELECT * FROM view(SELECT * FROM file('{folder}/secret.csv', 'LineAsString'))",
    "SELECT * FROM (EXPLAIN SELECT * FROM file('{folder}/secret.csv', 'LineAsString'))",
    "SELECT * FROM viewIfPermitted(SELECT line FROM file('{folder}/secret.csv', 'LineAsString') "
    "ELSE null('line String'))",
    "SELECT * FROM loop(file('{folder}/secret.csv', 'LineAsString')) LIMIT 2",
    "SELECT 1 UNION ALL SELECT count() FROM file('{folder}/secret.csv', 'LineAsString')",
    "SELECT 1 EXCEPT SELECT count() FROM file('{folder}/secret.csv', 'LineAsString')",
    "SELECT 1 FROM numbers((SELECT count() FROM file('{folder}/secret.csv', 'LineAsString')))",
    "SELECT 1 FROM events JOIN file('{folder}/secret.csv', 'LineAsString') AS f ON 1 = 1",
    "SELECT 1 WHERE '1' IN (SELECT * FROM file('{folder}/secret.csv', 'LineAsString'))",
    "SELECT 1 LIMIT (SELECT count() FROM file('{folder}/secret.csv', 'LineAsString'))",
    "DESCRIBE TABLE file('{folder}/secret.csv', 'LineAsString')",
    "DESCRIBE (SELECT * FROM file('{folder}/secret.csv'))",
    "EXPLAIN SELECT * FROM file('{folder}/secret.csv', 'LineAsString')",
    "EXPLAIN AST SELECT * FROM file('{folder}/secret.csv', 'LineAsString')",
    "EXPLAIN TABLE OVERRIDE s3('{folder}/secret.csv') COLUMNS (a Int32)",
    "SELECT * FROM `{folder}/secret.csv`.`a`",
    "SELECT * FROM default.`secret.csv`",
    "SELECT * FROM default.`{folder}/secret.csv`",
    "SELECT * FROM `default`.secretfile",
    "SELECT * FROM `secret.csv`",
    "SELECT * FROM 'secret.csv'",
    "SELECT * FROM 'default'.'secret.csv'",
    "SELECT 1 FROM events JOIN default.`secret.csv` AS f ON 1 = 1",
    "SELECT ('1', 'x') IN default.`secret.csv`",
    "SELECT in(('1', 'x'), default.`secret.csv`)",
    "DESCRIBE default.`secret.csv`",
    "EXISTS TABLE default.`secret.csv`",
    "EXISTS default.`secret.csv`",
    "SHOW CREATE TABLE default.`secret.csv`",
    "SELECT * FROM merge('default', '.*')",
    "SELECT hasColumnInTable('default', 'secret.csv', 'a')",
    "SELECT * FROM filesystem('{folder}')",
    "SELECT * FROM fileCluster('default', '{folder}/secret.csv')",
    "SELECT * FROM sqlite('{folder}/x', 't')",
    "SELECT * FROM icebergLocal('{folder}')",
    "SELECT * FROM deltaLakeLocal('{folder}')",
    "SELECT filesystemAvailable()",
    "SELECT 1 SETTINGS format_template_resultset = '{folder}/secret.csv' FORMAT Template",
    "SELECT 1 SETTINGS format_template_row = '{folder}/secret.csv' FORMAT Template",
    "SELECT 1 SETTINGS format_schema = '{folder}/secret.csv:M' FORMAT Protobuf",
    "SELECT 1 AS a SETTINGS output_format_schema = '{folder}/out' FORMAT CapnProto",
    "SELECT * FROM format(CSV, 'a Int32', 'x') SETTINGS input_format_allow_errors_num = 1, "
    "input_format_record_errors_file_path = '{folder}/out'",
]

OTHER_SERVERS = [
    "SELECT 1 WHERE 1 IN (SELECT 1 FROM url('http://127.0.0.1:1/', 'CSV', 'a Int32'))",
    "SELECT * FROM urlCluster('default', 'http://127.0.0.1:1/', 'CSV', 'a Int32')",
    "SELECT * FROM remote('127.0.0.1:9', 'system.one')",
    "SELECT * FROM remote('127.0.0.1:9', view(SELECT 1))",
    "SELECT * FROM remoteSecure('127.0.0.1:9', 'system.one')",
    "SELECT * FROM cluster('default', 'system.one')",
    "SELECT * FROM clusterAllReplicas('default', system.one)",
    "SELECT * FROM s3('http://127.0.0.1:1/b/a', 'CSV', 'a Int32')",
    "SELECT * FROM gcs('http://127.0.0.1:1/b/a', 'CSV', 'a Int32')",
    "SELECT * FROM s3Cluster('default', 'http://127.0.0.1:1/b/a', 'CSV', 'a Int32')",
    "SELECT * FROM azureBlobStorage('http://127.0.0.1:1/b/a', 'CSV', 'a Int32')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:1/b/a', 'CSV', 'a Int32')",
    "SELECT * FROM iceberg('http://127.0.0.1:1/b/a')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a Int32')",
    "SELECT * FROM redis('127.0.0.1:1', 'a', 'a String, b String')",
    "SELECT * FROM jdbc('jdbc:mysql://127.0.0.1:1', 'a', 'b')",
    "SELECT * FROM odbc('DSN=a', 'b', 'c')",
    "SELECT aiGenerate('a', 'b')",
    "SELECT AIGenerate('a', 'b')",
    "SELECT hasColumnInTable('127.0.0.1:9', 'default', '', 'system', 'one', 'dummy')",
    "SELECT * FROM format(AvroConfluent, 'a Int32', 'x') "
    "SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:1'",
]

PROGRAMS_AND_DICTIONARIES = [
    "SELECT * FROM executable('ls', 'TSV', 'a String')",
    "SELECT * FROM (SELECT * FROM executable('ls', TSV, 'a String', (SELECT 1)))",
    "SELECT * FROM Python(client)",
    "SELECT * FROM python(client)",
    "SELECT * FROM eval('1')",
    "SELECT * FROM input('a Int32')",
    "SELECT * FROM dictionary('d')",
    "SELECT dictGet('a', 'b', 1)",
    "SELECT dictGetOrDefault('a', 'b', 1, 2)",
    "SELECT dictGetOrNull('a', 'b', 1)",
    "SELECT dictGetUInt64('a', 'b', 1)",
    "SELECT dictHas('a', 1)",
    "SELECT dictGetHierarchy('a', 1)",
    "SELECT joinGet('a', 'b', 1)",
    "SELECT joinGetOrNull('default.secret', 'b', 1)",
    "SELECT regionToName(1)",
    "SELECT catboostEvaluate('/tmp/model', 1)",
    "SELECT sleepEachRow(3) FROM numbers(100)",
    "SELECT getServerSetting('path')",
    "SELECT getMacro('a')",
    "SELECT * FROM fuzzJSON('a', json_str='{{}}')",
    "SELECT * FROM fuzzQuery('SELECT 1')",
    "SELECT * FROM mergeTreeIndex(currentDatabase(), 'events')",
    "SELECT * FROM mergeTreeProjection(currentDatabase(), 'events', 'p')",
]

THE_SERVER_AND_OTHERS = [
    "SELECT query FROM system.processes",
    "SELECT query FROM `system`.`processes`",
    "SELECT query FROM system/**/.processes",
    "SELECT 1 FROM events, system.processes",
    "SELECT 'x' IN system.processes",
    "SELECT in('x', system.processes)",
    "SELECT * FROM view(SELECT query FROM system.processes)",
    "SELECT query FROM merge('system', '^processes$')",
    "SELECT query FROM merge(REGEXP('sys.*'), '^processes$')",
    "SELECT * FROM loop('system', 'processes')",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.user_processes",
    "SELECT * FROM system.query_cache",
    "SELECT * FROM system.errors",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.detached_parts",
    "SELECT * FROM system.remote_data_paths",
    "SELECT * FROM system.schema_inference_cache",
    "SELECT * FROM system.storage_policies",
    "SELECT * FROM system.users",
    "SELECT * FROM system.named_collections",
    "SELECT * FROM system.dictionaries",
    "SELECT * FROM system.clusters",
    "SELECT * FROM system.build_options",
    "SELECT * FROM system.user_defined_functions",
    "SELECT data_paths FROM system.tables",
    "SELECT * FROM system.tables",
    "SELECT t.* FROM system.tables AS t",
    "SELECT COLUMNS('path') FROM system.databases",
    "SELECT * EXCEPT (name) FROM system.databases",
    "SELECT tuple(*) FROM system.databases",
    "SELECT t.metadata_path FROM system.tables AS t",
    "SELECT data_paths.size0 FROM system.tables",
    "SELECT path FROM (SELECT * FROM system.parts)",
    "SELECT 1 AS `a\n  Function count\n   ExpressionList`, * FROM system.databases",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW ACCESS",
    "SHOW USERS",
    "SHOW CREATE USER default",
    "SHOW CLUSTERS",
    "SHOW FILESYSTEM CACHES",
    "SHOW MERGES",
    "DESCRIBE FILESYSTEM CACHE 'x'",
]

SETTINGS_OF_A_QUERY = [
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_threads = 1, readonly = 0",
    "SELECT 1 SETTINGS max_threads = DEFAULT, readonly = 0",
    "SELECT 1 SETTINGS max_threads = -1.5e3, readonly = 0",
    "SELECT 1 SETTINGS `allow_ddl` = 1",
    'SELECT 1 SETTINGS "allow_ddl" = 1',
    "SELECT 1 SETTINGS/**/allow_ddl/**/=/**/1",
    "SELECT 1 /* /* */ ' */ SETTINGS allow_ddl = 1 -- '",
    "SELECT 1 settings allow_ddl = 1 format CSV",
    "SELECT 1 FORMAT CSV SETTINGS max_memory_usage = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1 SETTINGS max_threads = 1 UNION ALL SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT 1 SETTINGS additional_table_filters = {{'a': 'b'}}, max_threads = 1",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 SETTINGS max_result_bytes = 0",
    "SELECT 1 SETTINGS allow_experimental_ai_functions = 1",
    "SELECT 1 SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT 1 SETTINGS dialect = 'prql'",
    "SELECT 1 SETTINGS log_queries = 1",
    "SELECT 1 SETTINGS merge_tree.x = 1",
    "SHOW TABLES SETTINGS max_memory_usage = 0",
    "DESCRIBE (SELECT 1) SETTINGS max_memory_usage = 0",
]

GROUPS = (WRITES, FILES, OTHER_SERVERS, PROGRAMS_AND_DICTIONARIES, THE_SERVER_AND_OTHERS, SETTINGS_OF_A_QUERY)
# READONLY and UNKNOWN_SETTING are ours. Syntax, an unknown function, name, table or database are refused by the engine.
OURS = {"164", "115"}
THE_ENGINES = {"62", "46", "47", "60", "81"}


@pytest.fixture(scope="module")
def client(endpoint: Endpoint, store: ClientStore) -> Iterator[httpx.Client]:
    """One database for all: nothing here may change it."""
    dialect = Dialect(database=f"h_{uuid.uuid4().hex[:12]}", storage_policy="tiered")
    migrate(store, dialect)
    base = f"http://127.0.0.1:{endpoint.port}"
    with httpx.Client(base_url=base, headers={"X-ClickHouse-Database": dialect.database}, timeout=60) as client:
        yield client
    store.command(f"DROP DATABASE {dialect.database}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a secret in it, from which the engine's file names count; nothing may be added to it."""
    (tmp_path / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
    (tmp_path / "secretfile").write_text(f'{{"a": "{SECRET}"}}\n')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert sorted(os.listdir(tmp_path)) == ["secret.csv", "secretfile"]


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code in (400, 403, 404, 500), answer.text
    assert answer.headers["x-clickhouse-exception-code"] in OURS | THE_ENGINES, answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize("query", [query for group in GROUPS for query in group])
def test_what_reaches_further_is_refused(client: httpx.Client, folder: Path, query: str) -> None:
    answer = ask(client, query.format(folder=folder))
    assert_refused(answer)
    assert answer.headers["x-clickhouse-exception-code"] in OURS or "Syntax error" in answer.text
    assert ask(client, "EXISTS TABLE events").text == "1\n"


@pytest.mark.parametrize(
    "query", ["SELECT 1 FROM {t:Identifier}", "SELECT 1 IN {t:Identifier}", "DESCRIBE {t:Identifier}"]
)
@pytest.mark.parametrize(
    "name", ["default.secretfile", "system.processes", "system.tables\n", "x` FROM system.processes"]
)
def test_a_table_named_by_a_parameter_is_checked_too(client: httpx.Client, folder: Path, query: str, name: str) -> None:
    assert_refused(ask(client, query, param_t=name))


def test_identifiers_in_two_parameters(client: httpx.Client) -> None:
    query = "SELECT 1 FROM {d:Identifier}.{t:Identifier}"
    assert_refused(ask(client, query, param_d="system", param_t="processes"))
    assert ask(client, query, param_d="system", param_t="one").text == "1\n"


@pytest.mark.parametrize("database", ["system", "INFORMATION_SCHEMA", "nowhere", "`; DROP", "x\\"])
def test_a_database_that_cannot_be_the_current_one(client: httpx.Client, database: str) -> None:
    """In `system`, a bare `processes` would be a table."""
    answer = client.post("/", content="SELECT 1", headers={"X-ClickHouse-Database": database}, auth=("auditor", TOKEN))
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (404, "81")


@pytest.mark.parametrize("name", ["secret.csv", "secretfile"])
def test_the_default_database_is_ours_and_not_the_engines(client: httpx.Client, folder: Path, name: str) -> None:
    """The engine's takes any file for a table."""
    headers = {"X-ClickHouse-Database": "default"}
    answer = client.post("/", content=f"SELECT * FROM `{name}`", headers=headers, auth=("auditor", TOKEN))
    assert_refused(answer)


def test_settings_have_no_say_in_the_check(client: httpx.Client) -> None:
    """With these, an EXPLAIN would give one line of many."""
    settings = {"max_result_rows": "1", "max_block_size": "1", "result_overflow_mode": "break"}
    assert_refused(ask(client, "SELECT query FROM system.processes", **settings))
    assert ask(client, "SELECT 1 + 1", **settings).text == "2\n"


@pytest.mark.parametrize("setting", ["max_threads\n", "format_schema", "output_format_schema", "dialect", "params", ""])
def test_settings_of_a_request(setting: str) -> None:
    with pytest.raises(Refused):
        check_setting(setting)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * EXCEPT (path) FROM (SELECT 1 AS path, 2 AS b)",
        "SELECT count(*), uniq(engine) FROM system.tables WHERE name LIKE '%'",
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active GROUP BY table",
        "SELECT name, value FROM system.settings WHERE name = 'max_threads'",
        "SELECT * FROM system.one UNION ALL SELECT 1 SETTINGS max_threads = 1",
        "SELECT settings, format FROM (SELECT 1 AS settings, 2 AS format) SETTINGS max_threads = 1 FORMAT JSON",
        "WITH e AS (SELECT * FROM events) SELECT count() FROM e WHERE run_id IN (SELECT run_id FROM runs)",
        "SELECT e.inputs.name FROM events AS e WHERE e.event_kind IN ('RUN', 'JOB')",
        "SELECT table_name FROM information_schema.tables LIMIT 1",
        "SELECT * FROM VALUES('a UInt8', 1, 2)",
        "SELECT * FROM format(JSONEachRow, '{\"a\": 1}')",
        "SELECT 'INTO OUTFILE', 'SETTINGS readonly = 0', \"run_id\" FROM events -- system.processes",
        "SHOW TABLES",
        "SHOW DATABASES LIKE '%'",
        "SHOW CREATE TABLE events",
        "DESCRIBE events",
        "EXPLAIN indexes = 1 SELECT * FROM events",
        "1 + 1",
    ],
)
def test_what_reads_the_store_is_answered(client: httpx.Client, text: str) -> None:
    answer = ask(client, text)
    assert answer.status_code == 200, answer.text


def test_the_engine_writes_a_query_anew(engine: Engine) -> None:
    session = Session(engine.connection_string)
    try:
        text = "select 'a;b' -- c\n, `d``e`, $x$ ; FORMAT CSV\n$x$ # f\n/* g ; */ format JSON settings max_threads = 1;"
        canonical = session.canonical(text)
        query, fmt = split_format(canonical, "TSV")
        assert fmt == "JSON"
        assert re.sub(r"\s+", " ", query) == r"SELECT 'a;b', `d\`e`, ' ; FORMAT CSV\n' SETTINGS max_threads = 1"
        tokens = ["SELECT", "'a;b'", ",", r"`d\`e`", ",", r"' ; FORMAT CSV\n'", "SETTINGS", "max_threads", "=", "1"]
        assert list(words(query)) == tokens
        with pytest.raises(QueryError, match=r"^Code: 62\. DB::Exception: (?!.*formatQuery).*\(SYNTAX_ERROR\)$"):
            session.canonical("SELEC 1")
    finally:
        session.close()
