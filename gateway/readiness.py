"""Whether events can flow: the gateway's own way to Kafka and every other stage, looked at each second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx

from proventrail.gateway.publisher import Publisher

_EVERY_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class StageState:
    """What was seen of a stage last."""

    ready: bool
    detail: str


_UNSEEN = StageState(False, "not looked at yet")


class Readiness:
    """Keeps the newest state of each stage, and of the gateway's own way to Kafka as `name`; run `run` as a task."""

    def __init__(self, name: str, publisher: Publisher, stage_urls: dict[str, str]) -> None:
        self._name = name
        self._publisher = publisher
        self._stage_urls = stage_urls
        self._seen: dict[str, StageState] = {}

    @property
    def stages(self) -> dict[str, StageState]:
        """What was seen last, of every stage there is."""
        return {stage: self._seen.get(stage, _UNSEEN) for stage in (self._name, *self._stage_urls)}

    @property
    def own(self) -> StageState:
        """The gateway's own way to Kafka."""
        return self._seen.get(self._name, _UNSEEN)

    @property
    def ready(self) -> bool:
        return all(state.ready for state in self.stages.values())

    def report(self) -> dict[str, Any]:
        """`{"ready": bool, "stages": {stage: {"ready": bool, "detail": str}}}`"""
        stages = {stage: {"ready": s.ready, "detail": s.detail} for stage, s in self.stages.items()}
        return {"ready": self.ready, "stages": stages}

    async def run(self) -> None:
        """Look at every stage, each second, until cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                await asyncio.gather(self._look_at_kafka(), *(self._look_at(client, s) for s in self._stage_urls))
                await asyncio.sleep(_EVERY_SECONDS)

    async def _look_at_kafka(self) -> None:
        wrong = await asyncio.to_thread(self._publisher.check, _TIMEOUT_SECONDS)
        self._seen[self._name] = StageState(wrong is None, wrong or "Kafka takes events")

    async def _look_at(self, client: httpx.AsyncClient, stage: str) -> None:
        try:
            answer = await client.get(self._stage_urls[stage])
            content = answer.json()
            detail = str(content.get("detail", "")) if isinstance(content, dict) else ""
            self._seen[stage] = StageState(answer.status_code == 200, detail)
        except httpx.HTTPError as error:
            self._seen[stage] = StageState(False, f"does not answer ({type(error).__name__})")
        except ValueError:
            self._seen[stage] = StageState(False, "answers something that is not JSON")
