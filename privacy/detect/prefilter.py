"""Which triggers occur in a text: one pass of Hyperscan (vectorscan), or the same patterns one by one in Python.

A trigger is a pattern without look-around over the bytes of a `View`; a dot takes any byte. It
only says that a rule is worth running, so both engines lead to the same spans.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from proventrail.privacy.detect.context import first_words, words_of

Backend = Literal["auto", "hyperscan", "python"]


CONTEXT_PREFIX = "context:"
"""Triggers named so are the context words of a group."""

_LETTERS = re.compile(r"[a-zà-ÿ]+")


class Prefilter(Protocol):
    """Finds triggers."""

    def hits(self, data: bytes) -> int:
        """A bit mask: bit i is set when trigger i, in the order they were given, occurs in `data`."""


class PythonPrefilter:
    """Patterns by `re`, context words by a look-up of the words of the text: slower, needs nothing."""

    def __init__(self, triggers: Mapping[str, bytes]) -> None:
        self._patterns: list[tuple[int, re.Pattern[bytes]]] = []
        self._words: dict[str, int] = {}
        for index, (name, trigger) in enumerate(triggers.items()):
            if name.startswith(CONTEXT_PREFIX):
                for word in first_words(name.removeprefix(CONTEXT_PREFIX)):
                    self._words[word] = self._words.get(word, 0) | 1 << index
            else:
                self._patterns.append((1 << index, re.compile(trigger, re.DOTALL)))

    def hits(self, data: bytes) -> int:
        mask = 0
        for bit, pattern in self._patterns:
            if pattern.search(data):
                mask |= bit
        words = self._words
        for word in set(_LETTERS.findall(words_of(data.decode("latin-1")))):
            mask |= words.get(word, 0)
        return mask


class HyperscanPrefilter:
    """All triggers in one pass."""

    def __init__(self, triggers: Mapping[str, bytes]) -> None:
        import hyperscan

        self._hyperscan = hyperscan
        self._database = hyperscan.Database()
        flags = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH
        self._database.compile(
            expressions=list(triggers.values()),
            ids=list(range(len(triggers))),
            elements=len(triggers),
            flags=[flags] * len(triggers),
        )
        self._local = threading.local()

    def hits(self, data: bytes) -> int:
        # Two threads may not share the memory that a scan works in.
        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = self._hyperscan.Scratch(self._database)
        mask = 0

        def found(index: int, start: int, end: int, flags: int, context: Any) -> None:
            nonlocal mask
            mask |= 1 << index

        self._database.scan(data, match_event_handler=found, scratch=scratch)
        return mask


def prefilter(triggers: Mapping[str, bytes], backend: Backend) -> Prefilter:
    """The engine asked for; `auto` takes Hyperscan where it is installed. `hyperscan` without it: ImportError."""
    if backend == "hyperscan" or (backend == "auto" and importlib.util.find_spec("hyperscan") is not None):
        return HyperscanPrefilter(triggers)
    return PythonPrefilter(triggers)
