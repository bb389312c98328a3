"""What the sink writes into Kafka's commit metadata before an insert, so that a crash replays it identically.

A commit of offset `s` with metadata `{"v": 1, "end": e, "marks": {topic: offset, ...}}` says: records from `s` up to
but not including `e` are about to be inserted in one go, and before them the store held each raw topic's events of
this partition up to the marks. Kafka keeps up to 4,096 bytes of metadata with a commit (`offset.metadata.max.bytes`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

MAX_METADATA_BYTES = 4000


class ProgressError(Exception):
    """Commit metadata that this version cannot read or that would not fit."""


@dataclass(frozen=True)
class Pending:
    """An insert that was announced: it ends before refined offset `end`; `marks` maps raw topic UUID -> offset."""

    end: int
    marks: dict[str, int] = field(default_factory=dict)

    def to_metadata(self) -> str:
        text = json.dumps({"v": 1, "end": self.end, "marks": self.marks}, separators=(",", ":"))
        if len(text) > MAX_METADATA_BYTES:
            raise ProgressError(
                f"{len(self.marks)} raw topics do not fit into Kafka's commit metadata ({MAX_METADATA_BYTES} bytes): "
                "delete topics that are no longer in use, or use a new refined topic"
            )
        return text

    @classmethod
    def from_metadata(cls, text: str | None) -> Pending | None:
        """The announced insert; None for an empty text, which is a commit after an insert."""
        if not text:
            return None
        try:
            content = json.loads(text)
            if content["v"] != 1:
                raise ProgressError(f"commit metadata has version {content['v']}: a newer sink wrote it, use that one")
            return cls(int(content["end"]), {str(k): int(v) for k, v in content["marks"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProgressError("commit metadata of the sink's group was not written by a sink") from error
