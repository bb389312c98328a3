"""The fields of a refined event, and the paths under which a policy knows them: the names of `lineage_event`.

Both spellings of one name (as written, and normalised) have one path: a rule is for what a field is, not for a column.
"""

from __future__ import annotations

from proventrail.privacy.policy.paths import Automaton, Pattern

FIELDS = {
    "event_time_text": "time_text",
    "event_type": "type",
    "producer": "producer",
    "schema_url": "schema_url",
    "job_namespace": "job.namespace",
    "job_name": "job.name",
    "run_id": "run.id",
    "raw_run_id": "run.id",
    "parent_job_namespace": "parent.job_namespace",
    "parent_job_name": "parent.job_name",
    "parent_run_id": "parent.run_id",
    "root_job_namespace": "parent.root_job_namespace",
    "root_job_name": "parent.root_job_name",
    "root_run_id": "parent.root_run_id",
    "processing_type": "processing_type",
    "integration": "integration",
    "job_type": "job_type",
    "emitter_id": "emitter.id",
    "actor": "actor",
    "code_location": "code_location",
    "code_version": "code_version",
}
"""Columns of strings."""

JSON = {"run_extra": "run.extra", "job_extra": "job.extra", "extra": "extra"}
"""Columns of JSON objects: properties that no typed field holds."""

FACETS = {"run_facets": "run.facets", "job_facets": "job.facets"}
"""Columns of facets: maps from names to JSON texts."""

DATASET = {
    "namespace": "namespace",
    "name": "name",
    "raw_namespace": "namespace",
    "raw_name": "name",
    "version": "version",
    "owner": "owner",
}
"""Strings of a dataset, below `inputs[]` and `outputs[]`."""

DATASET_FACETS = {"inputs": ("facets", "inputFacets"), "outputs": ("facets", "outputFacets")}
"""By side, the paths of a dataset's columns `facets` and `io_facets`."""

EDGE = {
    "output_namespace": "outputs[].namespace",
    "output_name": "outputs[].name",
    "output_field": "column_lineage[].output_field",
    "input_namespace": "inputs[].namespace",
    "input_name": "inputs[].name",
    "input_field": "column_lineage[].input_field",
    "transformation": "column_lineage[].transformation",
}
"""Strings of `column_lineage`. Names of datasets are what they are there too."""

OWN = {
    *("raw_topic_id", "raw_topic", "event_id", "event_kind", "transformation_version", "schema_id"),
    *("catalog_version", "policy_version", "privacy", "retention_class", "regulations"),
    *("inputs.schema_fingerprint", "inputs.kind", "inputs.classification"),
    *("outputs.schema_fingerprint", "outputs.kind", "outputs.classification"),
}
"""Columns that no path reaches, as refine fills them: coordinates, checked ids, fingerprints, the catalogue's words."""


def split(path: str) -> list[str]:
    """Names of a path without wildcards."""
    return path.replace("[]", "").split(".")


def reaches_something(pattern: Pattern) -> bool:
    """Whether a pattern may fit any field: one that does not is a mistake, and would silently protect nothing."""
    root = Automaton([(pattern, 0)], [pattern]).root
    sides = [(side, DATASET_FACETS[side]) for side in ("inputs", "outputs")]
    closed = [*FIELDS.values(), *EDGE.values(), *(f"{side}.{name}" for side, _ in sides for name in DATASET.values())]
    open_below = [*JSON.values(), *FACETS.values()]
    open_below += [f"{side}.{name}" for side, facets in sides for name in (*facets, "extra")]
    return any(root.below(*split(path)).targets for path in closed) or any(
        node.targets or node.open_patterns for node in (root.below(*split(path)) for path in open_below)
    )
