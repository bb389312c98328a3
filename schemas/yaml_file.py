"""YAML files that people write: their content, and the line that each part of it stands on. Needs PyYAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class YamlError(Exception):
    """A file that cannot be used: file, line where there is one, and reason."""


@dataclass(frozen=True)
class YamlFile:
    """`content` as plain Python values. `line` finds where a part of it stands."""

    path: Path
    content: Any
    root: yaml.Node | None

    def line(self, place: Sequence[int | str] = ()) -> int:
        """Line of the value at `place` (keys and indices from the root); of what is nearest where it is missing."""
        node, line = self.root, _line_of(self.root)
        for step in place:
            found = _child(node, step)
            if found is None:
                return line
            node, line = found, _line_of(found)
        return line

    def error(self, place: Sequence[int | str], reason: str) -> str:
        """`FILE:LINE: REASON`."""
        return f"{self.path}:{self.line(place)}: {reason}"


def _line_of(node: yaml.Node | None) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1


def _child(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


def _doubled_key(node: yaml.Node | None) -> yaml.Node | None:
    """A key that stands twice in one mapping: YAML's loader would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    return key
                seen.add(key.value)
            found = _doubled_key(value)
            if found is not None:
                return found
    elif isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_doubled_key, node.value)), None)
    return None


def read_yaml(path: Path) -> YamlFile:
    """One document. Raises YamlError with file, line and reason."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlError(f"{path}:{line}: not YAML: {error.problem}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise YamlError(f"{path}: cannot be read ({type(error).__name__})") from None
    doubled = _doubled_key(root)
    if doubled is not None:
        raise YamlError(f"{path}:{_line_of(doubled)}: the key {doubled.value} stands twice: keep one of them")
    return YamlFile(path, content, root)
