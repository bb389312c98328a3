"""The journal: its chain, what a crash leaves of it, and what is sent."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.privacy.vault import VaultError
from proventrail.privacy.vault.journal import Event, Journal, audit_event, state_of
from proventrail.schemas.openlineage import event_id
from proventrail.schemas.verdict import lenient


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "vault" / "journal.jsonl", lambda: datetime(2026, 11, 25, tzinfo=UTC))


def test_lines_are_chained(journal: Journal) -> None:
    assert (journal.entries(), journal.id) == ([], "")
    for number in range(3):
        journal.append("reveal", {"subject": str(number)})
    entries = journal.entries()
    assert [entry.sequence for entry in entries] == [0, 1, 2, 3]
    assert [entry.facet["action"] for entry in entries] == ["journal", "reveal", "reveal", "reveal"]
    assert journal.id == entries[0].hash
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [line["previous"] for line in lines] == ["0" * 64, *(entry.hash for entry in entries[:-1])]


def test_two_journals_are_two(tmp_path: Path) -> None:
    made = [Journal(tmp_path / name / "j", lambda: datetime(2026, 11, 25, tzinfo=UTC)) for name in ("a", "b")]
    for one in made:
        one.append("reveal", {})
    assert made[0].id != made[1].id


@pytest.mark.parametrize("line", [0, 1, 3])
def test_a_line_that_is_missing_or_changed_is_found(journal: Journal, line: int) -> None:
    for number in range(4):
        journal.append("reveal", {"subject": str(number)})
    lines = journal.path.read_text().splitlines(keepends=True)
    for changed in (
        lines[:line] + lines[line + 1 :],
        [*lines[:line], lines[line].replace("T00:00:00", "T00:00:01"), *lines[line + 1 :]],
        [*lines[:line], "{}\n", *lines[line:]],
        [*lines[:line], "\n", *lines[line:]],
    ):
        journal.path.write_text("".join(changed))
        with pytest.raises(VaultError, match=f"line {line + 1}: the chain is broken"):
            journal.entries()


@given(st.integers(1, 400), st.integers(0, 200_000))
def test_a_line_that_a_crash_cut_off_never_counted(
    tmp_path_factory: pytest.TempPathFactory, cut: int, size: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("j") / "v" / "journal.jsonl")
    journal.append("reveal", {"path": "x" * size})
    before = journal.entries()
    whole = journal.path.read_bytes()
    journal.append("reveal", {"subject": "lost"})
    line = journal.path.read_bytes()[len(whole) :]
    journal.path.write_bytes(whole + line[: min(cut, len(line) - 1)])
    assert journal.entries() == before
    journal.append("reveal", {"subject": "next"})
    assert [entry.facet.get("subject") for entry in journal.entries()] == [None, None, "next"]


def test_a_journal_of_other_bytes_is_an_error(journal: Journal) -> None:
    journal.append("reveal", {})
    journal.path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(VaultError, match="damaged"):
        journal.entries()
    with pytest.raises(VaultError, match="was changed"):
        journal.append("reveal", {})


def test_a_first_line_that_was_cut_off(journal: Journal) -> None:
    journal.append("reveal", {})
    journal.path.write_bytes(journal.path.read_bytes()[:30])
    journal.append("reveal", {})
    assert [entry.facet["action"] for entry in journal.entries()] == ["journal", "reveal"]


def _append_many(path: Path, name: str) -> None:
    journal = Journal(path)
    for number in range(50):
        journal.append("reveal", {"subject": f"{name}{number}"})


def test_processes_that_append_at_once_make_one_chain(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(journal.path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    subjects = [entry.facet.get("subject") for entry in journal.entries()][1:]
    assert sorted(subjects) == sorted(f"{name}{number}" for name in "abc" for number in range(50))


def test_what_waits_is_sent_once(journal: Journal) -> None:
    sent: list[Event] = []
    journal.append("reveal", {"subject": "a"})
    assert journal.send(sent.append, lambda: False) == 0, "the broker did not take it"
    assert len(journal.unsent()) == 2
    sent.clear()
    assert journal.send(sent.append, lambda: True) == 2
    journal.append("reveal", {"subject": "b"})
    assert journal.send(sent.append, lambda: True) == 1
    assert journal.send(sent.append, lambda: True) == 0
    assert [event["job"]["facets"]["proventrail_privacy"].get("subject") for event in sent] == [None, "a", "b"]


def test_events_are_openlineage_and_have_an_id_each(journal: Journal) -> None:
    for _ in range(3):
        journal.append("reveal", {"subject": "a"})
    events = [entry.event for entry in journal.entries()]
    assert [lenient(event) for event in events] == [[]] * 4
    assert len({event_id(event) for event in events}) == 4, "of one moment and content, and still four"


def test_state(journal: Journal) -> None:
    journal.append("hold.add", {"subject": "a", "reason": "r", "principal": "p", "since": "t"})
    journal.append("hold.add", {"subject": "b", "reason": "r", "principal": "p", "since": "t"})
    journal.append("hold.remove", {"subject": "a"})
    journal.append("erase", {"subject": "a", "erased_at": "t1"})
    journal.append("tombstone", {"subject": "c", "erased_at": "t2"})
    state = state_of(journal.entries())
    assert state.erased == {"a": "t1", "c": "t2"}
    assert list(state.held) == ["b"]


def test_an_event_of_the_vault() -> None:
    event = audit_event("erase", "2026-11-25T00:00:00.000000Z", {"subject": "x"})
    assert event["job"]["name"] == "privacy.erase"
    assert event["job"]["namespace"] == "proventrail"
