"""Sending waits for a gateway that is busy or away, and sends again only what must be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from proventrail.cli.errors import CommandError
from proventrail.cli.event_files import Event
from proventrail.cli.sending import Sender, batches

Answer = tuple[int, object]


class _Gateway:
    """An outside service for these tests: gives prepared answers and keeps what it was sent."""

    def __init__(self, answers: list[Answer]) -> None:
        self.bodies: list[list[int]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.bodies.append(json.loads(body))
                status, content = answers[min(len(gateway.bodies), len(answers)) - 1]
                data = json.dumps(content).encode() if status != 204 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def start(pauses: list[float]) -> Iterator[object]:
    started: list[_Gateway] = []

    def with_answers(*answers: Answer) -> tuple[_Gateway, Sender]:
        started.append(_Gateway(list(answers)))
        return started[-1], Sender(started[-1].url, "token", pause=pauses.append)

    yield with_answers
    for gateway in started:
        gateway.server.shutdown()
        gateway.server.server_close()


EVENTS = [Event(f"f:{n}", str(n).encode()) for n in range(4)]


def failed(*failures: tuple[int, bool]) -> Answer:
    return 200, {"failed_events": [{"index": i, "reason": "r", "retriable": again} for i, again in failures]}


def test_what_failed_for_now_is_sent_again_and_what_is_refused_is_not(start, pauses: list[float]) -> None:
    gateway, sender = start(failed((0, False), (2, True)), (204, None))
    assert sender.send(EVENTS) == [("f:0", "r")]
    assert gateway.bodies == [[0, 1, 2, 3], [2]]
    assert len(pauses) == 1


def test_it_waits_while_the_gateway_is_busy(start, pauses: list[float]) -> None:
    gateway, sender = start((503, {}), (503, {}), (204, None))
    assert sender.send(EVENTS) == []
    assert gateway.bodies == [[0, 1, 2, 3]] * 3
    assert len(pauses) == 2


def test_it_gives_up_after_a_minute_without_an_event_taken(start, pauses: list[float]) -> None:
    _, sender = start((503, {}))
    with pytest.raises(CommandError, match="is busy, for 60 s"):
        sender.send(EVENTS)
    assert 59 <= sum(pauses) <= 61


def test_batches_that_are_too_large_are_halved(start) -> None:
    gateway, sender = start((413, {}), (413, {}), (204, None), (204, None), (204, None))
    assert sender.send(EVENTS) == []
    assert gateway.bodies == [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]]


def test_one_that_is_too_large_is_refused(start) -> None:
    _, sender = start((413, {}))
    assert sender.send(EVENTS) == [(f"f:{n}", "larger than the gateway takes") for n in range(4)]


@pytest.mark.parametrize("status", [401, 404, 500])
def test_other_answers_end_it(start, pauses: list[float], status: int) -> None:
    _, sender = start((status, {"error": "x"}))
    with pytest.raises(CommandError, match=str(status) if status != 401 else "token"):
        sender.send(EVENTS)
    assert pauses == []


def test_a_gateway_that_has_answered_and_is_away_is_waited_for(start, pauses: list[float]) -> None:
    gateway, sender = start((204, None))
    assert sender.send(EVENTS) == []
    gateway.server.server_close()
    gateway.server.shutdown()
    with pytest.raises(CommandError, match=r"cannot be reached \(\w+\), for 60 s"):
        sender.send(EVENTS)
    assert 59 <= sum(pauses) <= 61


def test_one_that_never_answers_is_given_up_soon(pauses: list[float]) -> None:
    with pytest.raises(CommandError, match=r"cannot be reached \(ConnectError\), for 5 s"):
        Sender("http://127.0.0.1:1", "token", pause=pauses.append).send(EVENTS)
    with pytest.raises(CommandError, match=r"no URL of a gateway: it looks like"):
        Sender("htp:/x", "token", pause=pauses.append).send(EVENTS)
    assert sum(pauses) <= 6


def test_batches_are_bounded_in_bytes_and_keep_the_order() -> None:
    events = [Event(str(n), b"x" * (1 << 20)) for n in range(5)] + [Event("big", b"x" * (9 << 20))]
    found = list(batches(events))
    assert [[e.place for e in batch] for batch in found] == [["0", "1"], ["2", "3"], ["4"], ["big"]]
    assert list(batches([])) == []
