"""The shipped policy on facets as Airflow, Spark, dbt and others write them: what goes, and that the rest stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proventrail.privacy.policy.policy import default_policy
from proventrail.privacy.rewrite import Rewriter

from .standin import GROUPS, Detector, Vault, normalise, seal

POLICY = default_policy(GROUPS)


def anonymised(path: str, facet: Any, classification: str = "") -> Any:
    by = Rewriter(POLICY, Detector(), normalise)
    text = json.dumps(facet)
    draft = by.facet(POLICY.root(classification).below(*path.replace("[]", "").split(".")), text, path)
    if draft is None:
        return facet
    wanted = [blank.wanted for blank in draft.blanks]
    return json.loads(draft.render(dict(zip(wanted, Vault().subjects(wanted), strict=True)), seal))


def who(kind: str, value: str) -> str:
    return f"{kind}_{Vault().subjects([(kind, value)])[0].subject_id}"


def gone(kind: str) -> str:
    return f"[redacted:{kind}]"


AIRFLOW = {
    "dag": {"dag_id": "etl", "owner": "ann", "tags": "['x']", "timetable": {}, "fileloc": "/home/ann/dags/etl.py"},
    "dagRun": {"conf": {"api_key": "k", "customer_email": "zed", "day": "2026-11-25"}, "run_id": "manual__2026-11-25"},
    "task": {"owner": "airflow", "task_id": "load", "operator_class": "PythonOperator", "retries": 2},
}
SPARK = {
    "properties": {
        "spark.app.name": "etl",
        "spark.hadoop.fs.s3a.access.key": "AK",
        "spark.hadoop.fs.s3a.secret.key": "SK",
        "spark.hadoop.fs.azure.account.key.x.dfs.core.windows.net": "AZ",
        "spark.sql.shuffle.partitions": 200,
        "spark.ssl.keyStorePassword": "KP",
    }
}


def test_airflow() -> None:
    found = anonymised("run.facets.airflow", AIRFLOW)
    assert found["dag"]["owner"] == who("home-user", "ann")
    assert found["dag"]["fileloc"] == f"/home/{who('home-user', 'ann')}/dags/etl.py"
    assert found["dagRun"]["conf"]["api_key"] == gone("secret")
    assert found["dagRun"]["conf"]["customer_email"] == who("email", "zed")
    for part, name in (("dag", "dag_id"), ("dag", "tags"), ("dagRun", "run_id")):
        assert found[part][name] == AIRFLOW[part][name]
    assert found["dagRun"]["conf"]["day"] == "2026-11-25"
    assert found["task"] == AIRFLOW["task"]


def test_spark() -> None:
    found = anonymised("run.facets.spark_properties", SPARK)["properties"]
    assert [value for value in found.values() if value == gone("secret")] == [gone("secret")] * 4
    assert (found["spark.app.name"], found["spark.sql.shuffle.partitions"]) == ("etl", 200)
    details = {"userName": "ann", "appName": "etl", "uiWebUrl": "http://10.0.0.7:4040"}
    assert anonymised("run.facets.spark_applicationDetails", details) == {
        **details,
        "userName": who("home-user", "ann"),
    }
    plan = {"plan": [{"table": {"owner": "hive", "identifier": {"table": "t"}}, "name": "email", "dataType": "string"}]}
    assert anonymised("run.facets.spark.logicalPlan", plan) == plan


@pytest.mark.parametrize(
    ("path", "facet"),
    [
        ("run.facets.dbt_run", {"profile_name": "demo", "project_name": "demo", "invocation_id": "cd5d9bca"}),
        ("run.facets.processing_engine", {"name": "dbt", "version": "1.11.16"}),
        ("job.facets.jobType", {"integration": "SPARK", "jobType": "TASK", "processingType": "BATCH"}),
        ("job.facets.sourceCodeLocation", {"type": "git", "url": "https://github.com/o/r/a.py"}),
        ("inputs[].facets.symlinks", {"identifiers": [{"namespace": "hive://h", "name": "db.secrets"}]}),
        ("outputs[].outputFacets.outputStatistics", {"rowCount": 20, "size": 100, "fileCount": 3}),
        ("inputs[].facets.dataQualityAssertions", {"assertions": [{"assertion": "x", "column": "email"}]}),
        ("run.facets.training", {"max_tokens": 512, "tokenizer": "bpe", "author_model": "m"}),
        ("outputs[].facets.version", {"datasetVersion": "3f5e83fa"}),
    ],
)  # fmt: skip
def test_what_holds_nothing_stays(path: str, facet: Any) -> None:
    assert anonymised(path, facet) == facet


def test_errors_code_and_places() -> None:
    error = {"message": "login ann@corp.com failed", "stackTrace": "File /home/ann/x.py\npostgres://u:pw12345@h/d"}
    assert anonymised("run.facets.errorMessage", error) == {
        "message": f"login {who('email', 'ann@corp.com')} failed",
        "stackTrace": f"File /home/{who('home-user', 'ann')}/x.py\npostgres://u:{gone('uri-password')}@h/d",
    }
    uri = {"name": "db", "uri": "postgres://svc:hunter2@db.example.com:5432/shop"}
    assert (
        anonymised("inputs[].facets.dataSource", uri)["uri"]
        == f"postgres://svc:{gone('uri-password')}@db.example.com:5432/shop"
    )
    sql = {"query": "SELECT * FROM t WHERE mail = 'ann@corp.com' AND n = 5"}
    assert anonymised("job.facets.sql", sql) == {
        "query": sql["query"].replace("ann@corp.com", who("email", "ann@corp.com"))
    }


def test_row_data_of_sensitive_datasets_goes_and_that_of_others_is_judged() -> None:
    metrics = {"rowCount": 5, "columnMetrics": {"qty": {"nullCount": 1, "min": 3, "max": 9}, "ssn": {"max": "1"}}}
    path = "inputs[].inputFacets.dataQualityMetrics"
    found = anonymised(path, metrics, "personal")["columnMetrics"]
    assert found["qty"] == {"nullCount": 1, "min": gone("row-data"), "max": gone("row-data")}
    assert anonymised(path, metrics)["columnMetrics"] == {**metrics["columnMetrics"], "ssn": {"max": gone("personal")}}
