"""docker-compose.yml read by the library that `docker compose config` is made of: schema, merge, variables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import env_file, services
from tests.deploy.conftest import dot_env as dot_env  # a fixture
from tests.deploy.test_compose import OPTIONAL

pytestmark = pytest.mark.interop

Read = Callable[[Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def compose(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Read:
    if shutil.which("go") is None:
        pytest.skip("needs go, to build a program of Compose's library")
    program = tmp_path_factory.mktemp("compose") / "compose"
    source = repo_dir / "tests" / "interop" / "compose"
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=source, check=True, timeout=600)

    def read(values: Path) -> subprocess.CompletedProcess[str]:
        command = [str(program), str(repo_dir / "docker-compose.yml"), str(values)]
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return read


def test_compose_takes_the_file_and_reads_it_as_our_tests_do(compose: Read, dot_env: Path, repo_dir: Path) -> None:
    done = compose(dot_env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    expected = services(repo_dir, env_file(dot_env))
    assert found.keys() == expected.keys()
    for name, service in found.items():
        ours = expected[name]
        assert service["image"] == ours["image"]
        assert service.get("command") == ours.get("command"), name
        assert (service.get("environment") or {}) == ours["environment"], name
        assert service.get("depends_on", {}).keys() == ours.get("depends_on", {}).keys(), name
        assert len(service.get("volumes", [])) == len(ours.get("volumes", [])), name
        assert service["restart"] == ours["restart"], name


def test_compose_refuses_to_go_on_without_a_secret(compose: Read, dot_env: Path, tmp_path: Path) -> None:
    for name, value in env_file(dot_env).items():
        lines = dot_env.read_text().splitlines()
        (tmp_path / "env").write_text("\n".join(f"{name}=" if line == f"{name}={value}" else line for line in lines))
        done = compose(tmp_path / "env")
        assert (done.returncode == 0) == (name in OPTIONAL), name
        if done.returncode:
            assert name in done.stderr
            assert ".env.example" in done.stderr
