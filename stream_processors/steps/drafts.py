"""String columns rewritten by distinct text: first drafts of all of them, then the texts with pseudonyms filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.privacy.contracts import Seals, Wanted
from proventrail.privacy.draft import Draft
from proventrail.privacy.json_text import names_in, path_below
from proventrail.privacy.memo import Memo
from proventrail.privacy.policy.paths import Node
from proventrail.privacy.policy.policy import Place, Treatment
from proventrail.privacy.rewrite import Rewriter
from proventrail.privacy.vault import Subject
from proventrail.stream_processors.steps.arrays import Ints, offsets_of, text

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_CLEAN = Draft()
"""In the memo: the text stays."""
_MANY = 64
_EVERY = ""
"""In place of a regular expression: the rules may fit any text."""

Mask = npt.NDArray[np.bool_]


@dataclass
class Drafted:
    """A string column of `len(codes)` elements; element i has the text `texts[codes[i]]` and belongs to `rows[i]`.

    `rows`: event of each element; None: the column has one element per event. `items`: likewise the dataset, counted
    over the batch, for what belongs to one.
    """

    column: pa.Array
    codes: Ints
    texts: list[str]
    drafts: list[Draft | None]
    rows: Ints | None = None
    side: str = ""
    items: Ints | None = None

    @property
    def changes(self) -> bool:
        return any(draft is not None for draft in self.drafts)

    def elements(self, chosen: Sequence[bool]) -> Ints:
        """The elements whose text is chosen; `chosen` has an entry for each text."""
        return np.flatnonzero(np.array(chosen, bool)[self.codes]).astype(np.int64)

    def rows_of(self, elements: Ints) -> Ints:
        return elements if self.rows is None else self.rows[elements]

    def rendered(self, subjects: Mapping[Wanted, Subject], seal: Seals, event_ids: pa.Array) -> pa.Array:
        """The new column. What differs from event to event is made per element, the rest per text."""
        if not self.changes:
            return self.column
        new = [
            before if draft is None or draft.per_event else draft.render(subjects, seal)
            for before, draft in zip(self.texts, self.drafts, strict=True)
        ]
        column = pa.array(new, pa.string()).take(pa.array(self.codes))
        single = [draft is not None and draft.per_event for draft in self.drafts]
        if not any(single):
            return column
        elements = self.elements(single)
        events = event_ids.take(pa.array(self.rows_of(elements))).to_pylist()
        drafts = [self.drafts[code] for code in self.codes[elements]]
        values = [d.render(subjects, seal, e) for d, e in zip(drafts, events, strict=True) if d is not None]
        mask = np.zeros(len(self.codes), bool)
        mask[elements] = True
        return pc.replace_with_mask(column, pa.array(mask), pa.array(values, pa.string()))


@dataclass
class DraftedMap:
    """A map column of facets: its names, its texts, and of each facet whether it stays at all."""

    column: pa.MapArray
    keys: Drafted
    items: Drafted

    @property
    def changes(self) -> bool:
        return self.keys.changes or self.items.changes

    def changed_names(self) -> set[str]:
        """Names of facets whose text changes, as they were."""
        elements = self.items.elements([draft is not None for draft in self.items.drafts])
        return {self.keys.texts[code] for code in np.unique(self.keys.codes[elements])}

    def rendered(self, subjects: Mapping[Wanted, Subject], seal: Seals, event_ids: pa.Array) -> pa.MapArray:
        if not self.changes:
            return self.column
        offsets = self.column.offsets.to_numpy()
        keys = self.keys.rendered(subjects, seal, event_ids)
        items = self.items.rendered(subjects, seal, event_ids)
        counts = np.diff(offsets).astype(np.int64)
        dropped = [draft is not None and draft.dropped for draft in self.items.drafts]
        if any(dropped):
            keep = ~np.array(dropped, bool)[self.items.codes]
            owners = np.repeat(np.arange(len(counts)), counts)
            counts = np.bincount(owners[keep], minlength=len(counts)).astype(np.int64)
            keys, items = keys.filter(pa.array(keep)), items.filter(pa.array(keep))
        return pa.MapArray.from_arrays(offsets_of(counts), keys, items, type=self.column.type)


def _strings(value: object) -> list[str]:
    """All strings, names and numbers of a JSON value."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            found += item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif item is not None and not isinstance(item, bool):
            found.append(str(item))
    return found


