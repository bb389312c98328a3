"""Who gets in, which methods a path has, and what odd clients get."""

from __future__ import annotations

import json
import socket
import ssl

import pytest

from tests.gateway.conftest import Serve, Served, head, run_event


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic dXNlcjpwYXNz", "Token x", "Bearer wrong-" + "x" * 5000]
)
@pytest.mark.parametrize("path", ["/api/v1/lineage", "/api/v1/lineage/batch"])
def test_without_the_token_it_is_401(gateway: Served, authorization: str | None, path: str) -> None:
    del gateway.client.headers["Authorization"]
    headers = {} if authorization is None else {"authorization": authorization}
    answer = gateway.post(run_event(), path, **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert gateway.server.token not in answer.text
    assert gateway.records() == []


def test_a_refused_body_does_not_break_the_connection(serve: Serve) -> None:
    gateway = serve(max_body_bytes=1 << 20)
    good = gateway.client.headers["Authorization"]
    gateway.client.headers["Authorization"] = "Bearer wrong"
    assert gateway.post(b"x" * 3_000_000).status_code == 401
    gateway.client.headers["Authorization"] = good
    assert gateway.post(b"x" * 3_000_000).status_code == 413
    assert gateway.post(run_event()).status_code == 201


def test_methods(gateway: Served) -> None:
    client = gateway.client
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        answer = client.request(method, "/api/v1/lineage")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "OPTIONS, POST"
    options = client.request("OPTIONS", "/api/v1/lineage")
    assert (options.status_code, options.headers["allow"]) == (204, "OPTIONS, POST")
    assert client.post("/health").status_code == 405
    assert client.head("/health").status_code == client.get("/health").status_code
    assert client.head("/").content == b""
    assert "/api/v1/lineage" in client.get("/").text


@pytest.mark.parametrize("path", ["/api/v1/lineage/", "/api/v1", "/api/v2/lineage", "/../token", "/%00", "/metrics/x"])
def test_other_paths_are_404(gateway: Served, path: str) -> None:
    assert gateway.client.post(path).status_code == 404


def test_open_paths_need_no_token(gateway: Served) -> None:
    del gateway.client.headers["Authorization"]
    assert gateway.client.get("/").status_code == 200
    assert gateway.client.get("/health").status_code in (200, 503)
    assert gateway.client.get("/metrics").status_code == 200


def talk(gateway: Served, *parts: bytes, timeout: float = 20) -> bytes:
    """Write `parts` to a bare socket, and read until the gateway closes or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=timeout) as connection:
        for part in parts:
            connection.sendall(part)
        found = b""
        while not found.endswith(b"\r\n\r\n") and (more := connection.recv(65536)):
            found += more
        return found


def test_pipelined_requests_are_answered_in_order(gateway: Served) -> None:
    body = json.dumps(run_event()).encode()
    request = head(gateway, len(body)) + body
    bad = head(gateway, 1) + b"{"
    last = head(gateway, len(body), "Connection: close") + body
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as connection:
        connection.sendall(request + bad + last)
        found = b""
        while more := connection.recv(65536):
            found += more
    statuses = [line.split()[1] for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.1")]
    statuses += [line.rsplit(b"HTTP/1.1 ", 1)[1].split()[0] for line in found.split(b"\r\n") if b"}HTTP/1.1 " in line]
    assert sorted(statuses) == [b"201", b"201", b"400"]
    assert len(gateway.records()) == 2


def test_expect_100_continue(gateway: Served) -> None:
    body = json.dumps(run_event()).encode()
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as connection:
        connection.sendall(head(gateway, len(body), "Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 201")


def test_a_body_that_never_ends_is_408_and_stops_nobody_else(serve: Serve) -> None:
    gateway = serve(body_seconds=0.5)
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as slow:
        slow.sendall(head(gateway, 1000) + b'{"a": ')
        assert gateway.post(run_event()).status_code == 201
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_client_that_leaves_in_mid_body_is_forgotten(serve: Serve) -> None:
    gateway = serve(pending_bytes=20_000, max_body_bytes=20_000)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as connection:
            connection.sendall(head(gateway, 15_000) + b" " * 14_000)
    # Their bytes are given back: a body that needs nearly the whole budget passes.
    event = json.dumps(run_event()).encode()
    for _ in range(50):
        status = gateway.post(event + b" " * 19_000).status_code
        if status == 201:
            break
    assert status == 201


def test_garbage_instead_of_http_is_400(gateway: Served) -> None:
    assert talk(gateway, b"\x16\x03\x01 what\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_half_a_request_head_stops_nobody_else(gateway: Served) -> None:
    with socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as slow:
        slow.sendall(b"POST /api/v1/lineage HTTP/1.1\r\nHost:")
        assert gateway.post(run_event()).status_code == 201


def test_tls_is_refused_without_a_key(serve: Serve) -> None:
    with pytest.raises(ValueError, match="both tls_certificate and tls_key"):
        serve(tls_certificate="x")


def test_plain_http_port_speaks_no_tls(gateway: Served) -> None:
    with (
        socket.create_connection(("127.0.0.1", gateway.server.port), timeout=20) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
