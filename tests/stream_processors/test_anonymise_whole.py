"""The step with the real detector and the real vault: what the stand-ins of test_anonymise leave open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proventrail.privacy.detect import Detector
from proventrail.privacy.normalise import normalise
from proventrail.privacy.policy.policy import default_policy, read_policy
from proventrail.privacy.spans import KINDS
from proventrail.privacy.vault import FileKeys, Vault, open_vault
from proventrail.privacy.vault.seal import seal, unseal
from proventrail.schemas import avro
from proventrail.schemas.columns import decode_batch
from proventrail.schemas.openlineage import from_openlineage
from proventrail.stream_processors.steps.anonymise import Anonymiser

from .test_anonymise import (
    GRAPH_MARKS,
    assert_same_graph,
    corpus,
    event,
    refine,
    rows,
    told_with,
    with_canaries,
)

GROUPS = {kind.name: kind.group for kind in KINDS.values()}


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with open_vault(tmp_path / "vault.sqlite", FileKeys(tmp_path / "key")) as vault:
        yield vault


def shipped(vault: Vault) -> Anonymiser:
    return Anonymiser(default_policy(GROUPS), Detector(), normalise, vault, seal)


@pytest.mark.parametrize(
    ("mark", "clear"),
    [
        ("by ann.lee@corp.com", "ann.lee@corp.com"),
        ("/home/annlee/w", "annlee"),
        ("ssn 536-90-4399", "536-90-4399"),
        ("AKIAIOSFODNN7EXAMPLQ", "AKIAIOSFODNN7EXAMPLQ"),
        ("DE89370400440532013000", "DE89370400440532013000"),
    ],
)
def test_what_is_planted_everywhere_comes_out_nowhere(shared_dir: Path, vault: Vault, mark: str, clear: str) -> None:
    told = [avro.encode("lineage_event", from_openlineage(with_canaries(e, mark))) for e in corpus(shared_dir)]
    done = refine(told, shipped(vault))
    for data in (*done.values, *done.keys, *(part for pair in done.observations for part in pair)):
        assert clear.encode() not in data
    # Another process, its memory empty, gives the same bytes; and a second pass finds nothing more.
    assert refine(told, shipped(vault)).values == done.values
    once, _ = decode_batch("refined_event", done.values)
    twice = shipped(vault)(once)
    kept = [name for name in once.schema.names if name != "privacy"]
    assert twice.select(kept).equals(once.select(kept))


SECRETS = ["AKIAIOSFODNN7EXAMPLQ", "DE89370400440532013000", "DE02120300000000202051", "4111111111111111"]


@pytest.mark.parametrize("marks", [*GRAPH_MARKS, SECRETS])
def test_lineage_is_the_same_graph(shared_dir: Path, vault: Vault, marks: list[str]) -> None:
    assert_same_graph(told_with(shared_dir, marks), shipped(vault), marks != [""])


def test_run_ids_are_compared_without_case_and_a_key_in_one_is_found(vault: Vault) -> None:
    parent = {"run_id": " Nightly-7 ", "job_namespace": "n", "job_name": "p"}
    told = [event(0, run={"id": "RUN-7"}, parent=parent), event(1, run={"id": "RUN AKIAIOSFODNN7EXAMPLQ"})]
    plain, secret = rows(refine(told, shipped(vault)))
    assert (plain["run_id"], plain["raw_run_id"], plain["parent_run_id"]) == ("run-7", "RUN-7", "nightly-7")
    for name in ("run_id", "raw_run_id"):
        assert "akiaiosfodnn7examplq" not in secret[name].lower()
        assert "redacted" in secret[name]


def test_what_is_tokenised_opens_with_the_path_that_the_event_tells(tmp_path: Path, vault: Vault) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("version: 1\nname: t\nkinds: {default: redact}\nrules: [{path: actor, transform: tokenise}]")
    by = Anonymiser(read_policy(path, GROUPS), Detector(), normalise, vault, seal)
    [row] = rows(refine([event(0, actor="ann lee")], by))
    subject = row["actor"].split(".")[1]
    [found] = row["privacy"]
    key = vault.key_of([subject])[subject]
    assert unseal(row["actor"], key, event_id=row["event_id"], path=found["path"]) == "ann lee"
