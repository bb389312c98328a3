"""The vault under kill -9 at any moment: what was told stays true, and nobody who was erased comes back."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proventrail.privacy.vault import FileKeys, open_vault

pytestmark = pytest.mark.faults

ROUNDS = 25

# Makes subjects, erases some, rotates now and then; says what it knows to be done, a line of JSON each.
WORKER = """
import json, random, sys
from pathlib import Path
from proventrail.privacy.vault import FileKeys, open_vault
from proventrail.privacy.vault.erasure import request_erasure
from proventrail.privacy.vault.rotation import rotate_key
database, key_file, seed = sys.argv[1:]
keys = FileKeys(Path(key_file))
vault = open_vault(database, keys)
random.seed(int(seed))
say = lambda *parts: print(json.dumps(parts), flush=True)
say("open")
rotate_key(vault, "anna", renew=keys.rotate, batch=50)
say("rotated")
for step in range(100_000):
    wanted = [("email", str(random.randrange(3_000))) for _ in range(40)]
    found = vault.subjects(wanted)
    say("subjects", [(value, s.subject_id, s.key.hex()) for (_, value), s in zip(wanted, found)])
    victim = found[0].subject_id
    say("erasing", victim)
    for principal in ("anna", "bert"):
        request_erasure(vault, victim, principal, reason="TICKET", approve=True)
    say("erased", victim)
    if step % 10 == 9:
        rotate_key(vault, "anna", renew=keys.rotate, batch=50)
        say("rotated")
"""


@dataclass
class Known:
    """What the workers have told. `doubtful`: erasures that were begun and not said to be done."""

    subjects: dict[str, tuple[str, str]] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def hear(self, lines: Iterator[str]) -> None:
        for line in lines:
            if not line.endswith("\n"):
                continue
            what, *rest = json.loads(line)
            self.counts[what] = self.counts.get(what, 0) + 1
            if what == "subjects":
                for value, subject_id, key in rest[0]:
                    self._told(value, subject_id, key)
            elif what == "erasing":
                self.doubtful.add(rest[0])
            elif what == "erased":
                self.doubtful.discard(rest[0])
                self.erased.add(rest[0])

    def _told(self, value: str, subject_id: str, key: str) -> None:
        before = self.subjects.get(value)
        if before is not None and before != (subject_id, key):
            assert before[0] in self.erased | self.doubtful, "a value got another subject, and was not erased"
        assert subject_id not in self.erased, "an erased subject came back"
        self.subjects[value] = (subject_id, key)


def test_killed_at_any_moment_what_was_told_stays_true(tmp_path: Path) -> None:
    database, keys = tmp_path / "vault" / "vault.db", FileKeys(tmp_path / "keys" / "kek.json")
    known = Known()
    for number in range(ROUNDS):
        arguments = [sys.executable, "-c", WORKER, str(database), str(keys.path), str(number)]
        worker = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        assert worker.stdout.readline() == '["open"]\n'
        time.sleep(random.Random(number).uniform(0.01, 1.2))
        worker.kill()
        known.hear(iter(worker.stdout))
        worker.wait()
        _check(database, keys, known)
    assert known.counts["erased"] > ROUNDS
    assert known.counts["rotated"] > 1


def _check(database: Path, keys: FileKeys, known: Known) -> None:
    with open_vault(database, keys) as vault:
        stored = vault.key_of([subject_id for subject_id, _ in known.subjects.values()])
        assert vault.key_of(sorted(known.erased)) == {}
        for subject_id, key in known.subjects.values():
            if subject_id in stored:
                assert stored[subject_id].hex() == key
            else:
                assert subject_id in known.erased | known.doubtful, "a subject that was told is lost"
        vault.journal.entries()
