"""Metrics of several processes as one Prometheus exposition: one HELP and TYPE per family."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import httpx
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

_TIMEOUT_SECONDS = 2.0


class _Merged(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def merge(expositions: dict[str, str]) -> bytes:
    """Stage -> exposition text, merged. A sample without a label `stage` gets that of its process.

    Samples that are then alike are added up: so are the counts of the gateway's workers.
    """
    families: dict[str, Metric] = {}
    samples: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for stage, text in expositions.items():
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            found = samples.setdefault(family.name, {})
            for sample in family.samples:
                labels = {**sample.labels} if "stage" in sample.labels else {**sample.labels, "stage": stage}
                key = (sample.name, tuple(labels.items()))
                found[key] = found.get(key, 0.0) + sample.value
    for name, found in samples.items():
        families[name].samples = [Sample(n, dict(labels), value) for (n, labels), value in found.items()]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(families.values()))
    return generate_latest(registry)


async def gather_metrics(name: str, own: str, stage_urls: dict[str, str]) -> bytes:
    """The exposition `own` of the process `name`, and those of the others; one that does not answer is left out."""
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        texts = await asyncio.gather(*(_fetch(client, url) for url in stage_urls.values()))
    others = {stage: text for stage, text in zip(stage_urls, texts, strict=True) if text is not None}
    return merge({name: own, **others})


async def _fetch(client: httpx.AsyncClient, health_url: str) -> str | None:
    try:
        answer = await client.get(health_url.removesuffix("/health") + "/metrics")
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == 200 else None
