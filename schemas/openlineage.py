"""OpenLineage JSON <-> the record `lineage_event`, without loss.

For an event that the lenient verdict accepts, `to_openlineage(from_openlineage(x)) == x` as JSON values. Facets are
kept as JSON text under their names. Typed fields (parent, nominal times, job type, versions, column lineage) are read
out of facets *in addition*: queries use them, while the facet says what the emitter wrote. What has no typed slot,
or does not fit it, goes to the `extra` of its object and comes back from there.

Times: `time` is in microseconds of UTC; a time without a zone counts as UTC, digits after the sixth are cut. The text
is kept beside it unless it is the canonical one, `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`, no trailing zeros in the fraction.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FRACTION = re.compile(r"(\.\d{6})\d+")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")

_PRODUCER = "https://github.com/proventrail/proventrail"
_FACETS = "https://openlineage.io/spec/facets"
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs"


def dumps(value: Any) -> str:
    """Compact JSON text; characters outside ASCII stand as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def parse_time(text: Any) -> int | None:
    """ISO 8601 date-time -> microseconds since 1970 in UTC; None if it is none."""
    if not isinstance(text, str) or not _DATE_TIME.match(text):
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text, count=1))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def format_time(micros: int) -> str:
    """Microseconds since 1970 -> the canonical text."""
    moment = _EPOCH + timedelta(microseconds=micros)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") if moment.year > 999 else moment.isoformat()[:19]
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def event_id(obj: Json) -> str:
    """UUIDv8 of the SHA-256 of the event's canonical JSON: every delivery of one event has one id.

    Canonical: keys sorted by code point, no white space, UTF-8 (lone surrogates as they come).
    """
    text = json.dumps(obj, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return uuid8(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16])


def uuid8(data: bytes) -> str:
    """16 bytes as a UUID of version 8 (RFC 9562, section 5.8), which leaves 122 of the bits."""
    n = int.from_bytes(data, "big") & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62)
    text = f"{n:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def job_key(event: Json) -> bytes:
    """Key of the Kafka record: `NAMESPACE/NAME` of the job, or of the dataset of a DatasetEvent, in UTF-8.

    All events of a job have one key, so they lie in one partition in the order they were sent.
    """
    subject = event.get("job") or event.get("dataset") or {"namespace": "", "name": ""}
    return f"{subject['namespace']}/{subject['name']}".encode("utf-8", "surrogatepass")


def kind_of(obj: Json) -> str:
    """By shape; the schemaURL decides only where the shape fits more than one kind."""
    hint = str(obj.get("schemaURL") or "").rsplit("/", 1)[-1]
    if "run" in obj and not ("dataset" in obj and hint == "DatasetEvent"):
        return "RUN"
    if "dataset" in obj and not ("job" in obj and hint == "JobEvent"):
        return "DATASET"
    return "JOB"


# -- JSON -> record ----------------------------------------------------------------------------------------------------


def _take_string(obj: Json, name: str, extra: Json) -> str | None:
    value = obj.get(name)
    if isinstance(value, str):
        return value
    if name in obj:
        extra[name] = value
    return None


def _take_facets(obj: Json, name: str, extra: Json) -> dict[str, str] | None:
    facets = obj.get(name)
    if isinstance(facets, dict):
        return {key: dumps(facet) for key, facet in facets.items()}
    if name in obj:
        extra[name] = facets
    return None


def _rest(obj: Json, known: Iterable[str], extra: Json) -> str | None:
    for key in obj.keys() - known:
        extra[key] = obj[key]
    return dumps(extra) if extra else None


def _facet(holder: Any, name: str) -> Json:
    """The facet `name` of a run, job or dataset; empty where it has none or something else stands there."""
    facets = holder.get("facets") if isinstance(holder, dict) else None
    facet = facets.get(name) if isinstance(facets, dict) else None
    return facet if isinstance(facet, dict) else {}


def _text(obj: Any, name: str) -> str | None:
    value = obj.get(name) if isinstance(obj, dict) else None
    return value if isinstance(value, str) else None


_RUN_KEYS = ("runId", "facets")
_JOB_KEYS = ("namespace", "name", "facets")
_INPUT_KEYS = ("namespace", "name", "facets", "inputFacets")
_OUTPUT_KEYS = ("namespace", "name", "facets", "outputFacets")


def _run(obj: Json) -> Json:
    extra: Json = {}
    return {"id": obj["runId"], "facets": _take_facets(obj, "facets", extra), "extra": _rest(obj, _RUN_KEYS, extra)}


def _job(obj: Json) -> Json:
    extra: Json = {}
    facets = _take_facets(obj, "facets", extra)
    return {
        "namespace": obj["namespace"],
        "name": obj["name"],
        "facets": facets,
        "extra": _rest(obj, _JOB_KEYS, extra),
    }


