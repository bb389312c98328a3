"""One name for one dataset: the naming rules of OpenLineage (spec/Naming.md), applied to what emitters write.

A namespace is `SCHEME://AUTHORITY`; the name lies inside it. Emitters differ in case, default ports, trailing slashes
and aliases of a scheme, and so one dataset gets several names and lineage breaks between them. The functions below are
idempotent and never fail: what no rule knows stays as it is.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<rest>.*)$", re.DOTALL)
_AUTHORITY = re.compile(r"^(?P<host>\[[^\]]*\]|[^:/]*)(?::(?P<port>\d+))?$")
_HOST = re.compile(r"[\w.\-]*(?::\d*)?|\[[^\]\s]*\](?::\d*)?")

SCHEME_ALIASES = {
    "s3a": "s3",
    "s3n": "s3",
    "gcs": "gs",
    "postgresql": "postgres",
    "abfss": "abfs",
    "wasbs": "wasb",
    "jdbc:postgresql": "postgres",
    "jdbc:mysql": "mysql",
}
"""Schemes that mean the same store; the right-hand one is the one that Naming.md uses."""

DEFAULT_PORTS = {
    "postgres": "5432",
    "mysql": "3306",
    "redshift": "5439",
    "sqlserver": "1433",
    "mssql": "1433",
    "oracle": "1521",
    "db2": "50000",
    "teradata": "1025",
    "trino": "8080",
    "clickhouse": "8123",
    "cassandra": "9042",
    "kafka": "9092",
    "hive": "10000",
    "mongodb": "27017",
}
"""Schemes whose namespaces carry a port by Naming.md: a missing one gets its default, so that twins meet."""

_OBJECT_STORES = {"s3", "gs", "abfs", "wasb", "hdfs", "dbfs", "oss", "cos"}
_FILE_NAMESPACES = {"file", "file:", "file:/", "file://", "file:///"}


def normalise_dataset(namespace: str, name: str) -> tuple[str, str]:
    """The canonical (namespace, name) of a dataset. Idempotent; of unknown forms only outer white space is cut."""
    before = ("", "")
    found = (namespace, name)
    # A rule may bring out what another one applies to (`file:file:/x`): until nothing changes, which is soon.
    while found != before:
        before, found = found, _normalise(*found)
    return found


def _normalise(namespace: str, name: str) -> tuple[str, str]:
    namespace, name = namespace.strip(), name.strip()
    if namespace.lower() in _FILE_NAMESPACES:
        return "file", _file_path(name)
    prefix = "jdbc:" if namespace.lower().startswith("jdbc:") else ""
    match = _SCHEME.match(namespace[len(prefix) :])
    if match is None:
        return namespace, name
    given = prefix + match["scheme"].lower()
    scheme = SCHEME_ALIASES.get(given, given)
    if scheme == "file":
        return _file(match["rest"], name)
    authority, _, path = match["rest"].partition("/")
    path = path.rstrip("/")
    namespace = f"{scheme}://{_authority(scheme, authority)}" + (f"/{path}" if path else "")
    if scheme in _OBJECT_STORES:
        name = _object_key(scheme, namespace, name)
    return namespace, name


def _authority(scheme: str, authority: str) -> str:
    # User and password are no part of a name, and a secret where they stand.
    container, at, host = authority.rpartition("@")
    if scheme in ("abfs", "wasb") and at:
        return f"{container}@{_lowered(host)}"
    # A Kafka namespace may list its brokers.
    return ",".join(_host(scheme, part) for part in host.split(","))


def _host(scheme: str, authority: str) -> str:
    match = _AUTHORITY.match(authority)
    if match is None or not match["host"]:
        return _lowered(authority)
    host = _lowered(match["host"]) if scheme not in ("s3", "gs", "oss", "cos") else match["host"]
    port = match["port"] or DEFAULT_PORTS.get(scheme)
    return f"{host}:{port}" if port else host


def _lowered(host: str) -> str:
    """A host in lower case. What can be none stays as it is: a secret in it must be recognised by its form later on."""
    return host.lower() if _HOST.fullmatch(host) else host


def _object_key(scheme: str, namespace: str, name: str) -> str:
    """Keys of object stores have no slash at either end; HDFS paths begin with one, which emitters leave out."""
    if name.startswith(namespace + "/"):
        name = name[len(namespace) :]
    trimmed = name.strip("/") or "/"
    return f"/{trimmed}" if scheme == "hdfs" and trimmed != "/" else trimmed


def _file(rest: str, name: str) -> tuple[str, str]:
    host, _, path = rest.partition("/")
    folder = path.rstrip("/")
    if folder:
        return f"file://{_lowered(host)}/{folder}", name
    return (f"file://{_lowered(host)}" if host else "file"), _file_path(name)


def _file_path(name: str) -> str:
    """`file:/tmp/x/`, `file:///tmp/x` and `/tmp/x` are one path."""
    match = re.match(r"^file:(?://(?=/))?(?P<path>/[^/].*|/)$", name, re.DOTALL)
    path = match["path"] if match else name
    return path.rstrip("/") or path[:1]
