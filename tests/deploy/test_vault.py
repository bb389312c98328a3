"""The vault of docker-compose.yml: commands with the environment of `cli`, rotation by `.env`, backup and restore."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proventrail.cli.app import cli
from proventrail.embedded.broker import free_port
from proventrail.privacy.vault import VaultError, key_provider, open_vault

Services = dict[str, dict[str, Any]]

ANN = ("email", "ann@example.org")


@pytest.fixture
def environment(composed: Services, tmp_path: Path) -> dict[str, str]:
    """That of the service `cli`, with a data directory of this test and no Kafka."""
    here = {"PROVENTRAIL_DATA_DIR": str(tmp_path / "data"), "PROVENTRAIL_SCHEMA_REGISTRY_URL": ""}
    nowhere = {"PROVENTRAIL_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    return {**composed["cli"]["environment"], **here, **nowhere}


def run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["privacy", *arguments], env=dict(environment), catch_exceptions=False)


def subject_of_ann(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The subject id that a refine worker with this environment has for Ann."""
    with monkeypatch.context() as patch:
        for name in ("VAULT_KEY", "VAULT_KEY_OLD"):
            patch.setenv(name, environment[name])
        folder = Path(environment["PROVENTRAIL_DATA_DIR"]) / "vault"
        keys = key_provider(environment["PROVENTRAIL_VAULT_KEY"])
        with open_vault(str(folder / "vault.db"), keys, journal=folder / "journal.jsonl") as vault:
            return vault.subjects([ANN])[0].subject_id


def test_a_rotation_by_the_env_file(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = subject_of_ann(environment, monkeypatch)
    token = run(environment, "principals", "add", "anna", "--role", "approver").stdout.split()[-1]
    new = base64.b64encode(os.urandom(32)).decode()
    rotated = {**environment, "VAULT_KEY": new, "VAULT_KEY_OLD": environment["VAULT_KEY"]}
    done = run({**rotated, "PROVENTRAIL_PRINCIPAL_TOKEN": token}, "rotate-key", "--as", "anna")
    assert done.exit_code == 0, done.output
    assert subject_of_ann({**rotated, "VAULT_KEY_OLD": ""}, monkeypatch) == before
    with pytest.raises(VaultError):
        subject_of_ann(environment, monkeypatch)


def backup(repo_dir: Path, environment: Mapping[str, str]) -> bytes:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = (repo_dir / "deploy/backup_vault.sh").read_bytes()
    done = subprocess.run(
        ["sh", "-s"], input=script, env={**environment, "PATH": path}, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_backup_is_whole_leaves_nothing_behind_and_can_be_restored(
    environment: dict[str, str], repo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = subject_of_ann(environment, monkeypatch)
    run(environment, "principals", "add", "anna", "--role", "approver")
    folder = tmp_path / "data" / "vault"
    there = {path.name for path in folder.iterdir()}
    archive = backup(repo_dir, environment)
    assert {path.name for path in folder.iterdir()} == there
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert not any(re.search("key|kek", name) for name in tar.getnames())
        tar.extractall(folder, filter="fully_trusted")
    assert stat.S_IMODE((folder / "vault.db").stat().st_mode) == 0o600
    assert subject_of_ann(environment, monkeypatch) == before
    assert "anna" in run(environment, "principals", "list").stdout


def test_a_backup_of_no_vault_fails(environment: dict[str, str], repo_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "vault").mkdir(parents=True)
    with pytest.raises(AssertionError, match="unable to open database file"):
        backup(repo_dir, environment)
    assert list((tmp_path / "data" / "vault").iterdir()) == []
