"""Migration 2: which privacy policy an event went through, and what was found and done, by field path."""

from __future__ import annotations

from proventrail.storage.dialect import Dialect

_NAMES = "Array(LowCardinality(String)) CODEC(ZSTD(1))"

COLUMNS = [
    "policy_version LowCardinality(String)",
    *(f"`privacy.{name}` {_NAMES}" for name in ("path", "kind", "action", "dataset")),
    # Counts are small and few: what packs bits takes least.
    "`privacy.count` Array(UInt32) CODEC(T64, ZSTD(1))",
]


def privacy(dialect: Dialect) -> list[str]:
    """The statements of migration 2 for `dialect`."""
    return dialect.add_columns("events", COLUMNS)