def _dataset(obj: Json, io_name: str, keys: tuple[str, ...]) -> Json:
    extra: Json = {}
    facets = _take_facets(obj, "facets", extra)
    io_facets = _take_facets(obj, io_name, extra) if io_name else None
    return {
        "namespace": obj["namespace"],
        "name": obj["name"],
        "version": _text(_facet(obj, "version"), "datasetVersion"),
        "facets": facets,
        "io_facets": io_facets,
        "extra": _rest(obj, keys, extra),
    }


def _datasets(obj: Json, name: str, io_name: str, keys: tuple[str, ...], extra: Json) -> list[Json] | None:
    found = obj.get(name)
    if isinstance(found, list):
        return [_dataset(item, io_name, keys) for item in found]
    if name in obj:
        extra[name] = found
    return None


def _parent(run: Json) -> Json | None:
    facet = _facet(run, "parent")
    run_id, job = _text(facet.get("run"), "runId"), facet.get("job")
    namespace, name = _text(job, "namespace"), _text(job, "name")
    if run_id is None or namespace is None or name is None:
        return None
    root = facet.get("root")
    root = root if isinstance(root, dict) else {}
    return {
        "run_id": run_id,
        "job_namespace": namespace,
        "job_name": name,
        "root_run_id": _text(root.get("run"), "runId"),
        "root_job_namespace": _text(root.get("job"), "namespace"),
        "root_job_name": _text(root.get("job"), "name"),
    }


def _transformation(source: Json) -> str | None:
    found = source.get("transformations")
    first = found[0] if isinstance(found, list) and found else None
    kind, subtype = _text(first, "type"), _text(first, "subtype")
    return f"{kind}:{subtype}" if kind and subtype else kind


def _column_edges(facet: Json, output: int) -> list[Json]:
    """Typed columnLineage facet: `fields` and, with an empty output field, the dataset-level `dataset`."""
    fields = facet.get("fields")
    whole = facet.get("dataset")
    by_field = (
        [(name, entry.get("inputFields")) for name, entry in fields.items() if isinstance(entry, dict)]
        if (isinstance(fields, dict))
        else []
    )
    edges: list[Json] = []
    for field, sources in [*by_field, ("", whole)]:
        for source in sources if isinstance(sources, list) else ():
            namespace, name, column = _text(source, "namespace"), _text(source, "name"), _text(source, "field")
            if namespace is not None and name is not None and column is not None:
                edges.append(
                    {
                        "output": output,
                        "output_field": field,
                        "input_namespace": namespace,
                        "input_name": name,
                        "input_field": column,
                        "transformation": _transformation(source),
                    }
                )
    return edges


_TOP = {"eventTime", "producer", "schemaURL", "eventType", "run", "job", "dataset", "inputs", "outputs"}


def from_openlineage(obj: Json) -> Json:
    """A decoded OpenLineage event -> a record of `lineage_event`.

    `obj` must have passed `verdict.lenient`; else KeyError, TypeError or AttributeError may be raised.
    """
    kind = kind_of(obj)
    extra: Json = {}
    micros = parse_time(obj["eventTime"])
    if micros is None:
        raise ValueError("$.eventTime is no date-time")
    run = obj.get("run") if kind == "RUN" else None
    job = obj.get("job") if kind != "DATASET" else None
    inputs = _datasets(obj, "inputs", "inputFacets", _INPUT_KEYS, extra) if kind != "DATASET" else None
    outputs = _datasets(obj, "outputs", "outputFacets", _OUTPUT_KEYS, extra) if kind != "DATASET" else None
    dataset = _dataset(obj["dataset"], "", _JOB_KEYS) if kind == "DATASET" else None
    known = {
        "RUN": _TOP - {"dataset"},
        "JOB": _TOP - {"dataset", "run", "eventType"},
        "DATASET": _TOP - {"job", "run", "inputs", "outputs", "eventType"},
    }[kind]
    nominal = _facet(run, "nominalTime")
    job_type = _facet(job, "jobType")
    holders = [obj["dataset"]] if dataset else (obj["outputs"] if outputs else [])
    edges = [edge for i, holder in enumerate(holders) for edge in _column_edges(_facet(holder, "columnLineage"), i)]
    source = _take_string(obj, "producer", extra)
    if source == "":
        extra["producer"] = ""
    schema_url = _take_string(obj, "schemaURL", extra)
    event_type = _take_string(obj, "eventType", extra) if kind == "RUN" else None
    return {
        "id": event_id(obj),
        "source": source or "",
        "time": micros,
        "time_text": obj["eventTime"] if obj["eventTime"] != format_time(micros) else None,
        "kind": kind,
        "type": event_type,
        "schema_url": schema_url,
        "run": _run(run) if run is not None else None,
        "parent": _parent(run) if run is not None else None,
        "nominal_start": parse_time(nominal.get("nominalStartTime")),
        "nominal_end": parse_time(nominal.get("nominalEndTime")),
        "processing_type": _text(job_type, "processingType"),
        "integration": _text(job_type, "integration"),
        "job_type": _text(job_type, "jobType"),
        "job": _job(job) if job is not None else None,
        "dataset": dataset,
        "inputs": inputs,
        "outputs": outputs,
        "column_lineage": edges,
        "emitter": None,
        "actor": None,
        "extra": _rest(obj, known, extra),
    }


