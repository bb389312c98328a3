"""A bounded cache of subjects, each for a bounded time since it was read: how long an erased one may still be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proventrail.privacy.vault.subject import Subject

MAX_SECONDS = 60.0


class SubjectCache:
    """HMAC of a value -> Subject. Times are seconds of any clock that only goes forward, given by the caller."""

    def __init__(self, size: int, seconds: float) -> None:
        if not 0 <= seconds <= MAX_SECONDS:
            raise ValueError(f"an erasure must be in force within {MAX_SECONDS:.0f} s: cache for 0 to that many")
        self._size = size
        self._seconds = seconds
        self._kept: dict[bytes, tuple[float, Subject]] = {}

    def get(self, lookups: Iterable[bytes], now: float) -> dict[bytes, Subject]:
        """Those of `lookups` that were read less than `seconds` ago."""
        found: dict[bytes, Subject] = {}
        for lookup in lookups:
            kept = self._kept.get(lookup)
            if kept is None:
                continue
            if now - kept[0] < self._seconds:
                found[lookup] = kept[1]
            else:
                del self._kept[lookup]
        return found

    def put(self, subjects: Mapping[bytes, Subject], read_at: float) -> None:
        """Keep what was read from the vault at `read_at`, a time before the reading began."""
        for lookup, subject in subjects.items():
            self._kept.pop(lookup, None)
            self._kept[lookup] = (read_at, subject)
        # A dict keeps the order of insertion: the oldest go first.
        while len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def forget(self, subject_id: str) -> None:
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1].subject_id != subject_id}

    def __len__(self) -> int:
        return len(self._kept)
