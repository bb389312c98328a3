"""Finding an event that was stored before: the ids of the newest events of one raw partition, in arrays.

A client that got no answer sends again, and a composite transport sends twice: the same event then stands at two
coordinates. All deliveries of an event carry its id and, having the same key, lie in the same partition. Whether a
delivery is a duplicate depends on the log alone (the first one lies at most `window` offsets before it), never on
memory or time, so a replay decides the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

_UUID_TEXT = 36
_HEX_COLUMNS = [i for i in range(_UUID_TEXT) if i not in (8, 13, 18, 23)]
_NIBBLE = np.full(256, 255, np.uint8)
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    _NIBBLE[np.frombuffer(_digits, np.uint8)] = np.arange(16, dtype=np.uint8)


def uuid_words(ids: pa.StringArray) -> tuple[Words, Words]:
    """The two 64-bit halves of `n` UUIDs given as 36-character text, as two arrays of shape (n,).

    Raises ValueError if any of them is not the text of a UUID.
    """
    try:
        fixed = ids.cast(pa.binary(_UUID_TEXT))
    except pa.ArrowInvalid as error:
        raise ValueError("an event id is not a UUID") from error
    n = len(fixed)
    text = np.frombuffer(fixed.buffers()[1], np.uint8, n * _UUID_TEXT, fixed.offset * _UUID_TEXT)
    chars = text.reshape(n, _UUID_TEXT)
    nibbles = _NIBBLE[chars[:, _HEX_COLUMNS]]
    if (nibbles == 255).any():
        raise ValueError("an event id is not a UUID")
    packed = np.ascontiguousarray((nibbles[:, 0::2] << 4) | nibbles[:, 1::2]).view(">u8").astype(np.uint64)
    return packed[:, 0], packed[:, 1]


class _Run:
    """Ids with their offsets, sorted by a 64-bit mix of the id."""

    def __init__(self, high: Words, low: Words, offsets: Offsets) -> None:
        mixed = high * np.uint64(0x9E3779B97F4A7C15) ^ low
        order = np.argsort(mixed, kind="stable")
        self.mixed, self.high, self.low, self.offsets = mixed[order], high[order], low[order], offsets[order]

    def find(self, mixed: Words, high: Words, low: Words) -> Offsets:
        """Newest offset of each id in this run, -1 where it is not there. Arrays of shape (n,)."""
        found = np.full(len(mixed), -1, np.int64)
        first = np.searchsorted(self.mixed, mixed, "left")
        last = np.searchsorted(self.mixed, mixed, "right")
        # Different ids with an equal mix are next to each other; more than a few are not to be expected.
        for step in range(int((last - first).max(initial=0))):
            at = np.minimum(first + step, len(self.mixed) - 1)
            hit = (first + step < last) & (self.high[at] == high) & (self.low[at] == low)
            found[hit] = np.maximum(found[hit], self.offsets[at[hit]])
        return found


class RecentEvents:
    """Ids of the events of one raw partition whose offsets lie within `window` of the newest."""

    _MAX_RUNS = 12

    def __init__(self, window: int) -> None:
        self.window = window
        self._runs: list[_Run] = []
        self._newest = -1

    def first_offsets(self, high: Words, low: Words, offsets: Offsets) -> Offsets:
        """For each delivery the offset of the event's first delivery, or -1 if it is itself the first.

        `offsets` are ascending, of shape (n,) like the halves of the ids. Nothing is remembered: the caller does that
        once the rows are stored.
        """
        mixed = high * np.uint64(0x9E3779B97F4A7C15) ^ low
        first = np.full(len(offsets), -1, np.int64)
        for run in self._runs:
            first = np.maximum(first, run.find(mixed, high, low))
        first[offsets - first > self.window] = -1
        self._settle_repeats(mixed, high, low, offsets, first)
        return first

    def _settle_repeats(self, mixed: Words, high: Words, low: Words, offsets: Offsets, first: Offsets) -> None:
        """Ids that come more than once among these deliveries: each is compared with the one before that counted."""
        order = np.argsort(mixed, kind="stable")
        again = mixed[order[1:]] == mixed[order[:-1]]
        if not again.any():
            return
        stored: dict[tuple[int, int], int] = {}
        for at in sorted({*order[1:][again].tolist(), *order[:-1][again].tolist()}):
            identity, offset = (int(high[at]), int(low[at])), int(offsets[at])
            before = max(stored.get(identity, -1), int(first[at]))
            if before >= 0 and offset - before <= self.window:
                first[at] = before
            else:
                first[at] = -1
                stored[identity] = offset

    def remember(self, high: Words, low: Words, offsets: Offsets) -> None:
        """Take in events that are stored, in any order."""
        if not len(offsets):
            return
        self._runs.append(_Run(high, low, offsets))
        self._newest = max(self._newest, int(offsets.max()))
        if len(self._runs) > self._MAX_RUNS:
            self._merge()

    def _merge(self) -> None:
        high = np.concatenate([run.high for run in self._runs])
        low = np.concatenate([run.low for run in self._runs])
        offsets = np.concatenate([run.offsets for run in self._runs])
        keep = offsets >= self._newest - self.window
        self._runs = [_Run(high[keep], low[keep], offsets[keep])]
