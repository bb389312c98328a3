"""What the sink announces can be read back, fits into Kafka's metadata, and nothing else is taken for it."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.storage.sink.progress import Pending, ProgressError


@given(st.integers(0, 2**63), st.dictionaries(st.uuids().map(str), st.integers(-1, 2**63), max_size=20))
def test_an_announcement_comes_back(end: int, marks: dict[str, int]) -> None:
    assert Pending.from_metadata(Pending(end, marks).to_metadata()) == Pending(end, marks)


def test_no_metadata_is_no_announcement() -> None:
    assert Pending.from_metadata("") is None
    assert Pending.from_metadata(None) is None


@pytest.mark.parametrize("text", ["x", "{}", "[]", "7", '{"v":1}', '{"v":1,"end":"a","marks":{}}', '{"v":2}'])
def test_foreign_metadata_is_refused(text: str) -> None:
    with pytest.raises(ProgressError):
        Pending.from_metadata(text)


def test_too_many_topics_are_refused_before_kafka_does() -> None:
    marks = {str(uuid.uuid4()): 1 << 40 for _ in range(100)}
    with pytest.raises(ProgressError, match="100 raw topics"):
        Pending(1, marks).to_metadata()
