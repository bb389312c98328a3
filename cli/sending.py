"""Events to the gateway in batches: waits while it is busy or away, and tells which events it refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import httpx

from proventrail.cli.errors import USAGE, CommandError
from proventrail.cli.event_files import Event

_BATCH_BYTES = 2 << 20
_PATIENCE_SECONDS = 60.0
_FIRST_PATIENCE_SECONDS = 5.0
"""For a gateway that has not answered yet: its URL may be wrong."""
_PAUSE_SECONDS = 1.0

Refusal = tuple[str, str]
"""Place and reason."""


def batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events in portions of about 2 MB, in order."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and size + len(event.text) > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event.text)
    if batch:
        yield batch


class Sender:
    """Sends to one gateway. A batch whose answer is lost is sent again: an event that arrives twice is stored once."""

    def __init__(self, url: str, token: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=60)
        self._url = url
        self._pause = pause
        self._patience = _FIRST_PATIENCE_SECONDS

    def send(self, batch: list[Event]) -> list[Refusal]:
        """Place and reason of each event that the gateway will never take.

        Raises CommandError if it answers nothing, or nothing but "try again", for a minute (5 s if it has never
        answered); or refuses the token.
        """
        refused: list[Refusal] = []
        waited = 0.0
        while batch:
            before = len(batch)
            batch, reason = self._try(batch, refused)
            if not batch:
                break
            waited = 0.0 if len(batch) < before else waited + _PAUSE_SECONDS
            if waited > self._patience:
                raise CommandError(f"the gateway at {self._url} {reason}, for {self._patience:.0f} s")
            self._pause(_PAUSE_SECONDS)
        return refused

    def _try(self, batch: list[Event], refused: list[Refusal]) -> tuple[list[Event], str]:
        """Send once; gives what is to be sent again, and why. What was refused for good is added to `refused`."""
        body = b"[" + b",".join(event.text for event in batch) + b"]"
        try:
            answer = self._client.post("/api/v1/lineage/batch", content=body)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise CommandError(f"{self._url} is no URL of a gateway: it looks like http://HOST:PORT", USAGE) from None
        except httpx.TransportError as error:
            return batch, f"cannot be reached ({type(error).__name__})"
        self._patience = _PATIENCE_SECONDS
        if answer.status_code == 204:
            return [], ""
        if answer.status_code == 200:
            failures = answer.json()["failed_events"]
            refused += [(batch[item["index"]].place, item["reason"]) for item in failures if not item["retriable"]]
            again = [batch[item["index"]] for item in failures if item["retriable"]]
            return again, "could not write events to Kafka"
        if answer.status_code == 413:
            return self._halve(batch, refused)
        if answer.status_code == 503:
            return batch, "is busy"
        if answer.status_code == 401:
            raise CommandError(f"the gateway at {self._url} refuses the token: give --token or the right --data-dir")
        raise CommandError(f"the gateway at {self._url} answered {answer.status_code}: {answer.text[:200]}")

    def _halve(self, batch: list[Event], refused: list[Refusal]) -> tuple[list[Event], str]:
        if len(batch) == 1:
            refused.append((batch[0].place, "larger than the gateway takes"))
            return [], ""
        half = len(batch) // 2
        refused += self.send(batch[:half])
        return batch[half:], "takes smaller batches only"

    def close(self) -> None:
        self._client.close()
