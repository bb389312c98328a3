"""What every vault must do, whatever database it is in. A test class gives the fixture `place`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proventrail.privacy.vault import (
    FileKeys,
    Refused,
    SealError,
    Vault,
    VaultError,
    open_vault,
    rotation,
)
from proventrail.privacy.vault.erasure import add_hold, holds, remove_hold, request_erasure, requests
from proventrail.privacy.vault.journal import Journal
from proventrail.privacy.vault.reveal import reveal
from proventrail.privacy.vault.rotation import destroy_old_keys, rotate_key
from proventrail.privacy.vault.seal import seal, seal_bytes, subject_of_bytes, unseal, unseal_bytes
from proventrail.privacy.vault.subject import is_subject_id

EMAIL = ("email", "jane@example.org")
EVENT, PATH = "event-1", "run.facets.errorMessage.message"
MANY = [("email", f"person{i}@example.org") for i in range(300)]


@dataclass
class FakeClock:
    """Seconds for the cache, and the time of day, that only a test moves."""

    seconds: float = 1000.0
    start: datetime = datetime(2026, 11, 25, tzinfo=UTC)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@dataclass
class Place:
    """Where a vault is: `open()` opens it, `child(code)` runs code with `vault` open in another process."""

    url: str
    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    opened: list[Vault] = field(default_factory=list)

    @property
    def keys(self) -> FileKeys:
        return FileKeys(self.folder / "keys" / "kek.json")

    @property
    def journal(self) -> Path:
        return self.folder / "vault" / "journal.jsonl"

    def open(self, **options: object) -> Vault:
        given = {"journal": self.journal, "clock": self.clock, "now": self.clock.now, **options}
        vault = open_vault(self.url, self.keys, **given)
        self.opened.append(vault)
        return vault

    def child(self, code: str) -> subprocess.Popen[str]:
        program = (
            "import json, os, signal, sys\nfrom pathlib import Path\n"
            "from proventrail.privacy.vault import FileKeys, open_vault\n"
            "from proventrail.privacy.vault import vault as module, rotation, keyring\n"
            "def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
            f"keys = FileKeys(Path({str(self.folder / 'keys' / 'kek.json')!r}))\n"
            f"vault = open_vault({self.url!r}, keys, journal=Path({str(self.journal)!r}))\n{code}\n"
        )
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True)

    def close(self) -> None:
        for vault in self.opened:
            vault.close()


def erase(vault: Vault, subject_id: str) -> None:
    request_erasure(vault, subject_id, "anna", reason="TICKET-1", approve=True)
    assert request_erasure(vault, subject_id, "bert", reason=None, approve=True).erased


def wait_killed(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL


class VaultContract:
    """The tests."""

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        raise NotImplementedError

    @pytest.fixture
    def vault(self, place: Place) -> Iterator[Vault]:
        yield place.open()
        place.close()

    # -- subjects ------------------------------------------------------------------------------------------------------

    def test_a_value_has_one_subject_for_ever(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        assert is_subject_id(subject.subject_id)
        assert len(subject.key) == 32
        assert vault.subjects([EMAIL]) == [subject]
        assert place.open().subjects([EMAIL]) == [subject]

    def test_order_and_repetition_are_kept(self, vault: Vault) -> None:
        found = vault.subjects([*MANY, EMAIL, *reversed(MANY), EMAIL])
        assert found[:300] == list(reversed(found[301:601]))
        assert found[300] == found[601]
        assert len({subject.subject_id for subject in found}) == 301
        assert len({subject.key for subject in found}) == 301
        assert vault.subjects([]) == []

    def test_kind_and_value_cannot_be_shifted_into_each_other(self, vault: Vault) -> None:
        found = vault.subjects([("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("a", "c\ud800")])
        assert len({subject.subject_id for subject in found}) == 5

    def test_more_values_than_one_statement_takes(self, place: Place, vault: Vault) -> None:
        wanted = [("email", str(i)) for i in range(2_345)]
        assert place.open().subjects(wanted[::-1]) == vault.subjects(wanted)[::-1]

    def test_keys_by_id(self, vault: Vault) -> None:
        [first, second] = vault.subjects([EMAIL, ("user", "jane")])
        unknown = "a" * 26
        assert vault.key_of([first.subject_id, second.subject_id, unknown]) == {
            first.subject_id: first.key,
            second.subject_id: second.key,
        }
        assert vault.find(*EMAIL) == first.subject_id
        assert vault.find("email", "nobody@example.org") is None
        assert vault.find("email", "nobody@example.org") is None, "find makes nothing"

    def test_the_key_of_a_purpose_is_no_value_of_anybody(self, place: Place, vault: Vault) -> None:
        key = vault.purpose_key("dead-letters")
        assert place.open().purpose_key("dead-letters") == key
        assert vault.purpose_key("other") != key
        with pytest.raises(ValueError):
            vault.subjects([("purpose", "dead-letters")])
        sealed = seal_bytes(key, b"\x00raw", event_id="t/0/1", path="value")
        found = vault.key_of([subject_of_bytes(sealed)])
        assert unseal_bytes(sealed, found[key.subject_id], event_id="t/0/1", path="value") == b"\x00raw"

    def test_two_processes_that_ask_at_once_get_the_same(self, place: Place, vault: Vault) -> None:
        code = (
            "wanted = [('email', f'person{i}@example.org') for i in range(300)][::STEP]\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "print(json.dumps({value: s.subject_id for (_, value), s in zip(wanted, vault.subjects(wanted))}))"
        )
        children = [place.child(code.replace("STEP", step)) for step in ("1", "-1", "1")]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        answers = [json.loads(child.communicate(timeout=120)[0]) for child in children]
        assert answers[0] == answers[1] == answers[2]
        assert len(set(answers[0].values())) == 300
        assert [s.subject_id for s in vault.subjects(MANY)] == [answers[0][value] for _, value in MANY]

    def test_threads_that_ask_at_once_get_the_same(self, place: Place, vault: Vault) -> None:
        other = place.open()
        answers: list[list[str]] = []
        threads = [
            threading.Thread(target=lambda v=v: answers.append([s.subject_id for s in v.subjects(MANY)]))
            for v in (vault, other, vault, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert len(answers) == 4
        assert all(answer == answers[0] for answer in answers)

    def test_two_processes_that_make_a_vault_at_once_make_one(self, place: Place) -> None:
        children = [place.child("print(vault.subjects([('email', 'a')])[0].subject_id)") for _ in range(3)]
        assert len({child.communicate(timeout=120)[0].strip() for child in children}) == 1

    def test_killed_after_the_commit_the_ids_are_kept(self, place: Place, vault: Vault) -> None:
        # The cache is filled after the commit and before the return.
        wait_killed(place.child("module.SubjectCache.put = die\nvault.subjects([('email', 'jane@example.org')])"))
        stored = vault.find(*EMAIL)
        assert stored is not None
        assert vault.subjects([EMAIL])[0].subject_id == stored

    def test_killed_before_the_commit_nothing_is_kept(self, place: Place, vault: Vault) -> None:
        code = (
            "vault._open_rows = lambda session, rows: die() if rows else {}\n"
            "vault.subjects([('email', 'jane@example.org')])"
        )
        wait_killed(place.child(code))
        assert vault.find(*EMAIL) is None
        assert place.open().subjects([EMAIL]) == vault.subjects([EMAIL])

    # -- the cache -----------------------------------------------------------------------------------------------------

    def test_known_values_are_not_asked_for_again_until_their_time_is_over(self, place: Place, vault: Vault) -> None:
        vault.subjects(MANY)
        transactions = count_transactions(vault)
        place.clock.seconds += 44
        vault.subjects(MANY)
        assert transactions() == 0
        vault.subjects([*MANY, ("email", "new"), ("email", "newer")])
        assert transactions() == 2, "one to look, one to make"
        place.clock.seconds += 1
        vault.subjects(MANY)
        assert transactions() == 3

    def test_the_cache_is_bounded(self, place: Place) -> None:
        vault = place.open(cache_size=10)
        assert vault.subjects(MANY) == vault.subjects(MANY)
        assert len(vault._cache) == 10

    def test_a_cache_of_more_than_a_minute_is_refused(self, place: Place) -> None:
        with pytest.raises(ValueError, match="60 s"):
            place.open(cache_seconds=61)

    # -- erasure -------------------------------------------------------------------------------------------------------

    def test_an_erased_subject_is_gone_everywhere_within_the_cache_bound(self, place: Place, vault: Vault) -> None:
        other = place.open(cache_seconds=60)
        [subject] = other.subjects([EMAIL])
        token = seal(subject, "jane@example.org", event_id=EVENT, path=PATH)
        erase(vault, subject.subject_id)
        assert vault.key_of([subject.subject_id]) == {}
        assert other.key_of([subject.subject_id]) == {}
        for one in (vault, other):
            with pytest.raises(SealError, match="erased"):
                reveal(one, token, "rita", event_id=EVENT, path=PATH)
        place.clock.seconds += 60
        [again] = other.subjects([EMAIL])
        assert again.subject_id != subject.subject_id
        with pytest.raises(SealError):
            unseal(token, again.key, event_id=EVENT, path=PATH)
        assert vault.subjects([EMAIL]) == [again]
        assert [row[0] for row in vault.erased_before(*EMAIL)] == [subject.subject_id]
        assert [stone.subject_id for stone in vault.tombstones()] == [subject.subject_id]

    def test_the_process_that_erases_forgets_at_once(self, vault: Vault) -> None:
        [subject, other] = vault.subjects([EMAIL, ("user", "jane")])
        erase(vault, subject.subject_id)
        assert vault.subjects([EMAIL])[0] != subject
        assert vault.subjects([("user", "jane")]) == [other]

    def test_one_approval_or_two_by_one_principal_do_not_erase(self, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        asked = request_erasure(vault, subject.subject_id, "anna", reason="TICKET-1", approve=False)
        assert (asked.approvals, asked.kind) == ((), "email"), "to ask is not to approve"
        once = request_erasure(vault, subject.subject_id, "anna", reason=None, approve=True)
        assert once.approvals == ("anna",)
        with pytest.raises(Refused, match="another principal"):
            request_erasure(vault, subject.subject_id, "anna", reason=None, approve=True)
        assert subject.subject_id in vault.key_of([subject.subject_id])
        assert [(r.subject_id, r.reason, r.approvals) for r in requests(vault)] == [
            (subject.subject_id, "TICKET-1", ("anna",))
        ]
        assert request_erasure(vault, subject.subject_id, "bert", reason=None, approve=True).approvals == (
            "anna",
            "bert",
        )
        assert requests(vault) == []
        with pytest.raises(Refused, match="erased already"):
            request_erasure(vault, subject.subject_id, "carl", reason="again", approve=True)

    def test_a_request_lapses(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        request_erasure(vault, subject.subject_id, "anna", reason="TICKET-1", approve=True)
        place.clock.seconds += 31 * 86400
        assert requests(vault) == []
        with pytest.raises(Refused, match="give a reason"):
            request_erasure(vault, subject.subject_id, "bert", reason=None, approve=True)
        assert not request_erasure(vault, subject.subject_id, "bert", reason="TICKET-2", approve=True).erased

    @pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
    def test_a_reason_is_one_line(self, vault: Vault, reason: str) -> None:
        [subject] = vault.subjects([EMAIL])
        with pytest.raises(Refused, match="reason"):
            request_erasure(vault, subject.subject_id, "anna", reason=reason, approve=True)

    def test_a_subject_that_is_not_there(self, vault: Vault) -> None:
        with pytest.raises(VaultError, match="no subject"):
            request_erasure(vault, "a" * 26, "anna", reason="TICKET-1", approve=True)

    def test_a_legal_hold_blocks(self, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        request_erasure(vault, subject.subject_id, "anna", reason="TICKET-1", approve=True)
        add_hold(vault, subject.subject_id, "lena", "CASE-7")
        assert [(h.subject_id, h.reason, h.principal) for h in holds(vault)] == [(subject.subject_id, "CASE-7", "lena")]
        with pytest.raises(Refused, match=r"legal hold on .*by lena"):
            request_erasure(vault, subject.subject_id, "bert", reason=None, approve=True)
        with pytest.raises(Refused, match="already"):
            add_hold(vault, subject.subject_id, "lena", "CASE-8")
        assert subject.subject_id in vault.key_of([subject.subject_id])
        remove_hold(vault, subject.subject_id, "lena")
        with pytest.raises(Refused, match="no legal hold"):
            remove_hold(vault, subject.subject_id, "lena")
        assert request_erasure(vault, subject.subject_id, "bert", reason=None, approve=True).erased

    def test_what_is_done_is_in_the_journal_without_a_value(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        token = seal(subject, "jane@example.org", event_id=EVENT, path=PATH)
        assert reveal(vault, token, "rita", event_id=EVENT, path=PATH) == "jane@example.org"
        erase(vault, subject.subject_id)
        entries = Journal(place.journal).entries()
        assert [entry.facet["action"] for entry in entries] == [
            "journal",
            "vault.open",
            "reveal",
            "erase.request",
            "erase.approve",
            "erase",
        ]
        assert entries[-1].facet["subject"] == subject.subject_id
        assert entries[-1].facet["approved_by"] == ["anna", "bert"]
        assert entries[-1].facet["reason"] == "TICKET-1"
        assert "jane" not in place.journal.read_text()

    def test_a_value_that_does_not_open_is_not_revealed_and_not_said_to_be(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        token = seal(subject, "jane@example.org", event_id=EVENT, path=PATH)
        with pytest.raises(SealError):
            reveal(vault, token, "rita", event_id="event-2", path=PATH)
        assert "reveal" not in [entry.facet["action"] for entry in Journal(place.journal).entries()]

    def test_killed_between_journal_and_database_the_erasure_is_finished(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        request_erasure(vault, subject.subject_id, "anna", reason="TICKET-1", approve=True)
        code = (
            "from proventrail.privacy.vault import erasure\nerasure.bury = die\n"
            f"erasure.request_erasure(vault, {subject.subject_id!r}, 'bert', reason=None, approve=True)"
        )
        wait_killed(place.child(code))
        assert subject.subject_id in vault.key_of([subject.subject_id])
        again = place.open()
        assert again.key_of([subject.subject_id]) == {}
        assert [stone.subject_id for stone in again.tombstones()] == [subject.subject_id]
        actions = [entry.facet["action"] for entry in Journal(place.journal).entries()]
        assert actions.count("erase") == 1

    def test_killed_between_journal_and_database_the_hold_is_put(self, place: Place, vault: Vault) -> None:
        [subject] = vault.subjects([EMAIL])
        code = (
            "from proventrail.privacy.vault import erasure\nerasure.put_hold = die\n"
            f"erasure.add_hold(vault, {subject.subject_id!r}, 'lena', 'CASE-7')"
        )
        wait_killed(place.child(code))
        assert holds(vault) == []
        assert [hold.subject_id for hold in holds(place.open())] == [subject.subject_id]

    # -- rotation ------------------------------------------------------------------------------------------------------

    def test_rotation_changes_no_id_and_no_key(self, place: Place, vault: Vault) -> None:
        before = vault.subjects(MANY)
        running = place.open()
        running.subjects(MANY[:10])
        with pytest.raises(Refused, match="new one first"):
            rotate_key(vault, "anna")
        assert rotate_key(vault, "anna", renew=place.keys.rotate, batch=70) == 300
        assert len(destroy_old_keys(vault, place.keys)) == 1
        assert place.open().subjects(MANY) == before
        # A process that was running meanwhile reads and makes rows under the new key.
        place.clock.seconds += 60
        assert running.subjects(MANY) == before
        [new] = running.subjects([("email", "new")])
        assert place.open().subjects([("email", "new")]) == [new]

    def test_a_running_process_without_the_new_key_stops(self, place: Place, vault: Vault, tmp_path: Path) -> None:
        old = FileKeys(tmp_path / "old" / "kek.json")
        old._save(*_parts(place.keys), replace=True)
        running = open_vault(place.url, old, journal=place.journal)
        place.opened.append(running)
        rotate_key(vault, "anna", renew=place.keys.rotate)
        with pytest.raises(VaultError, match="does not hold the key"):
            running.subjects([("email", "new")])

    def test_rotation_that_is_killed_goes_on(self, place: Place, vault: Vault) -> None:
        before = vault.subjects(MANY)
        code = (
            "rotation.rotate_key(vault, 'anna', renew=keys.rotate, batch=70, "
            "progress=lambda done: die() if done == 140 else None)"
        )
        wait_killed(place.child(code))
        # Half of the rows are under the new key: both keys are needed, and everything works.
        assert destroy_old_keys(vault, place.keys) == [], "the old key is in use"
        half = place.open()
        assert half.subjects(MANY) == before
        [new] = half.subjects([("email", "new")])
        assert rotate_key(vault, "anna", batch=70) == 160
        assert len(destroy_old_keys(vault, place.keys)) == 1
        assert place.open().subjects([*MANY, ("email", "new")]) == [*before, new]

    def test_the_old_key_is_needed_until_the_rotation_is_done(self, place: Place, vault: Vault) -> None:
        vault.subjects(MANY)
        wait_killed(place.child("rotation.rotate_key(vault, 'anna', renew=keys.rotate, batch=70, progress=die)"))
        place.keys.destroy_all_but([])
        with pytest.raises(VaultError, match="does not hold the key"):
            place.open()

    def test_rotation_that_is_killed_before_it_began_takes_the_key_that_was_made(
        self, place: Place, vault: Vault
    ) -> None:
        before = vault.subjects([EMAIL])
        wait_killed(
            place.child("keyring.begin_generation = die\nrotation.rotate_key(vault, 'anna', renew=keys.rotate)")
        )
        made = place.keys.key_id
        assert place.open().subjects([EMAIL]) == before
        assert rotate_key(vault, "anna", renew=place.keys.rotate) == 1
        assert place.keys.key_id == made

    def test_a_rotation_that_another_overtakes_drops_no_key_in_use(
        self, place: Place, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = vault.subjects(MANY)
        original, calls = rotation._rewrap, [0]

        def overtaken(*args):
            # As if all rows were done, then another process had begun the next generation.
            calls[0] += 1
            return 0 if calls[0] == 1 else original(*args)

        monkeypatch.setattr(rotation, "_rewrap", overtaken)
        assert rotate_key(vault, "anna", renew=place.keys.rotate) == 300
        assert place.open().subjects(MANY) == before

    def test_two_rotations_at_once_lose_no_key(self, place: Place, vault: Vault) -> None:
        before = vault.subjects(MANY)
        children = [place.child("rotation.rotate_key(vault, 'anna', renew=keys.rotate, batch=20)") for _ in range(3)]
        for child in children:
            child.communicate(timeout=120)
        assert [child.returncode for child in children] == [0, 0, 0]
        destroy_old_keys(vault, place.keys)
        assert place.open().subjects(MANY) == before

    # -- keys that are missing or wrong --------------------------------------------------------------------------------

    def test_without_its_key_a_vault_does_not_open_and_makes_no_other(self, place: Place, vault: Vault) -> None:
        vault.subjects([EMAIL])
        moved = place.keys.path.with_name("moved")
        place.keys.path.rename(moved)
        with pytest.raises(VaultError, match="missing"):
            place.open()
        assert not place.keys.path.exists()
        place.keys.rotate()
        with pytest.raises(VaultError, match="does not hold the key"):
            place.open()
        moved.rename(place.keys.path)
        place.open()

    def test_rows_whose_parts_were_exchanged_do_not_open(self, place: Place, vault: Vault) -> None:
        [first, second] = vault.subjects([EMAIL, ("email", "john@example.org")])
        with vault.transaction("change") as session:
            session.run("UPDATE subjects SET subject_id = 'x' WHERE subject_id = ?", (first.subject_id,))
            session.run(
                "UPDATE subjects SET subject_id = ? WHERE subject_id = ?", (first.subject_id, second.subject_id)
            )
        with pytest.raises(VaultError, match="does not open"):
            place.open().subjects([EMAIL])


def count_transactions(vault: Vault) -> Callable[[], int]:
    """Counts the vault's transactions from now on."""
    count = 0
    original = vault.database.transaction

    def counting(access):
        nonlocal count
        count += 1
        return original(access)

    vault.database.transaction = counting
    return lambda: count


def _parts(keys: FileKeys) -> tuple[str, dict[str, bytes]]:
    found = keys._load()
    assert found is not None
    return found
