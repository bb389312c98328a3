"""What the gateway is told: one validated object."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proventrail.schemas.settings import KafkaSettings, SchemaRegistrySettings
from proventrail.schemas.topics import LINEAGE_EVENTS, MAX_EVENT_BYTES


class GatewaySettings(BaseModel):
    """Where the gateway listens, where it writes, and its bounds. Sizes are in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings
    data_dir: Path
    """The token lies here."""
    host: str = "127.0.0.1"
    port: int = Field(default=5000, ge=0, le=65535)
    """0: the system chooses."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the port; one does about 15,000 events/s in batches. Each has bounds of its own."""
    topic: str = LINEAGE_EVENTS
    schema_registry: SchemaRegistrySettings | None = None
    """Events are framed by its ids; the gateway does not start without them. None: Avro single objects."""
    stage_urls: dict[str, str] = Field(default_factory=dict)
    """Stage name -> its `/health` URL. The gateway is ready only when all of them are."""
    verdict: Literal["lenient", "strict"] = "lenient"
    openlineage_spec: Path | None = None
    """The folder `spec` of a checkout of OpenLineage, for the strict verdict; else PROVENTRAIL_OPENLINEAGE_SPEC."""
    max_body_bytes: int = Field(default=MAX_EVENT_BYTES, ge=1024)
    """Largest body after inflating."""
    pending_bytes: int = Field(default=64 << 20, ge=1024)
    """All bodies that are held at one time; a request beyond them is answered 503."""
    queue_bytes: int = Field(default=64 << 20, ge=1 << 20)
    """Events that wait for Kafka's acknowledgement; a request beyond them is answered 503."""
    acknowledge_seconds: float = Field(default=3.0, gt=0, le=4.5)
    """How long a request waits for Kafka before it is answered 503. OpenLineage's clients give up after 5 s."""
    body_seconds: float = Field(default=30.0, gt=0)
    """How long a body may take to arrive."""
    retry_after_seconds: int = Field(default=2, ge=1)
    drain_seconds: float = Field(default=10.0, gt=0)
    """Deadline of a drain: requests in flight, then what Kafka has not acknowledged."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @field_validator("stage_urls")
    @classmethod
    def _stage_urls_end_in_health(cls, urls: dict[str, str]) -> dict[str, str]:
        for stage, url in urls.items():
            if not url.startswith(("http://", "https://")) or not url.endswith("/health"):
                raise ValueError(f"stage {stage}: its URL must look like http://127.0.0.1:PORT/health")
        return urls

    @model_validator(mode="after")
    def _bounds_fit_together(self) -> GatewaySettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS needs both tls_certificate and tls_key")
        if self.pending_bytes < self.max_body_bytes:
            raise ValueError("pending_bytes must not be less than max_body_bytes, or a large body never passes")
        return self
