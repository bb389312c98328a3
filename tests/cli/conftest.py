"""One `proventrail up` for the whole session, and the command line in this process.

`pipeline`: an `Up` with a data folder of its own and free ports; tests share it, so each uses names of its own.
`people`: its principals, of all roles; `people.run("rita", …)`.
`run(*arguments)`: the command line; gives exit code, output, errors.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from proventrail.cli.app import run as run_command_line
from proventrail.embedded.run_file import Instance, running_instance
from proventrail.schemas.settings import KafkaSettings

START_SECONDS = 180
COMMAND = [sys.executable, "-m", "proventrail.cli"]


@dataclass(frozen=True)
class Result:
    """What a command line has done; `output` in bytes is `raw`."""

    code: int
    raw: bytes
    errors: str

    @property
    def output(self) -> str:
        return self.raw.decode()

    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> str:
        """The one line that an error is."""
        lines = self.errors.splitlines()
        assert len(lines) == 1, self.errors
        assert lines[0].startswith("error: "), self.errors
        return lines[0]


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """The command line in this process, without a terminal."""
    output, errors = io.BytesIO(), io.StringIO()
    stream = io.TextIOWrapper(output, "utf-8", write_through=True)
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    try:
        with (
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(errors),
            pytest.raises(SystemExit) as end,
        ):
            run_command_line([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    return Result(int(end.value.code or 0), output.getvalue(), errors.getvalue())


class Up:
    """A `proventrail up` in a process of its own."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self._options = options
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._starts += 1
        ports = ["--port", "0", "--clickhouse-port", "0", "--kafka-port", "0"]
        self.data_dir.mkdir(parents=True, exist_ok=True)
        out, err = self._file("out"), self._file("err")
        with out.open("wb") as output, err.open("wb") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--data-dir", self.data_dir, *ports, *self._options],
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C stops" not in self.output:
            assert self.process.poll() is None, err.read_text()
            assert time.monotonic() < deadline, err.read_text()
            time.sleep(0.1)

    def _file(self, kind: str) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.{kind}{self._starts}"

    @property
    def output(self) -> str:
        """What the last start has printed."""
        return self._file("out").read_text()

    @property
    def errors(self) -> str:
        return self._file("err").read_text()

    @property
    def instance(self) -> Instance:
        found = running_instance(self.data_dir)
        assert found is not None
        return found

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=f"127.0.0.1:{self.instance.ports['kafka']}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.instance.ports['gateway']}"

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)

    def end(self) -> None:
        """End it whatever happened; its children end with it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> Result:
        """A command on this instance."""
        return run(*arguments, "--data-dir", self.data_dir, stdin=stdin)

    def sql(self, query: str) -> list[dict[str, Any]]:
        result = self.run("sql", query, "--format", "json")
        assert result.code == 0, result.errors
        return result.json()


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up") / "data")
    yield up
    up.end()


class People:
    """Principals of the pipeline, one or two of each role, who run commands under their tokens."""

    ROLES: ClassVar = {"anna": "approver", "bert": "approver", "rita": "revealer", "otto": "auditor"}

    def __init__(self, up: Up) -> None:
        self._up = up
        self._tokens: dict[str, str] = {}
        for name, role in self.ROLES.items():
            result = up.run("privacy", "principals", "add", name, "--role", role)
            assert result.code == 0, result.errors
            self._tokens[name] = result.output.strip()

    def run(self, who: str, *arguments: str | Path, stdin: bytes = b"") -> Result:
        """A command of `who`. The token is nowhere in what comes back."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROVENTRAIL_PRINCIPAL_TOKEN", self._tokens[who])
            result = self._up.run(*arguments, "--as", who, stdin=stdin)
        assert self._tokens[who].encode() not in result.raw + result.errors.encode()
        return result

    def audited(self, action: str, **facet: str) -> int:
        """How many audit events of an action, with this in their facet, the log has when all is stored."""
        assert self._up.run("verify-delivery", "--wait").code == 0
        wanted = [f"JSONExtractString(job_facets['proventrail_privacy'], '{k}') = '{v}'" for k, v in facet.items()]
        [found] = self._up.sql(
            "SELECT count() AS n FROM events WHERE "
            + " AND ".join([f"job_namespace = 'proventrail' AND job_name = 'privacy.{action}'", *wanted])
        )
        return int(found["n"])


@pytest.fixture(scope="session")
def people(pipeline: Up) -> People:
    return People(pipeline)


@pytest.fixture
def namespace() -> str:
    """A job namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex[:10]}"


def event(namespace: str, name: str = "job", **more: Any) -> dict[str, Any]:
    """A small valid RunEvent with a run id of its own."""
    return {
        "eventTime": "2026-11-24T09:30:00Z",
        "eventType": "COMPLETE",
        "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": namespace, "name": name},
        "producer": "https://example.org/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        **more,
    }


def moved(namespace: str, name: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    """An event of a job that reads `source` and writes `target`, datasets of s3://NAMESPACE."""
    inputs = [{"namespace": f"s3://{namespace}", "name": source}]
    outputs = [{"namespace": f"s3://{namespace}", "name": target}]
    return event(namespace, name, inputs=inputs, outputs=outputs, **more)


def written(path: Path, events: list[dict[str, Any]]) -> Path:
    """A file with one event a line."""
    path.write_text("".join(json.dumps(item) + "\n" for item in events))
    return path
