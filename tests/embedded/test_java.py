"""The AOT cache is made by the first run that ends in order, used by later ones, and never trusted when damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proventrail.embedded.broker import KafkaBroker
from proventrail.embedded.java import AotCache
from proventrail.embedded.kafka_jars import fetch_kafka, jars_dir


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with the jars, and nothing else."""
    fetch_kafka()
    source = jars_dir()
    monkeypatch.setenv("PROVENTRAIL_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(source, jars_dir())
    return tmp_path / "cache"


def caches(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.aot"))


def options(broker: KafkaBroker) -> list[str]:
    return [word for word in broker.command() if word.startswith("-XX:AOTCache")]


def test_the_first_run_makes_a_cache_and_the_second_uses_it(cache: Path, tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k").start()
    assert broker.process is not None
    broker.stop()
    (made,) = caches(cache)
    assert not list(cache.glob("*recording*"))
    assert options(broker) == [f"-XX:AOTCache={made}"]
    broker.start()
    assert str(made) in Path(f"/proc/{broker.process.pid}/maps").read_text()
    broker.stop()
    assert caches(cache) == [made]

    # A damaged one is deleted and made anew; the broker starts all the same.
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 0xFF
    made.write_bytes(content)
    broker.start()
    assert broker.answers()
    assert caches(cache) == []
    broker.stop()
    assert len(caches(cache)) == 1


def test_a_run_that_was_killed_leaves_no_cache(cache: Path, tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "k").start()
    broker.kill9()
    assert caches(cache) == []
    assert options(broker)[0].startswith("-XX:AOTCacheOutput=")


def test_a_cache_that_java_refuses_does_not_stop_the_broker(cache: Path, tmp_path: Path) -> None:
    """Of the right name and checksum, but no cache: another Java's, say."""
    broker = KafkaBroker(tmp_path / "k")
    stem = options(broker)[0].rpartition("/")[2].rpartition("-")[0]
    recording = cache / "x"
    recording.write_bytes(b"not a cache" * 1000)
    recording.rename(cache / AotCache(cache, stem.removeprefix("kafka-"))._name(recording))
    assert options(broker)[0].endswith(".aot")
    broker.start()
    assert broker.answers()
    broker.stop()


def test_half_a_recording_is_dropped(tmp_path: Path) -> None:
    cache = AotCache(tmp_path, "key")
    recording = Path(cache.options()[0].partition("=")[2])
    recording.write_bytes(b"half")
    cache.keep(-9)
    assert list(tmp_path.iterdir()) == []
    recording.write_bytes(b"whole")
    cache.keep(143)
    assert cache.sound_file() in list(tmp_path.iterdir())
    assert AotCache(tmp_path, "other key").sound_file() is None


def test_a_cache_folder_that_cannot_be_written_only_slows_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert AotCache(tmp_path / "file" / "cache", "key").options() == []
