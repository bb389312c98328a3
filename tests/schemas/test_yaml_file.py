"""YAML that people write: where a part of it stands, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from proventrail.schemas.yaml_file import YamlError, read_yaml

TEXT = """\
a: 1
b:
  - x
  - {y: 2,
     z: [3,
         4]}
"""


def test_every_part_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(TEXT)
    file = read_yaml(path)
    assert file.content == {"a": 1, "b": ["x", {"y": 2, "z": [3, 4]}]}
    lines = {
        (): 1,
        ("a",): 1,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "z", 1): 6,
        ("b", 7): 3,
        ("none",): 1,
        ("b", 1, "q"): 4,
    }
    assert {place: file.line(place) for place in lines} == lines
    assert file.error(("b", 1, "z"), "is wrong") == f"{path}:5: is wrong"


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("# only words\n")
    assert (read_yaml(path).content, read_yaml(path).line(["a"])) == (None, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: [1", r"f\.yaml:\d: not YAML"),
        (b"a: 1\nb: {c: 1,\n c: 2}", r"f\.yaml:3: the key c stands twice"),
        (b"\xff\xfe\xfd", "cannot be read"),
        (b"a: !!python/object:os.system x", "not YAML"),
        (b"a: 2026-13-45", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(YamlError, match=message):
        read_yaml(path)
