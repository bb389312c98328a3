"""What became of a text, remembered within a bound of bytes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memo(Generic[Key, Value]):
    """Two generations: when the younger one is full, the older one is forgotten. What is used moves on."""

    def __init__(self, max_bytes: int) -> None:
        self._bound = max_bytes // 2
        self._young: dict[Key, tuple[Value, int]] = {}
        self._old: dict[Key, tuple[Value, int]] = {}
        self._bytes = 0

    def get(self, key: Key) -> Value | None:
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                return None
            self._put(key, found)
        return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Remember `value`, which with its key has `size` bytes. One beyond the bound is not kept."""
        if size <= self._bound:
            self._put(key, (value, size))

    def _put(self, key: Key, kept: tuple[Value, int]) -> None:
        if self._bytes + kept[1] > self._bound:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[key] = kept
        self._bytes += kept[1]

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
