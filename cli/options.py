"""Options that commands share, and what they lead to: the data directory, Kafka, the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
import platformdirs
from pydantic import BaseModel, SecretStr, ValidationError

from proventrail.cli.errors import USAGE, CommandError
from proventrail.embedded.run_file import running_instance
from proventrail.schemas.registry import SchemaRegistry
from proventrail.schemas.settings import (
    ClickHouseSettings,
    KafkaSettings,
    SaslMechanism,
    SchemaRegistrySettings,
    SecurityProtocol,
)
from proventrail.streaming.admin import reach

F = TypeVar("F", bound=Callable[..., Any])
Settings = TypeVar("Settings", bound=BaseModel)


def _checked(kind: type[Settings], what: str, values: dict[str, Any]) -> Settings:
    """The settings of `what`. Raises CommandError, which quotes no value."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        reason = str(error.errors(include_input=False, include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise CommandError(f"{what} settings: {reason}", USAGE) from None


def default_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("proventrail"))


@dataclass
class Target:
    """Where a command works: a data directory, whose running instance it asks, or servers that were named."""

    data_dir: Path
    bootstrap_servers: str | None = None
    clickhouse_url: str | None = None
    clickhouse_user: str | None = None
    clickhouse_database: str = "proventrail"
    clickhouse_cluster: str | None = None
    clickhouse_ca_cert: Path | None = None
    kafka_security: dict[str, str] = field(default_factory=dict)
    schema_registry_url: str | None = None
    schema_registry_user: str | None = None
    schema_registry_ca: str | None = None

    def address(self, purpose: str) -> str:
        """HOST:PORT of what `proventrail up` runs on the data directory: gateway, clickhouse, kafka.

        Raises CommandError if nothing runs.
        """
        found = running_instance(self.data_dir)
        if found is None:
            raise CommandError(
                f"nothing runs on {self.data_dir}: start `proventrail up`, or name servers with "
                "--bootstrap-servers and --clickhouse-url"
            )
        return f"127.0.0.1:{found.ports[purpose]}"

    def kafka(self) -> KafkaSettings:
        servers = self.bootstrap_servers or self.address("kafka")
        return _checked(KafkaSettings, "Kafka", {"bootstrap_servers": servers, **self.kafka_security})

    def reached_kafka(self) -> KafkaSettings:
        """`kafka`, once a broker has answered: commands that a person waits for say what is wrong with it at once."""
        settings = self.kafka()
        reach(settings)
        return settings

    def clickhouse(self) -> ClickHouseSettings:
        """The store over HTTP: the server that was named, else the endpoint of the running instance."""
        if self.clickhouse_url is None:
            from proventrail.gateway.auth import read_token

            url = f"http://{self.address('clickhouse')}"
            return ClickHouseSettings(url=url, username="auditor", password=SecretStr(read_token(self.data_dir)))
        values = {
            "url": self.clickhouse_url,
            "username": self.clickhouse_user or "default",
            "password": os.environ.get("PROVENTRAIL_CLICKHOUSE_PASSWORD", ""),
            "database": self.clickhouse_database,
            "cluster": self.clickhouse_cluster,
            "ca_cert": str(self.clickhouse_ca_cert) if self.clickhouse_ca_cert else None,
        }
        return _checked(ClickHouseSettings, "ClickHouse", values)

    def registry_settings(self) -> SchemaRegistrySettings | None:
        """The schema registry that was named; None: there is none."""
        # An empty variable of the environment names none.
        if not self.schema_registry_url:
            return None
        values = {
            "url": self.schema_registry_url,
            "username": self.schema_registry_user,
            "password": os.environ.get("PROVENTRAIL_SCHEMA_REGISTRY_PASSWORD", ""),
            "ca_location": self.schema_registry_ca,
        }
        return _checked(SchemaRegistrySettings, "schema registry", values)

    def registry_options(self) -> list[str]:
        """The options that name the schema registry, for a command started by this one."""
        named = {"url": self.schema_registry_url, "user": self.schema_registry_user, "ca": self.schema_registry_ca}
        return [part for what, value in named.items() if value for part in (f"--schema-registry-{what}", value)]

    def registry(self) -> SchemaRegistry | None:
        """A client of the schema registry that was named. Raises RegistryError if its settings can't be used."""
        settings = self.registry_settings()
        return None if settings is None else SchemaRegistry(settings)


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

