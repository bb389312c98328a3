"""Step 4: the place of anonymisation. Everything right of it may be read by people."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa


class Anonymise(Protocol):
    """Takes columns of `refined_event` and gives them back without personal data, rows and order unchanged.

    It must be a deterministic function of the batch and its versioned policy.
    """

    def __call__(self, refined: pa.RecordBatch) -> pa.RecordBatch: ...


def keep_all(refined: pa.RecordBatch) -> pa.RecordBatch:
    """No policy: the columns as they are."""
    return refined
