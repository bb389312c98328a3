"""Naming rules, as a table; and that they can be applied to anything, twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proventrail.schemas.naming import normalise_dataset

RULES = [
    ("s3a://Bucket", "/a/b/", "s3://Bucket", "a/b"),
    ("s3n://Bucket/", "a", "s3://Bucket", "a"),
    ("S3://Bucket", "s3://Bucket/a", "s3://Bucket", "a"),
    ("gcs://b", "x", "gs://b", "x"),
    ("postgres://user:secret@DB.Example.org", "a.b", "postgres://db.example.org:5432", "a.b"),
    ("postgresql://h:6543/", "a.b", "postgres://h:6543", "a.b"),
    ("mysql://h", "d.t", "mysql://h:3306", "d.t"),
    ("jdbc:postgresql://h", "d", "postgres://h:5432", "d"),
    ("postgres://[::1]", "a", "postgres://[::1]:5432", "a"),
    ("kafka://a:9092,B", "Topic", "kafka://a:9092,b:9092", "Topic"),
    ("hdfs://NN:8020", "tmp/x/", "hdfs://nn:8020", "/tmp/x"),
    ("abfss://Container@Account.dfs.core.windows.net", "/p/", "abfs://Container@account.dfs.core.windows.net", "p"),
    ("file", "file:///tmp/x/", "file", "/tmp/x"),
    ("file:///", "/tmp/x", "file", "/tmp/x"),
    ("file", "/tmp/X", "file", "/tmp/X"),
    ("bigquery", "p.d.T", "bigquery", "p.d.T"),
    ("duckdb:///srv/demo.duckdb", "a", "duckdb:///srv/demo.duckdb", "a"),
    (" spaced ", " name ", "spaced", "name"),
]


@pytest.mark.parametrize(("namespace", "name", "to_namespace", "to_name"), RULES)
def test_rules(namespace: str, name: str, to_namespace: str, to_name: str) -> None:
    assert normalise_dataset(namespace, name) == (to_namespace, to_name)


_PARTS = st.sampled_from(
    "s3a:// S3:// postgres:// file file: hdfs:// abfss:// jdbc:mysql:// kafka:// / // : @ [ ] , Host 1 ü ?".split()
)
_TEXT = st.text() | st.lists(_PARTS, max_size=6).map("".join)


@given(_TEXT, _TEXT)
def test_rules_may_be_applied_again(namespace: str, name: str) -> None:
    once = normalise_dataset(namespace, name)
    assert normalise_dataset(*once) == once


@given(_TEXT)
def test_no_password_stays(host: str) -> None:
    namespace, _ = normalise_dataset("postgres://user:hunter2@db" + host.replace("@", ""), "t")
    assert "hunter2" not in namespace


def test_only_hosts_are_put_into_lower_case() -> None:
    """The form of a secret tells it, so case must be left to it where none can be a host."""
    assert normalise_dataset("postgres://DB.Corp.com", "t")[0] == "postgres://db.corp.com:5432"
    assert (
        normalise_dataset("trino://DB key=AKIAIOSFODNN7EXAMPLE", "t")[0] == "trino://DB key=AKIAIOSFODNN7EXAMPLE:8080"
    )
    assert normalise_dataset("hdfs://[FE80::1]:8020", "/x")[0] == "hdfs://[fe80::1]:8020"
