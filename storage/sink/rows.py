"""From a batch of refined records to the columns of the table `events`."""

from __future__ import annotations

import pyarrow as pa

_NESTED = ("inputs", "outputs", "column_lineage", "privacy")


def event_columns(batch: pa.RecordBatch) -> pa.Table:
    """The columns of `events` for a batch of `refined_event` records; nothing is copied.

    A list of records `inputs` becomes one list column per field, `inputs.namespace` and so on, which is how ClickHouse
    keeps nested data.
    """
    columns: dict[str, pa.Array] = {}
    for name in batch.schema.names:
        column = batch.column(name)
        if name not in _NESTED:
            columns[name] = column
            continue
        # flatten() and not .values: it honours the slice that the batch may be.
        records = column.flatten()
        offsets = pa.compute.subtract(column.offsets, column.offsets[0]) if len(column) else column.offsets
        for index in range(records.type.num_fields):
            field = records.type.field(index)
            columns[f"{name}.{field.name}"] = pa.ListArray.from_arrays(offsets, records.field(index))
    return pa.table(columns)
