"""Step 4: personal data and secrets taken out. Everything right of it may be read by people.

All string columns go through it, by distinct text. First drafts are made of every column; then the vault is asked once
for all subjects that the batch needs, and has committed the new ones when it answers; then the texts are written.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proventrail.privacy.contracts import Detects, KeepsSubjects, Normalise, Seals, Wanted
from proventrail.privacy.errors import AnonymiseError
from proventrail.privacy.policy.fields import DATASET, DATASET_FACETS, EDGE, FACETS, FIELDS, JSON, split
from proventrail.privacy.policy.policy import Place, Policy
from proventrail.privacy.rewrite import Rewriter
from proventrail.privacy.vault import Subject
from proventrail.stream_processors.steps.arrays import (
    Ints,
    constant,
    facet_texts,
    lengths,
    offsets_of,
    parents,
    scatter,
    struct_of,
)
from proventrail.stream_processors.steps.datasets import schema_fingerprint
from proventrail.stream_processors.steps.drafts import Drafted, DraftedMap, Drafter
from proventrail.stream_processors.steps.findings import privacy_column
from proventrail.stream_processors.steps.jobs import transformations

_CODE_FACETS = {"sql", "sourceCode", "sourceCodeLocation", "executionParameters"}


class Anonymise(Protocol):
    """Takes columns of `refined_event` and gives them back without personal data, rows and order unchanged.

    It must be a deterministic function of the batch, its versioned policy and the vault. Raises AnonymiseError.
    """

    def __call__(self, refined: pa.RecordBatch) -> pa.RecordBatch: ...


def keep_all(refined: pa.RecordBatch) -> pa.RecordBatch:
    """No policy: the columns as they are."""
    return refined


def _told(error: Exception) -> str:
    """What went wrong and where, without the message."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, {Path(last.filename).name}:{last.lineno}"


def _below(root: Place, path: str) -> Place:
    return root.below(*split(path))


@dataclass
class _Side:
    """The datasets of one side: drafts of their fields."""

    lists: pa.ListArray
    items: pa.StructArray
    counts: Ints
    fields: dict[str, Drafted | DraftedMap]

    @property
    def changes(self) -> bool:
        return any(drafted.changes for drafted in self.fields.values())


@dataclass
class _Drafts:
    """The first half of the work on a batch."""

    columns: dict[str, Drafted | DraftedMap] = field(default_factory=dict)
    sides: dict[str, _Side] = field(default_factory=dict)
    edges: dict[str, Drafted] = field(default_factory=dict)

    def all(self) -> Iterator[Drafted]:
        of_datasets = (drafted for side in self.sides.values() for drafted in side.fields.values())
        for drafted in (*self.columns.values(), *of_datasets, *self.edges.values()):
            if isinstance(drafted, DraftedMap):
                yield drafted.keys
                yield drafted.items
            else:
                yield drafted

    def wanted(self) -> list[Wanted]:
        """Every identity that needs a pseudonym or a key, once, in an order that the batch alone decides."""
        found: dict[Wanted, None] = {}
        for drafted in self.all():
            for draft in drafted.drafts:
                if draft is not None:
                    found.update(dict.fromkeys(blank.wanted for blank in draft.blanks))
        return list(found)


