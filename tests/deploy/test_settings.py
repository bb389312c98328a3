"""What a container is told reaches the settings that the stages connect with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from proventrail.cli.options import Target, with_target
from proventrail.schemas.settings import ClickHouseSettings, KafkaSettings


def told(environment: dict[str, str], *arguments: str) -> tuple[KafkaSettings, ClickHouseSettings]:
    found: list[tuple[KafkaSettings, ClickHouseSettings]] = []

    @click.command()
    @with_target
    def command(target: Target) -> None:
        found.append((target.kafka(), target.clickhouse()))

    done = CliRunner().invoke(command, list(arguments), env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return found[0]


def test_a_sink_of_the_file_knows_both_servers(composed: dict[str, dict[str, Any]]) -> None:
    environment = composed["sink-1"]["environment"]
    kafka, clickhouse = told(environment)
    assert kafka.security_protocol == "SASL_PLAINTEXT"
    assert kafka.client_config()["sasl.password"] == environment["PROVENTRAIL_SASL_PASSWORD"]
    assert (clickhouse.url, clickhouse.username) == ("http://clickhouse:8123", "ingest")
    assert clickhouse.password.get_secret_value() == environment["PROVENTRAIL_CLICKHOUSE_PASSWORD"]


def test_an_authority_of_ones_own(composed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    options = ("--clickhouse-url", "https://ch:8443", "--clickhouse-ca-cert", str(authority))
    _, clickhouse = told(composed["sink-1"]["environment"], *options)
    assert (clickhouse.url, clickhouse.ca_cert) == ("https://ch:8443", str(authority))
