"""The window of recent events against a plain dictionary."""

from __future__ import annotations

import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proventrail.storage.sink.recent import RecentEvents, uuid_words


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=20), st.integers(1, 60))
def test_it_finds_what_a_dictionary_finds(batches: list[list[int]], window: int) -> None:
    recent = RecentEvents(window)
    stored: dict[int, int] = {}
    offset = 0
    for batch in batches:
        ids = pa.array([str(uuid.UUID(int=i * 7919)) for i in batch], pa.string())
        offsets = np.arange(offset, offset + len(batch), dtype=np.int64)
        offset += len(batch)
        high, low = uuid_words(ids)
        found = recent.first_offsets(high, low, offsets)
        expected = []
        for identity, at in zip(batch, offsets.tolist(), strict=True):
            first = stored.get(identity)
            if first is not None and at - first <= window:
                expected.append(first)
            else:
                expected.append(-1)
                stored[identity] = at
        assert found.tolist() == expected
        new = found < 0
        recent.remember(high[new], low[new], offsets[new])


def test_uuid_text_becomes_its_halves() -> None:
    ids = [uuid.uuid4() for _ in range(50)]
    high, low = uuid_words(pa.array([str(i) for i in ids]).slice(3))
    assert [(int(h) << 64) | int(w) for h, w in zip(high, low, strict=True)] == [i.int for i in ids[3:]]
    assert len(uuid_words(pa.array([], pa.string()))[0]) == 0


@pytest.mark.parametrize("text", ["", "x", "zzzzzzzz-0000-4000-8000-000000000000"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a UUID"):
        uuid_words(pa.array([text]))
