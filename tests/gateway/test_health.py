"""`/health` and `/metrics` over real stages."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from proventrail.gateway.exposition import merge
from proventrail.telemetry import StatusServer
from tests.gateway.conftest import Serve, run_event


def until(condition: Callable[[], bool]) -> None:
    """The test's time-out bounds it."""
    while not condition():
        time.sleep(0.05)


def test_ready_only_when_every_stage_is(serve: Serve) -> None:
    state = {"ready": False}
    stage = StatusServer(lambda: (state["ready"], "catching up" if not state["ready"] else "ok")).start()
    gateway = serve(stage_urls={"refine": f"http://127.0.0.1:{stage.port}/health"})

    def health() -> httpx.Response:
        return gateway.client.get("/health")

    until(lambda: health().json()["stages"]["refine"]["detail"] == "catching up")
    until(lambda: health().json()["stages"]["gateway"]["ready"])
    assert health().status_code == 503
    assert health().json()["ready"] is False
    state["ready"] = True
    until(lambda: health().status_code == 200)
    assert health().json() == {
        "ready": True,
        "stages": {
            "gateway": {"ready": True, "detail": "Kafka takes events"},
            "refine": {"ready": True, "detail": "ok"},
        },
    }
    stage.stop()
    until(lambda: health().status_code == 503)
    assert "does not answer" in health().json()["stages"]["refine"]["detail"]


def test_a_missing_topic_is_not_ready(serve: Serve) -> None:
    gateway = serve(topic="no-such-topic")
    until(lambda: "no-such-topic" in gateway.client.get("/health").json()["stages"]["gateway"]["detail"])
    assert gateway.client.get("/health").status_code == 503


def test_metrics_of_all_stages_in_one_exposition(serve: Serve) -> None:
    registry = CollectorRegistry()
    Counter("proventrail_events_in_total", "In", ["stage"], registry=registry).labels("refine").inc(7)
    stage = StatusServer(lambda: (True, ""), registry=registry).start()
    gateway = serve(stage_urls={"refine": f"http://127.0.0.1:{stage.port}/health", "gone": "http://127.0.0.1:1/health"})
    before = events_in(gateway.client.get("/metrics").text)
    assert gateway.post(run_event()).status_code == 201
    answer = gateway.client.get("/metrics")
    stage.stop()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = events_in(answer.text)
    assert found["refine"] == 7
    assert found["gateway"] == before["gateway"] + 1
    assert answer.text.count("# TYPE proventrail_events_in_total ") == 1
    assert 'proventrail_http_requests_total{path="/api/v1/lineage",stage="gateway",status="201"}' in answer.text


def events_in(text: str) -> dict[str, float]:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["proventrail_events_in"].samples
    return {s.labels["stage"]: s.value for s in samples if s.name.endswith("_total")}


def exposition(kind: str, amount: float) -> str:
    registry = CollectorRegistry()
    if kind == "counter":
        Counter("c", "Help c", ["stage"], registry=registry).labels("gateway").inc(amount)
    elif kind == "histogram":
        Histogram("h", "Help h", registry=registry, buckets=(1, 2)).observe(amount)
    else:
        Gauge("g", 'Help "g" \\ x', ["k"], registry=registry).labels('a"b\n\\').set(amount)
    return generate_latest(registry).decode()


@pytest.mark.parametrize("kind", ["counter", "histogram", "gauge"])
def test_one_exposition_merged_alone_says_the_same(kind: str) -> None:
    text = exposition(kind, 1.5)
    before = list(text_string_to_metric_families(text))
    after = list(text_string_to_metric_families(merge({"gateway": text}).decode()))
    assert [(f.name, f.type, f.documentation) for f in before] == [(f.name, f.type, f.documentation) for f in after]
    plain = [[(s.name, {**s.labels, "stage": "gateway"}, s.value) for s in family.samples] for family in before]
    assert plain == [[(s.name, dict(s.labels), s.value) for s in family.samples] for family in after]


def test_equal_samples_add_up_and_others_stay_apart() -> None:
    one, two = exposition("counter", 1), exposition("counter", 2)
    merged = merge({"gateway": one, "gateway-1": two}).decode()
    assert 'c_total{stage="gateway"} 3.0' in merged
    histogram = merge({"a": exposition("histogram", 1.5), "b": exposition("histogram", 1.5)}).decode()
    assert 'h_count{stage="a"} 1.0' in histogram
    assert 'h_count{stage="b"} 1.0' in histogram
    assert histogram.count("# HELP h ") == 1
