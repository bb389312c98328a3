"""Step 3, jobs: which version of which code ran, from the facets that tell. On distinct facet texts only."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from proventrail.stream_processors.steps.arrays import constant, facet_texts, scatter


class Transformation(NamedTuple):
    """What ran: `version` identifies code, location, SQL and parameters together; empty where nothing is told."""

    version: str = ""
    location: str = ""
    code_version: str = ""


def _object(facet: str) -> dict[str, Any]:
    try:
        found = json.loads(facet) if facet else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _string(facet: dict[str, Any], name: str) -> str:
    value = facet.get(name)
    return value if isinstance(value, str) else ""


def transformation(sql: str, source: str, place: str, parameters: str) -> Transformation:
    """From the JSON texts of the facets sql, sourceCode, sourceCodeLocation and executionParameters.

    `version` is the first 16 hex digits of a SHA-256. White space in SQL does not count.
    """
    where = _object(place)
    told = {
        "sql": " ".join(_string(_object(sql), "query").split()),
        "code": _string(_object(source), "sourceCode"),
        "url": _string(where, "url") or "/".join(filter(None, (_string(where, "repoUrl"), _string(where, "path")))),
        "commit": _string(where, "version") or _string(where, "tag"),
        "parameters": _object(parameters).get("parameters") or "",
    }
    if not any(told.values()):
        return Transformation()
    content = json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")
    return Transformation(hashlib.sha256(content).hexdigest()[:16], told["url"], told["commit"])


def transformations(run_facets: pa.MapArray, job_facets: pa.MapArray) -> list[pa.Array]:
    """Columns transformation_version, code_location, code_version of `n` events, given their facets."""
    n = len(job_facets)
    texts = [
        scatter(n, *facet_texts(facets, name), str)
        for facets, name in (
            (job_facets, "sql"),
            (job_facets, "sourceCode"),
            (job_facets, "sourceCodeLocation"),
            (run_facets, "executionParameters"),
        )
    ]
    if not any(pc.max(pc.binary_length(column)).as_py() for column in texts):
        return [constant("", n)] * 3
    # U+0000 separates: JSON text has none that is not escaped.
    joined = pc.binary_join_element_wise(*texts, "\0").dictionary_encode()
    found = [transformation(*value.split("\0")) for value in joined.dictionary.to_pylist()]
    return [pa.array([t[i] for t in found], pa.string()).take(joined.indices) for i in range(3)]