def without_escapes(facet: str) -> str:
    """What the prefilter is shown: escapes of JSON must not hide anything from it."""
    if "\\" not in facet:
        return facet
    try:
        return "\n".join(_strings(orjson.loads(facet)))
    except ValueError:
        return facet


class Drafter:
    """Makes drafts of columns, and remembers what became of a text within `memo_bytes`."""

    def __init__(self, rewriter: Rewriter, memo_bytes: int) -> None:
        self.rewriter = rewriter
        self._memo: Memo[tuple[Node[Treatment] | None, str, str], Draft] = Memo(memo_bytes)
        self._reach: dict[Place, str | None] = {}

    # -- typed fields --------------------------------------------------------------------------------------------------

    def field(self, column: pa.Array, place: Place, path: str, rows: Ints | None = None) -> Drafted:
        """Drafts of a typed field."""
        column = text(column)
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return Drafted(column, codes, texts, self._fields(encoded.dictionary, texts, place, path), rows)

    def _fields(self, values: pa.Array, texts: list[str], place: Place, path: str) -> list[Draft | None]:
        drafts: list[Draft | None] = [None] * len(texts)
        decided = self.rewriter.decided(place)
        if decided is not None and decided.transform == "keep":
            return drafts
        scanned = decided is not None and decided.transform == "detect"
        asked: Sequence[int] = range(len(texts))
        if scanned and len(texts) > _MANY:
            # Ids of runs: as many as events, and a UUID is nobody's.
            asked = np.flatnonzero(~pc.match_substring_regex(values, _UUID).to_numpy(zero_copy_only=False)).tolist()
        unknown = self._remembered(drafts, texts, [(place, path)] * len(texts), asked)
        if scanned and unknown:
            flags = self.rewriter.detector.may_hold([texts[i] for i in unknown])
            self._clean(texts, [(place, path)] * len(texts), [i for i, f in zip(unknown, flags, strict=True) if not f])
            unknown = [i for i, flag in zip(unknown, flags, strict=True) if flag]
        for i in unknown:
            drafts[i] = self._learn(place, path, texts[i], self.rewriter.text(place, texts[i], path))
        return drafts

    # -- facets --------------------------------------------------------------------------------------------------------

    def json(self, column: pa.Array, place: Place, path: str, rows: Ints | None = None) -> Drafted:
        """Drafts of a column of JSON objects."""
        column = text(column)
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return Drafted(column, codes, texts, self._json(texts, [(place, path)] * len(texts)), rows)

    def facets(self, maps: pa.MapArray, places: Sequence[Place], classes: Ints | None, path: str) -> DraftedMap:
        """Drafts of maps of facets, which lie in `places[classes[i]]` for map i; all in the only one for None."""
        offsets = maps.offsets.to_numpy()
        first, last = (int(offsets[0]), int(offsets[-1])) if len(maps) else (0, 0)
        keys, items = maps.keys.slice(first, last - first), text(maps.items.slice(first, last - first))
        owners = np.repeat(np.arange(len(maps), dtype=np.int64), np.diff(offsets))
        names, texts = keys.dictionary_encode(), items.dictionary_encode()
        width, depth = max(1, len(texts.dictionary)), max(1, len(names.dictionary))
        combined = names.indices.to_numpy(zero_copy_only=False).astype(np.int64) * width
        combined += texts.indices.to_numpy(zero_copy_only=False)
        if classes is not None:
            combined += classes[owners] * (width * depth)
        encoded = pa.array(combined).dictionary_encode()
        distinct = encoded.dictionary.to_numpy()
        all_names, all_texts = names.dictionary.to_pylist(), texts.dictionary.to_pylist()
        below = [[(place.child(name), path_below(path, name)) for name in all_names] for place in places]
        where = [below[code // width // depth][code // width % depth] for code in distinct.tolist()]
        values = [all_texts[code % width] for code in distinct.tolist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        facets = Drafted(items, codes, values, self._json(values, where), owners)
        return DraftedMap(maps, self._names(keys, names, all_names, path, owners), facets)

    def _names(self, keys: pa.Array, encoded: pa.DictionaryArray, names: list[str], path: str, owners: Ints) -> Drafted:
        drafts: list[Draft | None] = [None] * len(names)
        where: list[tuple[Place | None, str]] = [(None, f"{path}.*")] * len(names)
        for i in self._remembered(drafts, names, where, range(len(names))):
            drafts[i] = self._learn(None, f"{path}.*", names[i], self.rewriter.key(names[i], f"{path}.*"))
        return Drafted(keys, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), names, drafts, owners)

    def _json(self, texts: list[str], where: Sequence[tuple[Place, str]]) -> list[Draft | None]:
        drafts: list[Draft | None] = [None] * len(texts)
        unknown = self._remembered(drafts, texts, where, range(len(texts)))
        certain = self._certain(texts, where, unknown)
        certain.update(i for i in unknown if i not in certain and self._named(where[i][0], texts[i]))
        asked = [i for i in unknown if i not in certain]
        flags = self.rewriter.detector.may_hold([without_escapes(texts[i]) for i in asked]) if asked else []
        self._clean(texts, where, [i for i, flag in zip(asked, flags, strict=True) if not flag])
        for i in sorted([*certain, *(i for i, flag in zip(asked, flags, strict=True) if flag)]):
            place, path = where[i]
            drafts[i] = self._learn(place, path, texts[i], self.rewriter.facet(place, texts[i], path))
        return drafts

    def _named(self, place: Place, facet: str) -> bool:
        """Whether a value may be personal by the name that it stands under, which the prefilter does not see."""
        decided = self.rewriter.decided(place)
        if decided is not None and decided.transform == "keep":
            return False
        names = names_in(facet)
        return names is None or any(self.rewriter.telling(name) for name in names)

    def _certain(self, texts: list[str], where: Sequence[tuple[Place, str]], unknown: list[int]) -> set[int]:
        """The texts that a rule of the policy may fit, whatever detection says."""
        by_reach: dict[str, list[int]] = {}
        for i in unknown:
            reach = self._reach_of(where[i][0])
            if reach is not None and texts[i]:
                by_reach.setdefault(_EVERY if "\\u" in texts[i] else reach, []).append(i)
        found = set(by_reach.pop(_EVERY, []))
        for reach, indices in by_reach.items():
            hits = pc.match_substring_regex(pa.array([texts[i] for i in indices]), reach, ignore_case=True)
            found.update(np.array(indices)[hits.to_numpy(zero_copy_only=False)].tolist())
        return found

    def _reach_of(self, place: Place) -> str | None:
        """A regular expression (RE2) for the texts that rules may fit; `_EVERY` for all, None for none."""
        if place not in self._reach:
            if len(self._reach) > 10_000:
                self._reach.clear()
            self._reach[place] = self._find_reach(place)
        return self._reach[place]

    def _find_reach(self, place: Place) -> str | None:
        decided = place.targets[0] if place.targets else self.rewriter.policy.default
        if decided.transform != "detect" or decided.only is not None or decided.unless is not None:
            return _EVERY
        sources = set()
        for pattern in place.open_patterns:
            named = [segment.source for segment in pattern if segment is not None]
            if not named:
                return _EVERY
            sources.add(named[-1])
        return f'"(?:{"|".join(sorted(sources))})"' if sources else None

    # -- memory --------------------------------------------------------------------------------------------------------

    def _remembered(
        self,
        drafts: list[Draft | None],
        texts: list[str],
        where: Sequence[tuple[Place | None, str]],
        asked: Sequence[int],
    ) -> list[int]:
        """Fills in what is known of the texts that are `asked`; gives the others. An empty text is always clean."""
        unknown = []
        for i in asked:
            if texts[i]:
                known = self._memo.get((*where[i], texts[i]))
                if known is None:
                    unknown.append(i)
                elif known is not _CLEAN:
                    drafts[i] = known
        return unknown

    def _clean(self, texts: list[str], where: Sequence[tuple[Place | None, str]], indices: Sequence[int]) -> None:
        for i in indices:
            self._memo.put((*where[i], texts[i]), _CLEAN, 200 + 2 * len(texts[i]))

    def _learn(self, place: Place | None, path: str, before: str, draft: Draft | None) -> Draft | None:
        if draft is None or not draft.per_event:
            size = 200 + 2 * len(before) + (draft.size() if draft is not None else 0)
            self._memo.put((place, path, before), draft if draft is not None else _CLEAN, size)
        return draft
