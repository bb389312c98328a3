"""How to reach Kafka, ClickHouse and a schema registry: one validated object each, given to whoever connects."""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

_REGISTRY_ENV = "PROVENTRAIL_SCHEMA_REGISTRY"
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaSettings(BaseModel):
    """Connection to a Kafka cluster, with Kafka's own words for TLS and SASL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    ssl_key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> KafkaSettings:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_mechanism and self.sasl_username and self.sasl_password
        ):
            raise ValueError(
                f"security protocol {self.security_protocol} needs a SASL mechanism, a user name and a password "
                "(of the command line: --sasl-mechanism, --sasl-username, PROVENTRAIL_SASL_PASSWORD)"
            )
        return self

    def client_config(self) -> dict[str, Any]:
        """The settings as a configuration for confluent-kafka (librdkafka names)."""
        config: dict[str, Any] = {}
        for name, value in self:
            if value is None:
                continue
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            config[name.replace("_", ".")] = plain
        return config


class ClickHouseSettings(BaseModel):
    """Connection to a ClickHouse server (or to the endpoint of an embedded store) over HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    username: str = "default"
    password: SecretStr = SecretStr("")
    database: str = "proventrail"
    ca_cert: str | None = None
    cluster: str | None = None
    """Name of the ClickHouse cluster: set, tables are Replicated and Distributed; unset, single-node."""

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a ClickHouse URL looks like http://HOST:8123 or https://HOST:8443")
        if parts.password or parts.username:
            raise ValueError("put user and password into username and password, not into the ClickHouse URL")
        return url


class SchemaRegistrySettings(BaseModel):
    """Connection to a schema registry that speaks Confluent's HTTP API; several URLs are separated by commas.

    `mock://NAME` is confluent-kafka's registry in memory, for tests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    username: str | None = None
    password: SecretStr = SecretStr("")
    ca_location: str | None = None
    """File or folder of CA certificates; else the system's."""
    timeout_seconds: float = 5.0

    @field_validator("url")
    @classmethod
    def _urls_are_http(cls, url: str) -> str:
        for one in url.split(","):
            parts = urlsplit(one.strip())
            if parts.scheme not in ("http", "https", "mock") or not parts.hostname:
                raise ValueError("a schema registry URL looks like http://HOST:8081 or https://HOST/PATH")
            if parts.password or parts.username:
                raise ValueError("put user and password into username and password, not into the schema registry URL")
        return url

    @classmethod
    def from_environment(cls, url: str | None = None) -> SchemaRegistrySettings | None:
        """The registry at `url`, else at PROVENTRAIL_SCHEMA_REGISTRY_URL; None if neither is given.

        User, password and CA: PROVENTRAIL_SCHEMA_REGISTRY_USER, _PASSWORD, _CA. Raises ValidationError.
        """
        named = url or os.environ.get(f"{_REGISTRY_ENV}_URL")
        if not named:
            return None
        return cls(
            url=named,
            username=os.environ.get(f"{_REGISTRY_ENV}_USER"),
            password=SecretStr(os.environ.get(f"{_REGISTRY_ENV}_PASSWORD", "")),
            ca_location=os.environ.get(f"{_REGISTRY_ENV}_CA"),
        )

    def client_config(self) -> dict[str, Any]:
        """The settings as a configuration for confluent-kafka's SchemaRegistryClient."""
        # Whoever asks decides when to ask again; retries of the client would only hide that it waits.
        config: dict[str, Any] = {"url": self.url, "timeout": self.timeout_seconds, "max.retries": 0}
        if self.username is not None:
            config["basic.auth.user.info"] = f"{self.username}:{self.password.get_secret_value()}"
        if self.ca_location is not None:
            config["ssl.ca.location"] = self.ca_location
        return config
