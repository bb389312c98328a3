"""`proventrail up`: what it prints, what it guards, how it ends."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
from pathlib import Path

import httpx

from .conftest import COMMAND, Up, event, run


def test_it_says_where_it_is_and_its_token_once(tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    try:
        ports = up.instance.ports
        assert f"Events: {up.url}/api/v1/lineage · SQL: http://127.0.0.1:{ports['clickhouse']}\n" in up.output
        assert f"Kafka: 127.0.0.1:{ports['kafka']} · data and token: {tmp_path / 'data'}" in up.output
        assert up.output.count(f"OPENLINEAGE_API_KEY={up.token}\n") == 1
        assert stat.S_IMODE((tmp_path / "data" / "token").stat().st_mode) == 0o600
        token = up.token
        assert up.interrupt() == 0
        assert up.output.endswith("stopped; what was accepted is on disk\n")
        assert token not in up.errors

        up.start()
        assert up.token == token
        assert token not in up.output
        assert "Proventrail is ready" in up.output
        assert up.interrupt() == 0
        logs = [*(tmp_path / "data").rglob("*.log")]
        assert len(logs) >= 4
        assert not [log for log in logs if token in log.read_text(errors="replace")]
    finally:
        up.end()


def test_the_client_configuration_that_it_prints_works(pipeline: Up, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text(json.dumps(event(namespace)))
    printed = dict(re.findall(r"^export (\w+)=(\S+)$", pipeline.output, re.MULTILINE))
    emit = (
        "from openlineage.client import OpenLineageClient\n"
        "from openlineage.client.event_v2 import Job, Run, RunEvent, RunState\n"
        "import uuid\n"
        f"OpenLineageClient().emit(RunEvent(eventType=RunState.START, eventTime='2026-11-24T09:30:00Z', "
        f"run=Run(str(uuid.uuid4())), job=Job({namespace!r}, 'client'), producer='https://example.org'))\n"
    )
    environment = {**os.environ, **printed}
    subprocess.run([COMMAND[0], "-c", emit], env=environment, check=True, cwd=tmp_path)
    curl = pipeline.output[pipeline.output.index("curl -X POST") :].split("\n\n")[0]
    words = re.findall(r"-H '([^']*)'", curl)
    headers = dict(word.split(": ", 1) for word in words)
    url = re.findall(r"http://\S+", curl)[0]
    assert httpx.post(url, headers=headers, content=(tmp_path / "event.json").read_bytes()).status_code == 201
    assert pipeline.run("verify-delivery", "--wait").code == 0
    found = pipeline.sql(f"SELECT job_name FROM events WHERE job_namespace = '{namespace}' ORDER BY 1")
    assert [row["job_name"] for row in found] == ["client", "job"]


def test_health_is_200_once_it_is_ready(pipeline: Up) -> None:
    answer = httpx.get(f"{pipeline.url}/health")
    assert answer.status_code == 200
    assert set(answer.json()["stages"]) == {"gateway", "refine", "sink"}


def test_a_second_one_on_the_folder_is_refused(pipeline: Up) -> None:
    result = pipeline.run("up", "--port", "0", "--clickhouse-port", "0", "--kafka-port", "0")
    assert result.code == 3
    assert f"(process {pipeline.process.pid}): stop it, or give another --data-dir" in result.error


def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path) -> None:
    for option in ("--port", "--clickhouse-port", "--kafka-port"):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            free = [o for o in ("--port", "--clickhouse-port", "--kafka-port") if o != option]
            result = run("up", "--data-dir", tmp_path, option, str(port), free[0], "0", free[1], "0")
        assert result.code == 3
        assert f"port {port} is in use: give another {option} " in result.error
    assert not (tmp_path / "token").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "data"
    result = run("up", "--data-dir", folder, "--port", "0", "--clickhouse-port", "0", "--kafka-port", "0")
    assert result.code == 3
    assert str(tmp_path / "file") in result.error


def test_numbers_that_are_no_ports_are_refused(tmp_path: Path) -> None:
    result = run("up", "--data-dir", tmp_path, "--port", "70000")
    assert result.code == 2
    assert "--port" in result.error
