"""The jars are the locked ones, or the error names those that are not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proventrail.embedded import fetch
from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.errors import BrokerError
from proventrail.embedded.java import java_executable
from proventrail.embedded.kafka_jars import fetch_kafka, jars_dir, kafka_jars, lock_text, locked_jars
from proventrail.embedded.kafka_version import KAFKA_VERSION, SCALA_VERSION

FETCH = [sys.executable, "-m", "proventrail.embedded.fetch"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(jars_dir() if fetch_kafka() else "", tmp_path / "jars"))


def test_the_lock_file_is_sorted_and_of_the_one_version() -> None:
    names = [jar.name for jar in locked_jars()]
    assert names == sorted(names)
    assert f"kafka_{SCALA_VERSION}-{KAFKA_VERSION}.jar" in names
    assert f"kafka-clients-{KAFKA_VERSION}.jar" in names
    assert all(len(jar.sha256) == 64 and jar.path.endswith(".jar") for jar in locked_jars())
    assert KAFKA_VERSION in lock_text().splitlines()[0]


def test_one_flipped_byte_is_found_and_the_jar_named(copy: Path, tmp_path: Path) -> None:
    changed = copy / locked_jars()[0].name
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(BrokerError, match=rf"1 jar\(s\) not what was locked: {changed.name}"):
        kafka_jars(copy)
    with pytest.raises(BrokerError, match=changed.name):
        KafkaBroker(tmp_path / "k", jars=copy).start()


def test_a_missing_and_an_unknown_jar_are_named(copy: Path) -> None:
    missing = copy / locked_jars()[-1].name
    missing.unlink()
    with pytest.raises(BrokerError, match=rf"1 jar\(s\) missing: {missing.name}"):
        kafka_jars(copy)
    shutil.copy(jars_dir() / missing.name, missing)
    (copy / "evil.jar").write_bytes(b"")
    with pytest.raises(BrokerError, match=r"1 jar\(s\) not in the lock file: evil\.jar"):
        kafka_jars(copy)


def test_a_damaged_cache_is_an_error_too(copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROVENTRAIL_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(copy, jars_dir())
    assert len(kafka_jars()) == len(locked_jars())
    (jars_dir() / locked_jars()[0].name).write_bytes(b"")
    with pytest.raises(BrokerError, match="Delete the folder"):
        kafka_jars()


def test_a_broker_runs_from_a_folder_of_jars_with_a_given_java(copy: Path, tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k", jars=copy, java=java_executable()).start()
    assert broker.answers()
    broker.stop()


def test_overrides_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"--kafka-jars .*nowhere is no folder"):
        kafka_jars(tmp_path / "nowhere")
    with pytest.raises(BrokerError, match=r"--java .*nowhere is no executable"):
        java_executable(tmp_path / "nowhere")


def test_without_internet_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENTRAIL_CACHE_DIR", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(BrokerError, match=r"could not be fetched.*--kafka-jars"):
        fetch_kafka()
    assert [path.name for path in tmp_path.iterdir()] == ["fetch.lock"]


def test_a_cache_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROVENTRAIL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(BrokerError, match="PROVENTRAIL_CACHE_DIR"):
        fetch_kafka()


def test_fetch_says_where_the_jars_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main([]) == 0
    assert str(jars_dir()) in capsys.readouterr().out


@pytest.mark.faults
def test_two_processes_may_fetch_at_once_over_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENTRAIL_CACHE_DIR", str(tmp_path))
    (tmp_path / "fetching-killed" / "jars").mkdir(parents=True)
    both = [subprocess.Popen(FETCH, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[0].count(b"verified") for process in both] == [1, 1]
    assert {path.name for path in tmp_path.iterdir()} == {"fetch.lock", jars_dir().name}
