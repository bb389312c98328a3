"""The gateway as a process: signals, drain, ports, TLS, settings."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import ValidationError

from proventrail.gateway import GatewayServer, GatewaySettings, client_configuration, run_gateway
from proventrail.gateway.server import GatewayError
from proventrail.schemas.settings import KafkaSettings
from tests.conftest import MakeTopic
from tests.gateway.conftest import Serve, read_topic, run_event

PROCESS = """
import sys
from pathlib import Path
from proventrail.gateway import GatewaySettings, run_gateway
from proventrail.schemas.settings import KafkaSettings
run_gateway(GatewaySettings(kafka=KafkaSettings(bootstrap_servers=sys.argv[1]), topic=sys.argv[2],
                            data_dir=Path(sys.argv[3]), port=int(sys.argv[4])))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(
    kafka_settings: KafkaSettings, make_topic: MakeTopic, tmp_path: Path, number: signal.Signals
) -> None:
    topic, port = make_topic(name="drain", partitions=2), free_port()
    arguments = [kafka_settings.bootstrap_servers, topic, str(tmp_path), str(port)]
    process = subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stderr=subprocess.PIPE)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
    while True:
        try:
            client.get("/")
            break
        except httpx.ConnectError:
            assert process.poll() is None
    headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
    acknowledged: list[str] = []
    wrong: list[int] = []

    def send() -> None:
        while True:
            event = run_event()
            try:
                status = client.post("/api/v1/lineage", json=event, headers=headers).status_code
            except httpx.TransportError:
                return
            acknowledged.append(event["run"]["runId"]) if status == 201 else wrong.append(status)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    while len(acknowledged) < 100:
        pass
    process.send_signal(number)
    assert process.wait(30) == 0
    for sender in senders:
        sender.join()
    assert wrong == []
    stored = {message.value()[10:] for message in read_topic(kafka_settings, topic)}
    assert len(stored) >= len(acknowledged)
    assert b"Traceback" not in (process.stderr.read() if process.stderr else b"")


def test_stop_ends_run_gateway_in_a_thread(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    stop = threading.Event()
    settings = GatewaySettings(kafka=kafka_settings, data_dir=tmp_path, port=0)
    thread = threading.Thread(target=run_gateway, args=(settings, stop))
    thread.start()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_port_in_use_is_a_clear_error(serve: Serve, tmp_path: Path) -> None:
    running = serve()
    settings = running.settings.model_copy(update={"port": running.server.port, "data_dir": tmp_path})
    with pytest.raises(GatewayError, match=rf"port {running.server.port}.*another --port"):
        GatewayServer(settings)


def test_it_binds_the_loopback_interface_unless_told_otherwise(serve: Serve) -> None:
    gateway = serve()
    assert gateway.server.url.startswith("http://127.0.0.1:")
    assert serve(host="0.0.0.0").client.get("/").status_code == 200
    assert serve(host="::1").server.url.startswith("http://[::1]:")


def test_tls(serve: Serve, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    gateway = serve(tls_certificate=certificate, tls_key=key)
    assert gateway.server.url.startswith("https://")
    headers = {"Authorization": f"Bearer {gateway.server.token}"}
    with httpx.Client(verify=ssl.create_default_context(cafile=certificate), trust_env=False) as client:
        answer = client.post(f"{gateway.server.url}/api/v1/lineage", json=run_event(), headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"acknowledge_seconds": 6},
        {"pending_bytes": 2000, "max_body_bytes": 3000},
        {"tls_key": "k"},
        {"stage_urls": {"refine": "127.0.0.1:80"}},
        {"verdict": "none"},
        {"unknown": 1},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(kafka=KafkaSettings(bootstrap_servers="x:1"), data_dir=tmp_path, **wrong)


def test_the_client_configuration_can_be_pasted() -> None:
    text = client_configuration("http://127.0.0.1:5000/", "T0KEN")
    assert "OPENLINEAGE_URL=http://127.0.0.1:5000\n" in text
    assert "OPENLINEAGE_API_KEY=T0KEN\n" in text
    start = text.index("transport:")
    transport = yaml.safe_load(text[start : text.index("# curl")])["transport"]
    assert transport["url"] == "http://127.0.0.1:5000"
    assert transport["auth"] == {"type": "api_key", "apiKey": "T0KEN"}
