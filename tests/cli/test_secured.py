"""TLS and SASL settings of the command line, against a real broker that asks for them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proventrail.embedded.broker import KafkaBroker, free_port

from .conftest import run

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Secured:
    """HOST:PORT of the listeners, and the certificate of the authority that signed the broker's."""

    sasl: str
    ssl: str
    sasl_ssl: str
    authority: Path


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """The certificate of a new authority, and a file with the broker's key and certificate for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    openssl("req", *new, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "broker.csr", *signing, "-out", "broker.crt")
    keystore = folder / "broker.pem"
    keystore.write_text((folder / "broker.key").read_text() + (folder / "broker.crt").read_text())
    return folder / "ca.pem", keystore


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority, keystore = make_certificates(folder)
    names = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL")
    ports = {name: free_port() for name in (*names, "CONTROLLER")}
    listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    login = f'{module} username="broker" password="x" user_broker="x" user_alice="{PASSWORD}";'
    properties = {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(listeners[name] for name in names),
        "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in names) + ",CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        **{f"listener.name.{name}.plain.sasl.jaas.config": login for name in ("sasl_plaintext", "sasl_ssl")},
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
    }
    voters = {1: ports["CONTROLLER"]}
    broker = KafkaBroker(folder / "kafka", port=ports["PLAINTEXT"], voters=voters, properties=properties).start()
    addresses = [f"127.0.0.1:{ports[name]}" for name in names[1:]]
    yield Secured(*addresses, authority)
    broker.stop()


def apply_and_list(tmp_path: Path, servers: str, *options: str | Path) -> None:
    """Create the topics, produce to one and read it back."""
    (tmp_path / "c.yaml").write_text("- namespace: s3://b\n  name: a\n  kind: database\n  owner: team\n")
    options = ("--bootstrap-servers", servers, "--data-dir", tmp_path, *options)
    result = run("topics", *options)
    assert (result.code, result.errors) == (0, "")
    result = run("catalog", "apply", tmp_path / "c.yaml", *options)
    assert (result.code, result.errors) == (0, "")
    result = run("catalog", "list", "--format", "json", *options)
    assert (result.code, result.errors) == (0, "")
    assert [row["owner"] for row in result.json()] == ["team"]


SASL = ("--sasl-mechanism", "PLAIN", "--sasl-username", "alice")


def test_sasl_by_options_and_environment(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENTRAIL_SASL_PASSWORD", PASSWORD)
    apply_and_list(tmp_path, secured.sasl, "--security-protocol", "SASL_PLAINTEXT", *SASL)
    monkeypatch.setenv("PROVENTRAIL_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("PROVENTRAIL_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("PROVENTRAIL_SASL_USERNAME", "alice")
    apply_and_list(tmp_path, secured.sasl)


def test_tls(secured: Secured, tmp_path: Path) -> None:
    apply_and_list(tmp_path, secured.ssl, "--security-protocol", "SSL", "--ssl-ca-location", secured.authority)


def test_sasl_over_tls(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENTRAIL_SASL_PASSWORD", PASSWORD)
    options = ("--security-protocol", "SASL_SSL", *SASL, "--ssl-ca-location", secured.authority)
    apply_and_list(tmp_path, secured.sasl_ssl, *options)


def test_a_wrong_password_is_one_line(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVENTRAIL_SASL_PASSWORD", "wrong horse")
    options = ("--bootstrap-servers", secured.sasl, "--security-protocol", "SASL_PLAINTEXT", *SASL)
    for command in (("topics",), ("catalog", "list")):
        result = run(*command, *options, "--data-dir", tmp_path)
        assert result.code == 3
        assert result.error.startswith(f"error: Kafka at {secured.sasl} cannot be used: ")
        assert "uthentication failed" in result.error
        assert "horse" not in result.error


def test_a_certificate_of_an_unknown_authority_is_one_line(secured: Secured, tmp_path: Path) -> None:
    options = ("--bootstrap-servers", secured.ssl, "--security-protocol", "SSL", "--data-dir", tmp_path)
    result = run("topics", *options)
    assert result.code == 3
    assert "certificate" in result.error
    (tmp_path / "empty.pem").write_text("")
    result = run("topics", *options, "--ssl-ca-location", tmp_path / "empty.pem")
    assert result.code == 3
    assert "ssl.ca.location" in result.error
    assert run("topics", *options, "--ssl-ca-location", tmp_path / "nowhere.pem").code == 2
