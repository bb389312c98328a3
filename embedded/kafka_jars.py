"""Apache Kafka's jars: fetched once into a cache, and verified against `kafka.lock` each time they are used.

The lock file names every jar by its path in a Maven repository, which gives group, artifact, version and file name,
and its SHA-256. `jgo` downloads them in pure Python, so neither Maven nor a system Java is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import platformdirs

from proventrail.embedded.errors import BrokerError
from proventrail.embedded.kafka_version import KAFKA_VERSION, SCALA_VERSION, SLF4J_VERSION

Progress = Callable[[int, int], None]
"""Told (jars fetched, jars in all), from 0 to all."""

_ROOTS = (f"org.apache.kafka:kafka_{SCALA_VERSION}:{KAFKA_VERSION}", f"org.slf4j:slf4j-simple:{SLF4J_VERSION}")
_ATTEMPTS = 3
_OFFLINE = (
    "Without internet, fetch on another machine (`python -m proventrail.embedded.fetch` says where the jars are), "
    "copy the folder here and give it with --kafka-jars"
)


class LockedJar(NamedTuple):
    """A jar as `kafka.lock` names it. `path` is relative to a Maven repository, with slashes; `sha256` in hex."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


def cache_dir() -> Path:
    """Where downloads are kept: PROVENTRAIL_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("PROVENTRAIL_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("proventrail"))


def lock_text() -> str:
    return files("proventrail.embedded").joinpath("kafka.lock").read_text()


def locked_jars() -> list[LockedJar]:
    """Every jar of the pinned Kafka, sorted by file name."""
    pairs = (line.split() for line in lock_text().splitlines() if line and not line.startswith("#"))
    return [LockedJar(path, digest) for digest, path in pairs]


def jars_dir() -> Path:
    """The folder of the cache that holds the locked jars; another lock file has another folder."""
    return cache_dir() / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(lock_text().encode()).hexdigest()[:8]}"


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verified_jars(folder: Path) -> list[Path]:
    """The jars of `folder`, by name. Raises BrokerError unless they are exactly the locked ones."""
    expected = {jar.name: jar.sha256 for jar in locked_jars()}
    found = {path.name: path for path in folder.glob("*.jar")}
    missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
    changed = {name for name in expected.keys() & found.keys() if sha256(found[name]) != expected[name]}
    for what, names in (("missing", missing), ("not in the lock file", extra), ("not what was locked", changed)):
        if names:
            raise BrokerError(
                f"Kafka {KAFKA_VERSION} in {folder}: {len(names)} jar(s) {what}: {', '.join(sorted(names)[:5])}. "
                "Delete the folder to have them fetched again, or give the right one with --kafka-jars"
            )
    return [found[name] for name in sorted(found)]


def kafka_jars(folder: Path | None = None, progress: Progress = lambda done, of: None) -> list[Path]:
    """The verified jars, from `folder` if it is given, else from the cache, fetched on first use.

    Raises BrokerError if they cannot be fetched or are not the locked ones.
    """
    if folder is None:
        return fetch_kafka(progress)
    if not folder.is_dir():
        raise BrokerError(f"--kafka-jars {folder} is no folder")
    return verified_jars(folder)


def fetch_kafka(progress: Progress = lambda done, of: None) -> list[Path]:
    """Fetch the locked jars into the cache, unless they are there, and give them verified.

    Several processes may do so at once: one fetches, the others wait. Raises BrokerError.
    """
    home = jars_dir()
    if not home.exists():
        try:
            with _exclusive(cache_dir() / "fetch.lock"):
                _fetch_into(home, progress)
        except OSError as error:
            raise BrokerError(
                f"Kafka cannot be kept in {cache_dir()} ({error.strerror}): give a folder that can be written with "
                "PROVENTRAIL_CACHE_DIR"
            ) from error
    return verified_jars(home)


def _fetch_into(home: Path, progress: Progress) -> None:
    """Make `home` in one step; nothing if another process has made it by now. Call with the lock held."""
    for left in cache_dir().glob("fetching-*"):
        shutil.rmtree(left, ignore_errors=True)
    if home.exists():
        return
    staging = Path(tempfile.mkdtemp(prefix="fetching-", dir=cache_dir()))
    try:
        _download(staging, progress)
        verified_jars(staging / "jars")
        (staging / "jars").rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(staging: Path, progress: Progress) -> None:
    """Put every locked jar into `staging/jars`. A Maven repository of our own: one on this machine may be damaged."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=staging / "maven", local_repos=[])
    (staging / "jars").mkdir()

    def fetch(jar: LockedJar) -> None:
        *group, artifact, version, name = PurePosixPath(jar.path).parts
        component = context.project(".".join(group), artifact).at_version(version)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                component.artifact().resolve().rename(staging / "jars" / name)
                return
            except (OSError, RuntimeError) as error:
                # What a broken connection left would pass for the jar at the next attempt.
                (staging / "maven" / jar.path).unlink(missing_ok=True)
                if attempt == _ATTEMPTS:
                    raise BrokerError(f"{name} could not be fetched ({type(error).__name__}). {_OFFLINE}") from error

    jars = locked_jars()
    progress(0, len(jars))
    with ThreadPoolExecutor(8) as pool:
        try:
            for done, _ in enumerate(pool.map(fetch, jars), 1):
                progress(done, len(jars))
        except BrokerError:
            pool.shutdown(cancel_futures=True)
            raise


def resolve_lock() -> str:
    """The text of a new `kafka.lock`: resolves Kafka and its dependencies anew. For a change of KAFKA_VERSION."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), local_repos=[])
        inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in _ROOTS])
        paths = sorted((d.artifact.resolve() for d in (*inputs, *transitive)), key=lambda path: path.name)
        lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    return f"# SHA-256 and Maven path of each jar of {' and '.join(_ROOTS)}\n" + "".join(lines)