# -- record -> JSON ----------------------------------------------------------------------------------------------------


def _with_extra(obj: Json, extra: str | None) -> Json:
    return {**obj, **json.loads(extra)} if extra else obj


def _facets(facets: dict[str, str] | None, synthetic: dict[str, tuple[str, Json]]) -> Json | None:
    """Facets as objects; typed fields without a facet of their own get one."""
    found = None if facets is None else {name: json.loads(text) for name, text in facets.items()}
    for name, (schema, content) in synthetic.items():
        if found is None or name not in found:
            found = found or {}
            found[name] = {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}", **content}
    return found


def _without_none(obj: Json) -> Json:
    return {key: value for key, value in obj.items() if value is not None}


def _run_json(event: Json) -> Json:
    run, synthetic = event["run"], {}
    parent = event.get("parent")
    if parent:
        content: Json = {
            "run": {"runId": parent["run_id"]},
            "job": {"namespace": parent["job_namespace"], "name": parent["job_name"]},
        }
        if parent.get("root_run_id"):
            content["root"] = {
                "run": {"runId": parent["root_run_id"]},
                "job": {
                    "namespace": parent.get("root_job_namespace") or "",
                    "name": parent.get("root_job_name") or "",
                },
            }
        synthetic["parent"] = ("1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet", content)
    times = {
        name: format_time(event[field])
        for name, field in (("nominalStartTime", "nominal_start"), ("nominalEndTime", "nominal_end"))
        if event.get(field) is not None
    }
    if times:
        synthetic["nominalTime"] = ("1-0-1/NominalTimeRunFacet.json#/$defs/NominalTimeRunFacet", times)
    facets = _facets(run.get("facets"), synthetic)
    return _with_extra(_without_none({"runId": run["id"], "facets": facets}), run.get("extra"))


def _job_json(event: Json) -> Json:
    job, synthetic = event["job"], {}
    kinds = _without_none(
        {
            "processingType": event.get("processing_type"),
            "integration": event.get("integration"),
            "jobType": event.get("job_type"),
        }
    )
    if kinds:
        synthetic["jobType"] = ("2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet", kinds)
    facets = _facets(job.get("facets"), synthetic)
    found = {"namespace": job["namespace"], "name": job["name"], "facets": facets}
    return _with_extra(_without_none(found), job.get("extra"))


def _column_lineage_facet(edges: list[Json]) -> Json:
    fields: dict[str, Json] = {}
    whole: list[Json] = []
    for edge in edges:
        source = {"namespace": edge["input_namespace"], "name": edge["input_name"], "field": edge["input_field"]}
        if edge.get("transformation"):
            kind, _, subtype = edge["transformation"].partition(":")
            source["transformations"] = [_without_none({"type": kind, "subtype": subtype or None})]
        if edge["output_field"]:
            fields.setdefault(edge["output_field"], {"inputFields": []})["inputFields"].append(source)
        else:
            whole.append(source)
    return {"fields": fields, **({"dataset": whole} if whole else {})}


def _dataset_json(dataset: Json, io_name: str, edges: list[Json]) -> Json:
    synthetic: dict[str, tuple[str, Json]] = {}
    if dataset.get("version") is not None:
        content = {"datasetVersion": dataset["version"]}
        synthetic["version"] = ("1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet", content)
    if edges:
        schema = "1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
        synthetic["columnLineage"] = (schema, _column_lineage_facet(edges))
    found: Json = {
        "namespace": dataset["namespace"],
        "name": dataset["name"],
        "facets": _facets(dataset.get("facets"), synthetic),
    }
    if io_name:
        found[io_name] = _facets(dataset.get("io_facets"), {})
    return _with_extra(_without_none(found), dataset.get("extra"))


def _datasets_json(datasets: list[Json] | None, io_name: str, edges: list[Json]) -> list[Json] | None:
    if datasets is None:
        return None
    return [
        _dataset_json(dataset, io_name, [edge for edge in edges if edge["output"] == i])
        for i, dataset in enumerate(datasets)
    ]


def to_openlineage(event: Json) -> Json:
    """A record of `lineage_event` -> OpenLineage JSON. Typed fields without a facet are written as facets."""
    edges = event.get("column_lineage") or []
    dataset = event.get("dataset")
    found = {
        "eventTime": event.get("time_text") or format_time(event["time"]),
        "producer": event["source"] or None,
        "schemaURL": event.get("schema_url"),
        "eventType": event.get("type"),
        "run": _run_json(event) if event.get("run") else None,
        "job": _job_json(event) if event.get("job") else None,
        "dataset": _dataset_json(dataset, "", edges) if dataset else None,
        "inputs": _datasets_json(event.get("inputs"), "inputFacets", []),
        "outputs": _datasets_json(event.get("outputs"), "outputFacets", edges),
    }
    return _with_extra(_without_none(found), event.get("extra"))
