"""The memo forgets what was not used, and never holds more than its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.memo import Memo


def test_what_is_used_stays_and_what_is_not_is_forgotten() -> None:
    memo: Memo[str, int] = Memo(2000)
    memo.put("used", 1, 100)
    memo.put("idle", 2, 100)
    for i in range(100):
        memo.put(f"new {i}", i, 100)
        assert memo.get("used") == 1
    assert memo.get("idle") is None


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    memo: Memo[str, int] = Memo(1000)
    memo.put("large", 1, 501)
    assert memo.get("large") is None
    assert len(memo) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 400))))
def test_it_stays_within_its_bound_and_gives_what_was_put(steps: list[tuple[int, int]]) -> None:
    memo: Memo[int, tuple[int, int]] = Memo(1000)
    for key, size in steps:
        memo.put(key, (key, size), size)
        assert memo.get(key) == (key, size)
        assert sum(kept for _, kept in [*memo._young.values(), *memo._old.values()]) <= 1000