_OPTIONS = [
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        envvar="PROVENTRAIL_DATA_DIR",
        help="Folder of log, store and token. Default: the user's data folder.",
    ),
    click.option(
        "--bootstrap-servers",
        envvar="PROVENTRAIL_BOOTSTRAP_SERVERS",
        metavar="HOST:PORT,…",
        help="A Kafka cluster, instead of the embedded broker.",
    ),
    click.option(
        "--clickhouse-url",
        envvar="PROVENTRAIL_CLICKHOUSE_URL",
        metavar="URL",
        help="A ClickHouse server, instead of the embedded store. Its password: PROVENTRAIL_CLICKHOUSE_PASSWORD.",
    ),
    click.option(
        "--clickhouse-user",
        envvar="PROVENTRAIL_CLICKHOUSE_USER",
        metavar="NAME",
        help="Default: default.",
    ),
    click.option(
        "--clickhouse-cluster",
        envvar="PROVENTRAIL_CLICKHOUSE_CLUSTER",
        metavar="NAME",
        help="Makes tables replicated and distributed over that cluster.",
    ),
    click.option(
        "--clickhouse-ca-cert",
        envvar="PROVENTRAIL_CLICKHOUSE_CA_CERT",
        type=_FILE,
        help="Certificates that a https:// URL is checked with. Default: the system's.",
    ),
    click.option(
        "--security-protocol",
        envvar="PROVENTRAIL_SECURITY_PROTOCOL",
        type=click.Choice(get_args(SecurityProtocol)),
        help="Kafka's. Default: PLAINTEXT.",
    ),
    click.option(
        "--sasl-mechanism",
        envvar="PROVENTRAIL_SASL_MECHANISM",
        type=click.Choice(get_args(SaslMechanism)),
        help="Needed with SASL_PLAINTEXT and SASL_SSL.",
    ),
    click.option(
        "--sasl-username",
        envvar="PROVENTRAIL_SASL_USERNAME",
        metavar="NAME",
        help="Its password: PROVENTRAIL_SASL_PASSWORD.",
    ),
    click.option(
        "--ssl-ca-location",
        envvar="PROVENTRAIL_SSL_CA_LOCATION",
        type=_FILE,
        help="Certificates that Kafka's is checked with. Default: the system's.",
    ),
    click.option(
        "--ssl-certificate-location",
        envvar="PROVENTRAIL_SSL_CERTIFICATE_LOCATION",
        type=_FILE,
        help="Our certificate, where Kafka asks for one.",
    ),
    click.option(
        "--ssl-key-location",
        envvar="PROVENTRAIL_SSL_KEY_LOCATION",
        type=_FILE,
        help="Its key. The key's password: PROVENTRAIL_SSL_KEY_PASSWORD.",
    ),
    click.option(
        "--schema-registry-url",
        envvar="PROVENTRAIL_SCHEMA_REGISTRY_URL",
        metavar="URL",
        help="Frame Avro by a schema registry. Its password: PROVENTRAIL_SCHEMA_REGISTRY_PASSWORD.",
    ),
    click.option(
        "--schema-registry-user",
        envvar="PROVENTRAIL_SCHEMA_REGISTRY_USER",
        metavar="NAME",
        help="User of the schema registry.",
    ),
    click.option(
        "--schema-registry-ca",
        envvar="PROVENTRAIL_SCHEMA_REGISTRY_CA",
        metavar="FILE",
        help="Certificates that its https:// URL is checked with.",
    ),
]


def with_target(command: F) -> F:
    """Give a command the shared options; it gets them as one `target`."""

    def inner(
        data_dir: Path | None,
        bootstrap_servers: str | None,
        clickhouse_url: str | None,
        clickhouse_user: str | None,
        clickhouse_cluster: str | None,
        clickhouse_ca_cert: Path | None,
        security_protocol: str | None,
        sasl_mechanism: str | None,
        sasl_username: str | None,
        ssl_ca_location: Path | None,
        ssl_certificate_location: Path | None,
        ssl_key_location: Path | None,
        schema_registry_url: str | None,
        schema_registry_user: str | None,
        schema_registry_ca: str | None,
        **options: Any,
    ) -> Any:
        security = {
            "security_protocol": security_protocol,
            "sasl_mechanism": sasl_mechanism,
            "sasl_username": sasl_username,
            "sasl_password": os.environ.get("PROVENTRAIL_SASL_PASSWORD"),
            "ssl_key_password": os.environ.get("PROVENTRAIL_SSL_KEY_PASSWORD"),
            "ssl_ca_location": str(ssl_ca_location) if ssl_ca_location else None,
            "ssl_certificate_location": str(ssl_certificate_location) if ssl_certificate_location else None,
            "ssl_key_location": str(ssl_key_location) if ssl_key_location else None,
        }
        target = Target(
            data_dir=(data_dir or default_data_dir()).absolute(),
            bootstrap_servers=bootstrap_servers,
            clickhouse_url=clickhouse_url,
            clickhouse_user=clickhouse_user,
            clickhouse_cluster=clickhouse_cluster,
            clickhouse_ca_cert=clickhouse_ca_cert,
            kafka_security={name: value for name, value in security.items() if value is not None},
            schema_registry_url=schema_registry_url,
            schema_registry_user=schema_registry_user,
            schema_registry_ca=schema_registry_ca,
        )
        return command(target=target, **options)

    inner.__name__, inner.__doc__ = command.__name__, command.__doc__
    wrapped: Any = inner
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    # Options that the command declared before stay on it.
    wrapped.__click_params__ += getattr(command, "__click_params__", [])
    return wrapped  # type: ignore[no-any-return]
