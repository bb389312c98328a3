"""Hyperscan and plain Python give the same spans; the prefilter proves what it says; no input is too hard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.privacy.measure import clean, holdout_clean, holdout_plants, plants
from proventrail.privacy.detect import Detector
from proventrail.privacy.detect.prefilter import PythonPrefilter, prefilter

pytest.importorskip("hyperscan", reason="Hyperscan is not installed here")

FAST = Detector(backend="hyperscan")
PLAIN = Detector(backend="python")

PIECES = [
    "jane@example.com",
    "+49 30 901820",
    "4111 1111 1111 1111",
    "ssn",
    "dateOfBirth",
    "1980-02-29",
    "password=",
    "hunter2",
    "://",
    "@",
    ":",
    "/home/",
    "postgres://u:p@h/db",
    "AKIAIOSFODNN7EXAMPLE",
    "phone",
    "0171 2345678",
    "\u200b",
    "４１",
    "é",
    "名",
    "SIN",
    "046 454 286",
    " ",
    "\n",
    "_",
    "-",
    "%40",
    "DE89370400440532013000",
    "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.",
    "10.0.0.1",
    "fe80::1",
    "Author: Jane Doe",
    "customerSsn",
    "123-45-6789",
    "nhs",
    "9434765919",
]
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.text(max_size=60),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=8).map(" ".join),
)
contexts = st.sampled_from(["", "ssn", "dateOfBirth", "db_password", "phoneNumber", "first_name", "value"])


def test_same_spans_on_the_corpus() -> None:
    strings = [case.text for case in plants()][::6] + [case.text for case in holdout_plants()]
    strings += clean()[::12] + holdout_clean()
    assert [FAST.scan(text) for text in strings] == [PLAIN.scan(text) for text in strings]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, contexts)
def test_same_spans_whatever_the_engine(text: str, context: str) -> None:
    spans = FAST.scan(text, context)
    assert spans == PLAIN.scan(text, context)
    assert list(spans) == sorted(spans)
    assert all(0 <= one.start < one.end <= len(text) for one in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, contexts)
def test_a_no_of_the_prefilter_is_a_proof(text: str, context: str) -> None:
    for detector in (FAST, PLAIN):
        if not detector.may_hold([text], context)[0]:
            assert detector.scan(text, context) == ()


def test_a_no_of_the_prefilter_is_a_proof_on_the_corpus() -> None:
    strings = [case.text for case in plants()]
    assert [
        text for text, may in zip(strings, FAST.may_hold(strings), strict=True) if not may and FAST.scan(text)
    ] == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts)
def test_queries_and_uris_never_fail(text: str) -> None:
    for spans in (FAST.scan_sql(text), FAST.scan_uri(text), FAST.scan_sql(f"SELECT '{text}' FROM t -- {text}")):
        assert all(one.end <= other.start for one, other in pairwise(spans))


HARD = [
    "a" * 50_000,
    "1" * 50_000,
    "1 " * 20_000,
    "@" * 20_000,
    "a@" * 20_000,
    "a." * 20_000 + "@",
    "://" * 10_000,
    "a://b:c" * 5_000,
    "password" * 5_000,
    "password=" * 4_000,
    "password='" + "\\'" * 10_000,
    "-----BEGIN PRIVATE KEY-----" * 500,
    "eyJ" * 10_000,
    "eyJa." * 5_000,
    "=:" * 20_000,
    "((((" * 5_000,
    "+1-" * 10_000,
    "phone " + "1-" * 10_000,
    "(" * 20_000 + "phone",
    "/home/" * 5_000,
    "A" * 20_000 + " <a@",
    ":" * 20_000,
    "::1:" * 5_000,
    "x_" * 10_000 + "=",
    "passport " + "A1-" * 8_000,
    "born " + "1 Jan " * 5_000,
    "Bearer " * 5_000,
    "?key=" * 5_000,
    ";password=" * 3_000,
    "u:p@" * 5_000,
    "\\" * 20_000,
    "_password" * 5_000,
    "a.token." * 5_000,
    "ssn 1" * 5_000,
]


@pytest.mark.parametrize("number", range(len(HARD)))
def test_hard_inputs_come_to_an_end(number: int) -> None:
    """Each would take hours with a pattern that backtracks without bound."""
    text = HARD[number]
    FAST.scan(text)
    FAST.scan(text, "password")
    FAST.scan_uri(text)


def test_one_detector_serves_many_threads() -> None:
    detector = Detector(backend="hyperscan")
    strings = [f"{case.text} {number}" for number, case in enumerate(holdout_plants())]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.scan, strings * 2))
    assert together == [FAST.scan(text) for text in strings * 2]


def test_the_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proventrail.privacy.detect.detector._MEMO_CHARACTERS", 2_000)
    detector = Detector()
    for number in range(200):
        assert detector.scan(f"mail user{number}@example.com now")
    assert len(detector._memo) < 40


def test_engine_without_hyperscan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(prefilter({"a": b"x"}, "auto"), PythonPrefilter)
