"""Apache Kafka's jars: resolved once into a cache, and verified against the SHA-256 sums of `kafka.lock`.

`jgo` resolves Maven coordinates in pure Python, so neither Maven nor a system Java is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import platformdirs

KAFKA_VERSION = "4.4.0"
"""The one constant for the embedded broker; a test holds docker-compose.yml to it."""

_COORDINATE = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"

Progress = Callable[[str], None]


class BrokerError(Exception):
    """The embedded broker cannot be fetched, started or reached; says what to do."""


def cache_dir() -> Path:
    """Where downloads are kept: PROVENTRAIL_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("PROVENTRAIL_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("proventrail"))


def locked_sums() -> dict[str, str]:
    """File name -> SHA-256 (hex) of every jar of the pinned Kafka."""
    text = files("proventrail.embedded").joinpath("kafka.lock").read_text()
    pairs = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in pairs}


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify_jars(jars: list[Path]) -> None:
    """Raise BrokerError unless `jars` are exactly the locked ones."""
    expected = locked_sums()
    found = {jar.name: jar for jar in jars}
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    changed = sorted(name for name in expected.keys() & found.keys() if sha256(found[name]) != expected[name])
    for what, names in (("missing", missing), ("not in the lock file", extra), ("not what was locked", changed)):
        if names:
            raise BrokerError(
                f"Kafka {KAFKA_VERSION}: {len(names)} jar(s) {what}: {', '.join(names[:5])}. "
                "Delete the folder and fetch them again, or give the right one with --kafka-jars"
            )


def jars_in(folder: Path) -> list[Path]:
    """Every jar below `folder`, by name."""
    return sorted(folder.rglob("*.jar"), key=lambda path: path.name)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kafka_jars(folder: Path | None = None, progress: Progress = lambda _: None) -> list[Path]:
    """The verified jars, from `folder` if it is given, else from the cache, fetched on first use.

    Raises BrokerError if they cannot be fetched or are not the locked ones.
    """
    if folder is not None:
        jars = jars_in(folder)
        verify_jars(jars)
        return jars
    home = cache_dir() / f"kafka-{KAFKA_VERSION}"
    done = home / "verified"
    with _exclusive(cache_dir() / "kafka.lock"):
        if not done.exists():
            progress(f"fetching Apache Kafka {KAFKA_VERSION} (43 MB, once)")
            _resolve(home)
            verify_jars(jars_in(home))
            done.touch()
    return jars_in(home)


def _resolve(home: Path) -> None:
    import jgo

    try:
        jgo.build(_COORDINATE, cache_dir=home)
    except Exception as error:
        raise BrokerError(
            f"Apache Kafka {KAFKA_VERSION} could not be fetched ({type(error).__name__}). Without internet, "
            "copy its jars here and give the folder with --kafka-jars"
        ) from error
