"""The production set-up with secrets of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.composed import env_file, services


@pytest.fixture(scope="session")
def dot_env(repo_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.env` as deploy/new_env.py writes it."""
    path = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run([sys.executable, str(repo_dir / "deploy/new_env.py"), str(path)], check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def composed(repo_dir: Path, dot_env: Path) -> dict[str, dict[str, Any]]:
    """Service name -> its definition in docker-compose.yml, secrets filled in."""
    return services(repo_dir, env_file(dot_env))
