"""How to reach Kafka and ClickHouse: one validated object each, given to whoever connects."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class KafkaSettings(BaseModel):
    """Connection to a Kafka cluster, with Kafka's own words for TLS and SASL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
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
                f"security_protocol {self.security_protocol} needs sasl_mechanism, sasl_username and sasl_password"
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
