"""Floors of quality on the labelled corpus and on the cases written by hand: recall, precision, clean strings kept."""

from __future__ import annotations

import pytest

from benchmarks.privacy.__main__ import find_with
from benchmarks.privacy.measure import Case, Score, clean, holdout_clean, holdout_plants, plants, score
from proventrail.privacy.detect import Detector
from proventrail.privacy.spans import KINDS, Span

CLAIMED = sorted(kind.name for kind in KINDS.values() if kind.structured)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def corpus(detector: Detector) -> Score:
    return score(find_with(detector), plants(), clean())


@pytest.fixture(scope="module")
def holdout(detector: Detector) -> Score:
    return score(find_with(detector), holdout_plants(), holdout_clean())


def test_corpus_is_as_large_as_promised(corpus: Score) -> None:
    assert sum(corpus.planted.values()) >= 3_000
    assert corpus.clean >= 5_000
    assert set(CLAIMED) <= set(corpus.planted)
    assert min(corpus.planted[kind] for kind in CLAIMED) >= 50


@pytest.mark.parametrize("kind", CLAIMED)
def test_recall_of_each_claimed_kind(corpus: Score, kind: str) -> None:
    assert corpus.recall(kind) >= (1.0 if kind in ("uri-password", "uri-secret") else 0.95)
    assert corpus.precision(kind) >= 0.95
    assert corpus.over_masking(kind) <= 0.02


def test_clean_strings_are_not_touched(corpus: Score) -> None:
    assert corpus.touched <= corpus.clean / 1_000


def test_cases_written_by_hand(holdout: Score) -> None:
    planted, found = sum(holdout.planted.values()), sum(holdout.found.values())
    assert planted >= 300
    assert holdout.clean >= 600
    assert found / planted >= 0.97
    assert holdout.found["uri-password"] == holdout.planted["uri-password"]
    assert holdout.found["uri-secret"] == holdout.planted["uri-secret"]
    assert holdout.touched <= holdout.clean / 1_000


def test_the_measure_can_tell_a_bad_detector() -> None:
    case = Case("to jane@example.com", "text", "", (Span(3, 19, "email"),))
    blind = score(lambda case: (), [case], ["x"])
    assert blind.recall("email") == 0.0
    greedy = score(lambda case: (Span(0, len(case.text), "email"),), [case], ["x"])
    assert greedy.recall("email") == 1.0
    assert greedy.precision("email") == 0.5
    assert greedy.over_masking("email") == pytest.approx(4 / 20)
    assert greedy.touched == 1
