"""docs/privacy.md tells the truth: its example is valid, and it names every path, setting and transformation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from proventrail.privacy.policy.fields import DATASET, DATASET_FACETS, EDGE, FACETS, FIELDS, JSON
from proventrail.privacy.policy.model import Action, Limits, PolicyModel, Rule, Scan
from proventrail.privacy.policy.policy import read_policy

from ..standin import GROUPS


@pytest.fixture(scope="module")
def text(repo_dir: Path) -> str:
    return (repo_dir / "docs" / "privacy.md").read_text(encoding="utf-8")


def test_the_example_is_a_valid_policy(text: str, tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(example)
    assert len(read_policy(path, GROUPS).model.rules) == 6


def test_everything_a_policy_may_say_is_explained(text: str) -> None:
    settings = {*Rule.model_fields, *PolicyModel.model_fields, *Limits.model_fields}
    for name in (*get_args(Action), *get_args(Scan), *settings):
        assert re.search(rf"`{name}`|^\s*(?:- )?{name}:", text, re.MULTILINE), name
    paths = {*FIELDS.values(), *JSON.values(), *FACETS.values()}
    paths |= {path for path in EDGE.values() if path.startswith("column_lineage")}
    paths |= {f"{side}[].{name}" for side, facets in DATASET_FACETS.items() for name in facets}
    for path in paths:
        head, _, last = path.rpartition(".")
        said = f"`{path}" in text or (f"`.{last}`" in text and head in text)
        assert said, path
    for name in DATASET.values():
        assert f"`.{name}`" in text or f"inputs[].{name}`" in text
