"""docker-compose.yml: versions, secrets, bounds, and that each command is one of ours."""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from proventrail.cli.app import cli
from proventrail.embedded.kafka_version import KAFKA_VERSION
from proventrail.gateway.auth import TOKEN_VARIABLE
from proventrail.storage.store import ClientStore
from tests.deploy.composed import env_file, environment_here, services, variables

Services = dict[str, dict[str, Any]]

OPTIONAL = {
    "PUBLISH_ADDRESS",
    "PUBLISH_GATEWAY_PORT",
    "PUBLISH_CLICKHOUSE_PORT",
    "POLICY_FILE",
    # There is none before the first rotation.
    "VAULT_KEY_OLD",
}
JOBS = {"topics", "schemas", "migrate", "schema-registry-volume"}
STAGES = {"refine-1", "refine-2", "sink-1", "sink-2"}
# Passwords never stand on a command line.
_NO_OPTION = {
    "PROVENTRAIL_SASL_PASSWORD",
    "PROVENTRAIL_CLICKHOUSE_PASSWORD",
    TOKEN_VARIABLE,
    # Named by PROVENTRAIL_VAULT_KEY.
    "VAULT_KEY",
    "VAULT_KEY_OLD",
}


def own(composed: Services) -> Services:
    return {name: service for name, service in composed.items() if service["image"].startswith("proventrail:")}


def test_kafka_is_the_one_that_is_embedded(composed: Services) -> None:
    images = [service["image"] for name, service in composed.items() if name.startswith("kafka-")]
    assert images == [f"apache/kafka:{KAFKA_VERSION}"] * 3


