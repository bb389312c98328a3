"""Personal data after the whole road: what is told of it, who is found, what an erasure does to a running refine."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from proventrail.privacy.vault.cache import MAX_SECONDS
from proventrail.schemas import avro
from proventrail.schemas.openlineage import from_openlineage
from proventrail.schemas.topics import LINEAGE_EVENTS, MAX_MESSAGE_BYTES

from .conftest import People, Result, Up, event, moved, written


def ingested(up: Up, folder: Path, events: list[dict[str, Any]]) -> None:
    result = up.run("ingest", written(folder / f"{uuid.uuid4().hex}.jsonl", events))
    assert result.code == 0, result.errors
    assert up.run("verify-delivery", "--wait").code == 0


def named(result: Result) -> str:
    """The subject that `find` has told."""
    assert result.code == 0, result.errors
    [line] = [line for line in result.errors.splitlines() if line.startswith("subject: ")]
    return line.removeprefix("subject: ")


def find(people: People, value: str) -> Result:
    return people.run(
        "otto", "privacy", "find", "--kind", "email", "--value-from", "stdin", stdin=f"{value}\n".encode()
    )


@pytest.fixture
def address() -> str:
    """An e-mail address that no other test uses."""
    return f"ann.{uuid.uuid4().hex[:10]}@corp.com"


def test_a_planted_address_is_told_with_path_kind_action_count_and_dataset(
    pipeline: Up, namespace: str, address: str, tmp_path: Path
) -> None:
    facets = {"note": {"text": f"by {address}", "all": [address, f"and {address}"]}}
    told = moved(namespace, "job", "orders", f"out/{address}/x")
    told["inputs"][0]["facets"] = facets
    told["run"]["facets"] = facets
    ingested(pipeline, tmp_path, [told])
    [row] = pipeline.sql(
        f"SELECT policy_version, `outputs.name`[1] AS output, arraySort(arrayZip(`privacy.path`, `privacy.kind`, "
        f"`privacy.action`, `privacy.dataset`, `privacy.count`)) AS found FROM events "
        f"WHERE job_namespace = '{namespace}'"
    )
    assert row["policy_version"] != ""
    assert address not in json.dumps(row)
    source, target = f"s3://{namespace}\norders", f"s3://{namespace}\n{row['output']}"
    assert [list(finding) for finding in row["found"]] == [
        ["inputs[].facets.note.all[]", "email", "pseudonymise", source, 2],
        ["inputs[].facets.note.text", "email", "pseudonymise", source, 1],
        ["outputs[].name", "email", "pseudonymise", target, 1],
        ["run.facets.note.all[]", "email", "pseudonymise", "", 2],
        ["run.facets.note.text", "email", "pseudonymise", "", 1],
    ]
    reported = pipeline.run("privacy", "report", "--by", "dataset", "--format", "json").json()
    assert {(r["name"], r["kind"], r["findings"], r["events"]) for r in reported if namespace in r["namespace"]} == {
        ("orders", "email", 3, 1),
        (row["output"], "email", 1, 1),
    }


def test_another_spelling_finds_the_same_person(
    pipeline: Up, people: People, namespace: str, address: str, tmp_path: Path
) -> None:
    ingested(pipeline, tmp_path, [event(namespace, f"for {address}"), event(namespace, f"for {address.title()}")])
    [row] = pipeline.sql(f"SELECT uniqExact(job_name) AS n FROM events WHERE job_namespace = '{namespace}'")
    assert row["n"] == 1
    subject = named(find(people, address))
    for spelling in (address.upper(), f"  {address.title()} "):
        result = find(people, spelling)
        assert named(result) == subject
        assert namespace in result.output
        assert address not in (result.output + result.errors).lower()
    before = people.audited("find", subject=subject)
    assert before == 3


def test_a_legal_hold_blocks_the_erasure(
    pipeline: Up, people: People, namespace: str, address: str, tmp_path: Path
) -> None:
    ingested(pipeline, tmp_path, [event(namespace, f"for {address}")])
    subject = named(find(people, address))
    held = ("privacy", "hold", "add", "--subject", subject, "--reason", "CASE-7")
    assert people.run("anna", *held).code == 0
    erase = ("privacy", "erase", "--subject", subject, "--reason", "TICKET-1", "--approve")
    for who in ("anna", "bert"):
        result = people.run(who, *erase)
        assert result.code == 1
        assert "a legal hold" in result.error
    assert named(find(people, address)) == subject
    assert people.audited("erase", subject=subject) == 0
    assert people.audited("hold.add", subject=subject) == 1


# -- a pipeline of its own, under a policy of its own ------------------------------------------------------------------

TOKENS = """\
version: 1
name: tokens
kinds: {default: redact, contact: pseudonymise}
rules: [{path: run.facets.note.customer, transform: tokenise, kind: email}]
"""
REDACTS = "version: 1\nname: redacts\nkinds: {default: redact}\nrules: []\n"


class Governed(Up):
    """A pipeline whose policy can be changed by starting it again."""

    def __init__(self, data_dir: Path, policy: str) -> None:
        self._policy = data_dir.parent / "policy.yaml"
        self._policy.write_text(policy)
        super().__init__(data_dir, "--policy", str(self._policy))

    def start_under(self, policy: str) -> None:
        assert self.interrupt() == 0
        self._policy.write_text(policy)
        self.start()


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    up = Governed(tmp_path_factory.mktemp("governed") / "data", TOKENS)
    yield up
    up.end()


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_after_an_erasure_a_running_refine_forgets_and_tokens_stay_shut(
    governed: Governed, namespace: str, address: str, tmp_path: Path
) -> None:
    up, people = governed, People(governed)

    def send(number: int) -> dict[str, str]:
        """One more event of the person; what became of it."""
        told = event(namespace, f"{number} for {address}")
        told["run"]["facets"] = {"note": {"customer": address}}
        ingested(up, tmp_path, [told])
        [row] = up.sql(
            "SELECT job_name, toString(event_id) AS id, JSONExtractString(run_facets['note'], 'customer') AS token "
            f"FROM events WHERE job_namespace = '{namespace}' AND startsWith(job_name, '{number} ')"
        )
        return {name: str(value) for name, value in row.items()}

    def reveal(row: dict[str, str]) -> Result:
        at = ("--event-id", row["id"], "--path", "run.facets.note.customer")
        return people.run("rita", "privacy", "reveal", row["token"], *at)

    first = send(0)
    subject = named(find(people, address))
    assert first["job_name"] == f"0 for email_{subject}"
    assert reveal(first).output == f"{address}\n"
    for who in ("anna", "bert"):
        assert people.run(who, "privacy", "erase", "--subject", subject, "--reason", "T-1", "--approve").code == 0
    erased = time.monotonic()
    assert reveal(first).code == 1
    # It may use what it remembers for as long as the bound says, and not longer: what is sent after that has a new one.
    time.sleep(MAX_SECONDS - (time.monotonic() - erased))
    later = send(1)
    assert subject not in later["job_name"] + later["token"]
    assert later["job_name"].startswith("1 for email_")
    assert reveal(later).output == f"{address}\n"
    assert "was erased" in reveal(first).error
    assert "erased before: " + subject in find(people, address).errors
    assert people.audited("erase", subject=subject) == 1


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_sealed_letter_is_stored_when_it_is_replayed_after_its_cause_is_mended(
    governed: Governed, namespace: str
) -> None:
    """Pseudonyms made it too large for a record; under a policy that writes less it is not."""
    up = governed
    told = event(namespace, "large")
    told["job"]["facets"] = {f"x{i}": {"text": "x" * 4_120_000} for i in range(3)}
    told["job"]["facets"]["mails"] = {"text": " a@b.io" * 16_000}
    value = avro.encode("lineage_event", from_openlineage(told))
    assert len(value) < MAX_MESSAGE_BYTES - 4096
    producer = Producer({**up.kafka.client_config(), "message.max.bytes": MAX_MESSAGE_BYTES})
    producer.produce(LINEAGE_EVENTS, value, b"k")
    assert producer.flush(60) == 0
    assert up.run("verify-delivery", "--wait").code == 0
    stored = f"SELECT count() AS n FROM events WHERE job_namespace = '{namespace}'"
    assert up.sql(stored) == [{"n": 0}]
    [letter] = up.run("dead-letters", "list", "--reason", "oversize", "--format", "json").json()
    up.start_under(REDACTS.replace("redact}", "drop}"))
    at = [str(letter[name]) for name in ("raw_topic", "raw_partition", "raw_offset")]
    assert up.run("dead-letters", "replay", *at).output == "sent again\n"
    assert up.run("verify-delivery", "--wait").code == 0
    assert up.sql(stored) == [{"n": 1}]
    assert len(up.run("dead-letters", "list", "--reason", "oversize", "--format", "json").json()) == 1