class Anonymiser:
    """`Anonymise` by a policy, a detector and a vault. A batch that it cannot finish gives AnonymiseError.

    `quotable`: errors (of the vault) whose messages hold no value, so that an operator may read them.
    """

    def __init__(
        self,
        policy: Policy,
        detector: Detects,
        normalise: Normalise,
        vault: KeepsSubjects,
        seal: Seals,
        *,
        memo_bytes: int = 128 << 20,
        quotable: tuple[type[Exception], ...] = (),
    ) -> None:
        self.policy = policy
        self._vault = vault
        self._seal = seal
        self._quotable = quotable
        self._drafter = Drafter(Rewriter(policy, detector, normalise), memo_bytes)

    def __call__(self, refined: pa.RecordBatch) -> pa.RecordBatch:
        try:
            drafts = self._drafts(refined)
            return self._written(refined, drafts, self._subjects(drafts))
        except Exception as error:  # noqa: BLE001 - goes on as AnonymiseError
            problem = str(error) if isinstance(error, self._quotable) else _told(error)
        # Outside of the except clause, so that the cause, whose message may quote an event, hangs on it nowhere.
        raise AnonymiseError(
            f"a batch could not be anonymised ({problem}), and nothing of it was passed on: see to the vault if it "
            "failed there, then start again"
        )

    # -- drafts --------------------------------------------------------------------------------------------------------

    def _drafts(self, refined: pa.RecordBatch) -> _Drafts:
        root, drafter, found = self.policy.root(), self._drafter, _Drafts()
        for name, path in FIELDS.items():
            found.columns[name] = drafter.field(refined[name], _below(root, path), path)
        for name, path in JSON.items():
            found.columns[name] = drafter.json(refined[name], _below(root, path), path)
        for name, path in FACETS.items():
            found.columns[name] = drafter.facets(refined[name], [_below(root, path)], None, path)
        for side in ("inputs", "outputs"):
            found.sides[side] = self._side(refined[side], side)
        lists = refined["column_lineage"]
        items, rows = lists.flatten(), parents(lengths(lists))
        for name, path in EDGE.items():
            found.edges[name] = drafter.field(pc.struct_field(items, name), _below(root, path), path, rows)
        return found

    def _side(self, lists: pa.ListArray, side: str) -> _Side:
        items, counts = lists.flatten(), lengths(lists)
        rows = parents(counts)
        root, drafter = self.policy.root(), self._drafter
        fields: dict[str, Drafted | DraftedMap] = {}
        for name, below in DATASET.items():
            path = f"{side}[].{below}"
            fields[name] = drafter.field(pc.struct_field(items, name), _below(root, path), path, rows)
        roots, classes = self._classes(pc.struct_field(items, "classification"))
        for name, below in zip(("facets", "io_facets"), DATASET_FACETS[side], strict=True):
            path = f"{side}[].{below}"
            places = [_below(root, path) for root in roots]
            fields[name] = drafter.facets(pc.struct_field(items, name), places, classes, path)
        path = f"{side}[].extra"
        fields["extra"] = drafter.json(pc.struct_field(items, "extra"), _below(root, path), path, rows)
        for drafted in fields.values():
            self._belongs(drafted, side, rows)
        return _Side(lists, items, counts, fields)

    def _belongs(self, drafted: Drafted | DraftedMap, side: str, rows: Ints) -> None:
        """Elements of a dataset's field are told to which dataset, and by it to which event they belong."""
        if isinstance(drafted, Drafted):
            drafted.side, drafted.items = side, np.arange(len(rows), dtype=np.int64)
            return
        for part in (drafted.keys, drafted.items):
            assert part.rows is not None
            part.side, part.items, part.rows = side, part.rows, rows[part.rows]

    def _classes(self, classifications: pa.Array) -> tuple[list[Place], Ints | None]:
        """The roots for facets of datasets, and which of them each dataset has; None: all have the only one."""
        told = self.policy.classifications
        encoded = classifications.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        if not told.intersection(names):
            return [self.policy.root()], None
        roots = [self.policy.root(name if name in told else "") for name in names]
        return roots, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)

    def _subjects(self, drafts: _Drafts) -> Mapping[Wanted, Subject]:
        wanted = drafts.wanted()
        return dict(zip(wanted, self._vault.subjects(wanted), strict=True)) if wanted else {}

    # -- texts ---------------------------------------------------------------------------------------------------------

    def _written(self, refined: pa.RecordBatch, drafts: _Drafts, subjects: Mapping[Wanted, Subject]) -> pa.RecordBatch:
        event_ids = refined["event_id"]

        def rendered(drafted: Drafted | DraftedMap) -> pa.Array:
            return drafted.rendered(subjects, self._seal, event_ids)

        new = {name: rendered(drafted) for name, drafted in drafts.columns.items() if drafted.changes}
        self._rehash(refined, drafts, new)
        labels = {}
        for name, side in drafts.sides.items():
            if side.changes:
                fields = {inner: rendered(drafted) for inner, drafted in side.fields.items()}
                labels[name] = pc.binary_join_element_wise(fields["namespace"], fields["name"], "\n")
                new[name] = self._side_column(side, fields)
        if any(drafted.changes for drafted in drafts.edges.values()):
            lists = refined["column_lineage"]
            edges = [rendered(drafted) for drafted in drafts.edges.values()]
            columns = struct_of(lists.type.value_type, edges)
            new["column_lineage"] = pa.ListArray.from_arrays(offsets_of(lengths(lists)), columns, type=lists.type)
        new["policy_version"] = constant(self.policy.version, len(refined))
        new["privacy"] = privacy_column(len(refined), list(drafts.all()), labels)
        columns = [new.get(name, refined[name]) for name in refined.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=refined.schema)

    def _rehash(self, refined: pa.RecordBatch, drafts: _Drafts, new: dict[str, pa.Array]) -> None:
        """A version that was made of a text with personal data could be guessed back: it is made of the new text."""
        maps = [drafted for name in FACETS if isinstance(drafted := drafts.columns[name], DraftedMap)]
        if any(_CODE_FACETS & drafted.changed_names() for drafted in maps if drafted.changes):
            facets = [new.get(name, refined[name]) for name in FACETS]
            new["transformation_version"] = transformations(*facets)[0]

    def _side_column(self, side: _Side, fields: dict[str, pa.Array]) -> pa.ListArray:
        kind = side.lists.type.value_type
        facets = side.fields["facets"]
        if isinstance(facets, DraftedMap) and facets.changes and "schema" in facets.changed_names():
            found = facet_texts(fields["facets"], "schema")
            fields["schema_fingerprint"] = scatter(len(side.items), *found, schema_fingerprint)
        columns = [fields.get(part.name, pc.struct_field(side.items, part.name)) for part in kind]
        return pa.ListArray.from_arrays(offsets_of(side.counts), struct_of(kind, columns), type=side.lists.type)
