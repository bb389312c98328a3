"""`status`, and what every command says when nothing runs or a server cannot be used."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from proventrail.cli.app import cli

from .conftest import START_SECONDS, Up, run

ASKING = {
    "status": [],
    "sql": ["SELECT 1"],
    "runs": [],
    "lineage": ["upstream", "s3://b", "a"],
    "dead-letters": ["list"],
    "catalog": ["list"],
    "verify-delivery": [],
    "topics": [],
    "migrate": ["--status"],
}


def test_when_nothing_runs_each_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("{}")
    for command, arguments in {**ASKING, "ingest": [str(tmp_path / "e.json")]}.items():
        result = run(command, *arguments, "--data-dir", tmp_path)
        assert (result.code, result.output) == (3, ""), command
        assert result.error.startswith(f"error: nothing runs on {tmp_path}: start `proventrail up`, or name"), command
    assert not (tmp_path / "token").exists()


def test_the_data_directory_comes_from_the_environment(pipeline: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENTRAIL_DATA_DIR", str(pipeline.data_dir))
    assert run("sql", "SELECT 1 AS a").output == "a\n1\n"


def test_servers_that_are_not_there(tmp_path: Path) -> None:
    nowhere = ["--bootstrap-servers", "127.0.0.1:1", "--data-dir", tmp_path]
    result = run("catalog", "list", *nowhere)
    assert (result.code, "Kafka at 127.0.0.1:1 cannot be used" in result.error) == (3, True)
    assert "refused" in result.error
    store = ["--clickhouse-url", "http://127.0.0.1:1", "--data-dir", tmp_path]
    result = run("sql", "SELECT 1", *store)
    assert result.error == "error: the store at http://127.0.0.1:1 cannot be used: no answer (Connection refused)"
    assert result.code == 3


def test_servers_that_cannot_be_meant(tmp_path: Path) -> None:
    result = run("sql", "SELECT 1", "--clickhouse-url", "http://user:secret@host", "--data-dir", tmp_path)
    assert (result.code, "secret" in result.errors) == (2, False)
    assert result.error.startswith("error: ClickHouse settings: put user and password into username")
    result = run("topics", "--bootstrap-servers", "h:1", "--security-protocol", "SASL_SSL", "--data-dir", tmp_path)
    assert (result.code, "PROVENTRAIL_SASL_PASSWORD" in result.error) == (2, True)
    result = run("topics", "--bootstrap-servers", "h:1", "--security-protocol", "TLS", "--data-dir", tmp_path)
    assert (result.code, "--security-protocol" in result.error) == (2, True)


def test_a_wrong_password_of_the_store(pipeline: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{pipeline.instance.ports['clickhouse']}"
    monkeypatch.setenv("PROVENTRAIL_CLICKHOUSE_PASSWORD", "wrong")
    result = run("runs", "--clickhouse-url", url, "--clickhouse-user", "auditor")
    assert result.code == 3
    assert result.error == f"error: the store at {url} cannot be used: the user auditor or the password is refused"
    monkeypatch.setenv("PROVENTRAIL_CLICKHOUSE_PASSWORD", pipeline.token)
    assert run("runs", "--clickhouse-url", url, "--clickhouse-user", "auditor").code == 0


def lines(pipeline: Up) -> tuple[int, dict[str, tuple[object, str]]]:
    result = pipeline.run("status", "--format", "json")
    return result.code, {row["what"]: (row["value"], row["detail"]) for row in result.json()}


def test_it_tells_of_every_stage_what_waits_and_what_is_stored(pipeline: Up) -> None:
    assert pipeline.run("verify-delivery", "--wait").code == 0
    code, found = lines(pipeline)
    assert code == 0
    for stage in ("kafka", "refine", "sink", "gateway"):
        value, detail = found[stage]
        assert value == "ready"
        assert f"pid {pipeline.instance.children[stage]['pid']}" in detail
    assert found["waiting for refine"][0] == found["waiting for sink"][0] == 0
    assert {"events", "runs", "lineage edges", "dead letters", "duplicate deliveries"} < found.keys()


def test_a_stage_that_is_down_is_told_and_gives_1(pipeline: Up) -> None:
    os.kill(pipeline.instance.children["sink"]["pid"], signal.SIGSTOP)
    try:
        os.kill(pipeline.instance.children["refine"]["pid"], signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        code, found = lines(pipeline)
        while code == 0 or found["store"][0] != "not ready":
            assert time.monotonic() < deadline, found
            code, found = lines(pipeline)
        assert code == 1
    finally:
        os.kill(pipeline.instance.children["sink"]["pid"], signal.SIGCONT)
    while lines(pipeline)[0]:
        assert time.monotonic() < deadline, lines(pipeline)
        time.sleep(0.5)
    assert "started again" in lines(pipeline)[1]["refine"][1]


def test_every_command_has_help(tmp_path: Path) -> None:
    for name, command in cli.commands.items():
        result = run(name, "--help")
        assert (result.code, result.errors) == (0, "")
        assert command.help
        assert result.output.startswith(f"Usage: proventrail {name} ")
    assert run("--version").output.startswith("proventrail, version ")
    assert run("bogus").error == "error: No such command 'bogus': see `proventrail --help`"
