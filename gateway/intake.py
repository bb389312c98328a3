"""`POST /api/v1/lineage` and `/api/v1/lineage/batch`, after OpenLineage's OpenAPI specification 2.0.2.

An event counts as accepted when Kafka has acknowledged it. What Kafka has not acknowledged in time is answered as a
failure that the client may try again; such an event may still arrive, and its id tells it from a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from proventrail.gateway.body import JSON, NDJSON, Budget, Held, held, media_type, read_body
from proventrail.gateway.events import Refused, Verdict, to_record
from proventrail.gateway.http import HttpError, Request, Response, json_response
from proventrail.gateway.parse import Malformed, parse_json
from proventrail.gateway.publisher import Delivery, Publisher, Unavailable
from proventrail.gateway.settings import GatewaySettings
from proventrail.schemas.avro import Framing
from proventrail.schemas.verdict import Problem
from proventrail.telemetry import metrics

_SLICE_SECONDS = 0.005
"""How long a batch keeps the event loop before other requests have their turn."""

_NEVER = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD}
"""Kafka's answers that no retry changes."""

_EVENTS_IN = metrics.EVENTS_IN.labels("gateway")
_EVENTS_OUT = metrics.EVENTS_OUT.labels("gateway")
_BYTES_IN = metrics.BYTES_IN.labels("gateway")
_BYTES_OUT = metrics.BYTES_OUT.labels("gateway")


@dataclass(frozen=True)
class Failure:
    """One event of a batch that was not accepted."""

    index: int
    reason: str
    retriable: bool


class Intake:
    """The two handlers and what they share."""

    def __init__(self, settings: GatewaySettings, judge: Verdict, publisher: Publisher, framing: Framing) -> None:
        self._settings = settings
        self._framing = framing
        self._publisher = publisher
        self._judge = judge
        self._retry_after = [(b"retry-after", b"%d" % settings.retry_after_seconds)]
        self._budget = Budget(settings.pending_bytes, self._busy("too many requests are under way"))

    def _busy(self, reason: str) -> HttpError:
        return HttpError(503, f"{reason}: try again later", self._retry_after)

    async def _read(self, request: Request, share: Held) -> bytes:
        body = await read_body(request, self._settings.max_body_bytes, share, self._settings.body_seconds)
        _BYTES_IN.inc(len(body))
        return body

    # -- one event -----------------------------------------------------------------------------------------------------

    async def one(self, request: Request) -> Response:
        """201 when Kafka has the event."""
        media_type(request, (JSON,))
        with held(self._budget) as share:
            body = await self._read(request, share)
            deadline = asyncio.get_running_loop().time() + self._settings.acknowledge_seconds
            _EVENTS_IN.inc()
            try:
                key, value = to_record(parse_json(body), self._judge, self._framing)
            except Malformed as error:
                raise HttpError(400, str(error)) from None
            except Refused as error:
                return _refusal(error)
            return await self._publish_one(key, value, deadline)

    async def _publish_one(self, key: bytes, value: bytes, deadline: float) -> Response:
        delivery = Delivery()
        try:
            self._publisher.send(key, value, delivery, 0)
        except Unavailable as error:
            raise self._busy(str(error)) from None
        except KafkaException as error:
            delivery.failed[0] = error.args[0]
        await delivery.wait(deadline - asyncio.get_running_loop().time())
        if delivery.pending:
            raise self._busy("Kafka has not acknowledged the event in time")
        if delivery.failed:
            reason = delivery.failed[0]
            if reason.code() in _NEVER:
                raise HttpError(413, f"Kafka refuses the event ({reason.name()})")
            raise self._busy(f"Kafka has not taken the event ({reason.name()})")
        _EVENTS_OUT.inc()
        _BYTES_OUT.inc(len(value))
        return Response(201)

    # -- many events ---------------------------------------------------------------------------------------------------

    async def batch(self, request: Request) -> Response:
        """204 when Kafka has every event, else 200 that names the others; 503 when it has none and may later."""
        kind = media_type(request, (JSON, NDJSON))
        with held(self._budget) as share:
            body = await self._read(request, share)
            deadline = asyncio.get_running_loop().time() + self._settings.acknowledge_seconds
            try:
                events = _lines(body) if kind == NDJSON else _array(parse_json(body))
            except Malformed as error:
                raise HttpError(400, str(error)) from None
            except Refused as error:
                return _refusal(error)
            received, failures = await self._publish_many(events, deadline)
        _EVENTS_IN.inc(received)
        _EVENTS_OUT.inc(received - len(failures))
        if not failures:
            return Response(204)
        if len(failures) == received and all(failure.retriable for failure in failures):
            raise self._busy(failures[0].reason)
        return json_response(200, _report(received, failures))

    async def _publish_many(self, events: Iterator[Any], deadline: float) -> tuple[int, list[Failure]]:
        """The number of events and those that were not accepted, by index."""
        loop = asyncio.get_running_loop()
        delivery = Delivery()
        failures: list[Failure] = []
        sizes: dict[int, int] = {}
        received = 0
        late = False
        turn_ends = loop.time() + _SLICE_SECONDS
        for index, event in enumerate(events):
            received += 1
            failure = (
                Failure(index, "not reached in time", True) if late else self._queue(index, event, delivery, sizes)
            )
            if failure is not None:
                failures.append(failure)
            if loop.time() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = loop.time() + _SLICE_SECONDS
                late = turn_ends > deadline
        await delivery.wait(deadline - loop.time())
        failures += [Failure(i, "not acknowledged by Kafka in time", True) for i in delivery.pending]
        failures += [
            Failure(i, f"not taken by Kafka ({error.name()})", error.code() not in _NEVER)
            for i, error in delivery.failed.items()
        ]
        failures.sort(key=lambda failure: failure.index)
        _BYTES_OUT.inc(sum(sizes.values()) - sum(sizes.get(failure.index, 0) for failure in failures))
        return received, failures

    def _queue(self, index: int, event: Any, delivery: Delivery, sizes: dict[int, int]) -> Failure | None:
        try:
            if isinstance(event, Malformed):
                return Failure(index, str(event), False)
            key, value = to_record(event, self._judge, self._framing)
            self._publisher.send(key, value, delivery, index)
            sizes[index] = len(value)
        except Refused as error:
            return Failure(index, str(error), False)
        except Unavailable as error:
            return Failure(index, str(error), True)
        except KafkaException as error:
            delivery.failed[index] = error.args[0]
        return None


def _refusal(error: Refused) -> Response:
    problems = [{"path": problem.path, "reason": problem.reason} for problem in error.problems]
    return json_response(413 if error.too_large else 422, problems)


def _array(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        raise Refused([Problem("$", "must be an array of events")])
    return iter(value)


def _lines(body: bytes) -> Iterator[Any]:
    """The value of each line that is not empty, or the Malformed that it is."""
    for line in body.split(b"\n"):
        if line.strip():
            try:
                yield parse_json(line)
            except Malformed as error:
                yield error


def _report(received: int, failures: list[Failure]) -> dict[str, Any]:
    retriable = sum(failure.retriable for failure in failures)
    return {
        "status": "partial_success",
        "summary": {
            "received": received,
            "successful": received - len(failures),
            "failed": len(failures),
            "retriable": retriable,
            "non_retriable": len(failures) - retriable,
        },
        "failed_events": [
            {"index": failure.index, "reason": failure.reason, "retriable": failure.retriable} for failure in failures
        ],
    }