def test_clickhouse_is_of_the_line_of_the_embedded_engine(composed: Services, store: ClientStore) -> None:
    version = str(store.rows("SELECT version()")[0][0])
    assert composed["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{'.'.join(version.split('.')[:2])}"


def test_our_image_has_our_version(composed: Services, repo_dir: Path) -> None:
    version = tomllib.loads((repo_dir / "pyproject.toml").read_text())["project"]["version"]
    assert {service["image"] for service in own(composed).values()} == {f"proventrail:{version}"}


def test_every_variable_is_in_the_example_and_none_besides(repo_dir: Path) -> None:
    used = variables((repo_dir / "docker-compose.yml").read_text())
    assert used == set(env_file(repo_dir / ".env.example"))


def test_no_secret_has_a_default(repo_dir: Path) -> None:
    text = (repo_dir / "docker-compose.yml").read_text()
    optional = {name for name in variables(text) if not re.search(rf"\${{{name}:\?", text)}
    assert optional == OPTIONAL
    given = {name for name, value in env_file(repo_dir / ".env.example").items() if value}
    assert given == optional - {"VAULT_KEY_OLD"}
    literal = re.findall(r"(?i)^\s*\w*(?:password|token|secret)\w*: (?!\$\{)(.+)$", text, re.MULTILINE)
    assert literal == []


def test_a_new_env_has_every_value_and_matching_hashes(dot_env: Path, repo_dir: Path) -> None:
    values = env_file(dot_env)
    assert stat.S_IMODE(dot_env.stat().st_mode) == 0o600
    assert list(values) == list(env_file(repo_dir / ".env.example"))
    assert [name for name, value in values.items() if not value] == ["VAULT_KEY_OLD"]
    assert len(base64.b64decode(values["VAULT_KEY"], validate=True)) == 32
    assert len(values["KAFKA_CLUSTER_ID"]) == 22
    hashes = [name for name in values if name.endswith("_SHA256")]
    assert len(hashes) == 3
    for name in hashes:
        assert values[name] == hashlib.sha256(values[name.removesuffix("_SHA256")].encode()).hexdigest()
    secrets = [value for name, value in values.items() if name not in OPTIONAL]
    assert len(set(secrets)) == len(secrets)


def test_a_new_env_replaces_no_file(dot_env: Path, repo_dir: Path) -> None:
    before = dot_env.read_text()
    script = [sys.executable, str(repo_dir / "deploy/new_env.py"), str(dot_env)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is there" in done.stderr
    assert dot_env.read_text() == before


def test_every_service_is_watched_bounded_and_restarted(composed: Services) -> None:
    for name, service in composed.items():
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        if name == "cli":
            assert service["profiles"] == ["cli"]
        elif name in JOBS:
            assert service["restart"].startswith("on-failure:"), name
            assert service["healthcheck"] == {"disable": True}, name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["stop_grace_period"], name


def test_our_containers_can_change_nothing_of_themselves(composed: Services) -> None:
    for name, service in own(composed).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["init"] is True, name


def test_a_stage_has_longer_to_stop_than_it_needs_to_drain(composed: Services) -> None:
    drain = 20.0  # Sink(revoke_seconds=20.0), GatewaySettings.drain_seconds twice
    assert all(float(service["stop_grace_period"][:-1]) > drain for service in own(composed).values())


def test_only_the_loopback_interface_is_published_and_no_broker(composed: Services) -> None:
    ports = {name: service["ports"] for name, service in composed.items() if "ports" in service}
    assert ports == {"gateway": ["127.0.0.1:5000:5000"], "clickhouse": ["127.0.0.1:8123:8123"]}


def test_data_is_on_named_volumes_and_mounted_files_are_there(composed: Services, repo_dir: Path) -> None:
    content = yaml.safe_load((repo_dir / "docker-compose.yml").read_text())
    mounts = [mount.split(":") for service in composed.values() for mount in service.get("volumes", [])]
    for source, _, *mode in mounts:
        if source.startswith("./"):
            assert (repo_dir / source).is_file(), source
            assert mode == ["ro"], source
    assert {source for source, *_ in mounts if not source.startswith("./")} == set(content["volumes"])


def test_networks_and_dependencies_are_there(composed: Services, repo_dir: Path) -> None:
    content = yaml.safe_load((repo_dir / "docker-compose.yml").read_text())
    for name, service in composed.items():
        assert set(service.get("networks", [])) <= set(content["networks"]), name
        for other, how in service.get("depends_on", {}).items():
            job = how["condition"] == "service_completed_successfully"
            assert job == (other in JOBS), f"{name} waits for {other}"
    assert content["networks"]["kafka"]["internal"] is True


def test_every_image_is_named_without_a_registry(composed: Services) -> None:
    for service in composed.values():
        assert "." not in service["image"].split("/")[0].split(":")[0]
        assert re.search(r":[\w.]*\d[\w.]*$", service["image"])


def parsed(service: dict[str, Any], repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> click.Context:
    """The context of the command that a service runs, its options from arguments and environment."""
    for name, value in environment_here(service, repo_dir).items():
        monkeypatch.setenv(name, value)
    command, arguments = command_of(service)
    return command.make_context(command.name, arguments)


def command_of(service: dict[str, Any]) -> tuple[click.Command, list[str]]:
    """The command that a service runs, of a group the one in it, and its arguments."""
    command: click.Command | None = cli
    arguments = list(service["command"])
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)
    assert command is not None, service["command"]
    return command, arguments


def test_every_command_of_ours_parses(composed: Services, repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {}
    for name, service in own(composed).items():
        with monkeypatch.context() as patch:
            commands[name] = parsed(service, repo_dir, patch)
    assert set(commands) == {"topics", "schemas", "migrate", "gateway", "cli", *STAGES}
    assert commands["topics"].params["bootstrap_servers"] == "kafka-1:9092,kafka-2:9092,kafka-3:9092"
    assert commands["topics"].params["replication"] == 3
    for name in STAGES:
        assert commands[name].params["member"] == name
        assert commands[name].params["status_host"] == "0.0.0.0"
        assert commands[name].params["status_port"] == 9100
    assert commands["sink-1"].params["clickhouse_user"] == "ingest"
    assert commands["migrate"].params["clickhouse_user"] == "migrate"
    # Writers do not start without the ids of their schemas, and all know the same registry.
    assert commands["schemas"].info_name == "register"
    urls = {commands[name].params["schema_registry_url"] for name in ("schemas", "gateway", *STAGES)}
    assert len(urls) == 1
    assert all("schemas" in composed[name]["depends_on"] for name in ("gateway", *STAGES))


def test_the_gateway_asks_every_stage(composed: Services, repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = parsed(composed["gateway"], repo_dir, monkeypatch)
    stages = dict(stage.split("=", 1) for stage in gateway.params["stages"])
    assert stages == {name: f"http://{name}:9100/health" for name in STAGES}


def _all_commands(command: click.Command) -> list[click.Command]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(found for one in below for found in _all_commands(one))]


def test_every_variable_of_our_containers_is_one_that_we_read(composed: Services) -> None:
    for name, service in own(composed).items():
        # `cli` runs any command.
        commands = _all_commands(cli) if name == "cli" else [command_of(service)[0]]
        known = {option.envvar for command in commands for option in command.params} | _NO_OPTION
        assert set(service["environment"]) <= known, name


def test_refine_workers_and_commands_have_one_vault_whose_key_is_not_on_its_volume(composed: Services) -> None:
    of_vault = {name: service for name, service in own(composed).items() if "VAULT_KEY" in service["environment"]}
    assert of_vault.keys() == {"refine-1", "refine-2", "cli"}
    for name, service in of_vault.items():
        environment = service["environment"]
        assert f"vault:{environment['PROVENTRAIL_DATA_DIR']}" in service["volumes"], name
        assert environment["PROVENTRAIL_VAULT_KEY"] == "env:VAULT_KEY", name
        assert "PROVENTRAIL_VAULT" not in environment, name
    assert len({service["environment"]["VAULT_KEY"] for service in of_vault.values()}) == 1


def test_the_policy_is_the_shipped_one_unless_named(composed: Services, repo_dir: Path, dot_env: Path) -> None:
    for name in ("refine-1", "refine-2"):
        file = Path(environment_here(composed[name], repo_dir)["PROVENTRAIL_POLICY"])
        assert file.read_bytes() == files("proventrail.privacy.policy").joinpath("default.yaml").read_bytes()
    values = {**env_file(dot_env), "POLICY_FILE": "./mine.yaml"}
    mounts = services(repo_dir, values)["refine-2"]["volumes"]
    assert "./mine.yaml:/etc/proventrail/policy.yaml:ro" in mounts


def test_each_stage_is_a_kafka_user_of_its_own_and_no_stage_is_the_superuser(composed: Services) -> None:
    users = {name: service["environment"].get("PROVENTRAIL_SASL_USERNAME") for name, service in own(composed).items()}
    assert users == {
        "topics": "proventrail",
        "cli": "proventrail",
        "refine-1": "refine",
        "refine-2": "refine",
        "sink-1": "sink",
        "sink-2": "sink",
        "gateway": "gateway",
        "schemas": None,
        "migrate": None,
    }
    # The registry is on the network of the brokers, and has no password for them.
    assert not any("KAFKA" in name or "SASL" in name for name in composed["schema-registry"]["environment"])
