"""Where the values of a JSON text stand: so that one can be replaced and all else stay byte for byte as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from proventrail.privacy.policy.policy import Place
from proventrail.privacy.transform.actions import without_own

_LEXEME = re.compile(
    r'[ \t\n\r]*(?:("[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|([{}\[\],:])"
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(true|false|null|NaN|-?Infinity))"
)
_BLANK = re.compile(r"[ \t\n\r]*\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")

_TITLES = {"name", "key", "field", "column", "columnName", "column_name", "property", "parameter"}
"""Properties that tell what the properties beside them are about: `{"name": "DB_PASSWORD", "value": …}`."""
_HEADERS = {"columns", "header", "headers", "fields", "names", "columnNames", "column_names"}
_ROWS = {"rows", "data", "values", "sample", "samples", "records", "preview", "head"}
"""A table: names of columns, and beside them rows, each a list of values in the same order."""

_VALUES = {"value", "values", "val", "default", "content", "expected", "actual", "old", "new"}
_VALUES |= {"min", "max", "mean", "median", "mode", "example", "examples", "sample", "samples", "quantiles"}

_SURROGATE = re.compile("[\ud800-\udfff]")

MAX_PATH = 200


_NAME = r'"([^"\\]{1,60})"'
_NAMES = re.compile(rf'{_NAME}\s*:|"(?:{"|".join(sorted(_TITLES))})"\s*:\s*{_NAME}')
_HEADED = re.compile(rf'"(?:{"|".join(sorted(_HEADERS))})"\s*:\s*\[\s*"')


def names_in(text: str) -> set[str] | None:
    """Names that values of a JSON text without `\\u` may stand under; None: there is a table, whose names are not told.

    Cheap, and may give too many.
    """
    if _HEADED.search(text):
        return None
    return {name for pair in _NAMES.findall(text) for name in pair if name}


class NotJson(ValueError):
    """Not a JSON text, or one that is nested too deep. Quotes nothing."""


@dataclass(slots=True)
class Leaf:
    """One string, number or property name. `start` and `end` enclose it in the text, quotes included.

    `dialect` stands beside it, as in the SQL facet of OpenLineage.
    """

    start: int
    end: int
    value: str
    place: Place
    path: str
    context: str = ""
    is_key: bool = False
    is_string: bool = True
    index: int = -1
    named: Place | None = None
    dialect: str = ""

    def title(self, name: str, place: Place) -> None:
        """The value belongs to the column or property `name`, whose place is `place`."""
        self.context, self.named = name, place


@dataclass(slots=True)
class _Frame:
    place: Place
    path: str
    is_object: bool
    first_leaf: int
    wants: str = "value-or-end"
    key: str = ""
    items: int = 0
    members: list[tuple[str, int, int]] = field(default_factory=list)
    member_start: int = 0


def _decoded(token: str) -> str:
    """The string of a JSON token. Halves of surrogate pairs, which no detector takes, become U+FFFD."""
    if "\\" not in token:
        return token[1:-1]
    try:
        found: str = json.loads(token)
    except ValueError:
        raise NotJson("not JSON") from None
    return _SURROGATE.sub("\ufffd", found)


def path_below(path: str, name: str) -> str:
    """The path of a property. A name that could itself be data, or a path that grows too long, is told as `*`."""
    if len(path) > MAX_PATH:
        return path
    return f"{path}.{name if _PLAIN_NAME.fullmatch(name) else '*'}"


class _Walk:
    def __init__(self, text: str, place: Place, path: str, max_depth: int) -> None:
        self.text = text
        self.leaves: list[Leaf] = []
        self._stack: list[_Frame] = []
        self._top = (place, path)
        self._max_depth = max_depth
        self._done = False

    def run(self) -> list[Leaf]:
        at, match = 0, _LEXEME.match
        while not self._done:
            found = match(self.text, at)
            if found is None:
                raise NotJson("not JSON")
            at = found.end()
            which = found.lastindex
            if which == 2:
                self._punctuation(found[2])
            else:
                assert which is not None
                self._scalar(found.start(which), at, found[which], which)
        if not _BLANK.match(self.text, at):
            raise NotJson("not JSON")
        return self.leaves

    def _punctuation(self, char: str) -> None:
        if char in "{[":
            self._open(char == "{")
            return
        if not self._stack:
            raise NotJson("not JSON")
        frame = self._stack[-1]
        if char in "}]":
            ends = ("end", "key-or-end") if char == "}" else ("end", "value-or-end")
            if frame.is_object != (char == "}") or frame.wants not in ends:
                raise NotJson("not JSON")
            self._close()
        elif char == ":" and frame.wants == "colon":
            frame.wants = "value"
        elif char == "," and frame.wants == "end":
            frame.wants = "key" if frame.is_object else "value"
        else:
            raise NotJson("not JSON")

    def _below(self) -> tuple[Place, str]:
        """Place and path of the value that comes now."""
        if not self._stack:
            return self._top
        frame = self._stack[-1]
        if frame.wants not in ("value", "value-or-end"):
            raise NotJson("not JSON")
        if not frame.is_object:
            return frame.place, frame.path
        return frame.place.child(without_own(frame.key)), path_below(frame.path, frame.key)

    def _open(self, is_object: bool) -> None:
        place, path = self._below()
        if len(self._stack) >= self._max_depth:
            raise NotJson("nested too deep")
        wants = "key-or-end" if is_object else "value-or-end"
        path = path if is_object or path.endswith("[]") else f"{path}[]"
        self._stack.append(_Frame(place, path, is_object, len(self.leaves), wants))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.is_object:
            self._name_values(frame)
        self._value_ended()

    def _value_ended(self) -> None:
        if not self._stack:
            self._done = True
            return
        frame = self._stack[-1]
        frame.wants = "end"
        frame.items += 1
        if frame.is_object:
            frame.members.append((frame.key, frame.member_start, len(self.leaves)))

    def _scalar(self, start: int, end: int, token: str, which: int) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.wants in ("key", "key-or-end"):
            if which != 1:
                raise NotJson("not JSON")
            frame.key = _decoded(token)
            self.leaves.append(Leaf(start, end, frame.key, frame.place, f"{frame.path}.*", is_key=True))
            frame.member_start = len(self.leaves)
            frame.wants = "colon"
            return
        place, path = self._below()
        if which != 4:
            context = next((without_own(f.key) for f in reversed(self._stack) if f.is_object), "")
            index = frame.items if frame is not None and not frame.is_object else -1
            value = _decoded(token) if which == 1 else token
            self.leaves.append(Leaf(start, end, value, place, path, context, is_string=which == 1, index=index))
        self._value_ended()

    # -- names that stand beside values ----------------------------------------------------------------------------

    def _name_values(self, frame: _Frame) -> None:
        title = next(self._strings(frame, _TITLES), None)
        if title is not None and len(title) == 1:
            self._title(frame, title[0].value)
        dialect = next((found for found in self._strings(frame, {"dialect"}) if found), None)
        if dialect is not None:
            for _, first, last in frame.members:
                for leaf in self.leaves[first:last]:
                    leaf.dialect = leaf.dialect or dialect[0].value
        header = next((found for found in self._strings(frame, _HEADERS) if found), None)
        if header is not None:
            self._head(frame, [leaf.value for leaf in header])

    def _strings(self, frame: _Frame, keys: set[str]) -> Iterator[list[Leaf]]:
        """Of each member with one of these names: its strings; of a list of objects what names each."""
        for key, first, last in frame.members:
            if key in keys:
                values = [leaf for leaf in self.leaves[first:last] if not leaf.is_key and leaf.is_string]
                if any(leaf.is_key for leaf in self.leaves[first:last]):
                    values = [leaf for leaf in values if leaf.context in _TITLES]
                yield values

    def _title(self, frame: _Frame, name: str) -> None:
        place = frame.place.child(without_own(name))
        for key, first, last in frame.members:
            if key in _VALUES:
                for leaf in self.leaves[first:last]:
                    if not leaf.is_key and leaf.named is None:
                        leaf.title(without_own(name), place)

    def _head(self, frame: _Frame, names: list[str]) -> None:
        places = [frame.place.child(without_own(name)) for name in names]
        for key, first, last in frame.members:
            if key in _ROWS:
                for leaf in self.leaves[first:last]:
                    if 0 <= leaf.index < len(names):
                        leaf.title(without_own(names[leaf.index]), places[leaf.index])


def leaves(text: str, place: Place, path: str, max_depth: int) -> list[Leaf]:
    """Strings, numbers and property names of a JSON text, in their order. Raises NotJson."""
    return _Walk(text, place, path, max_depth).run()
