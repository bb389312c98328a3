"""The Kafka topics of the pipeline: names, and how each is configured.

Raw topics (`lineage.events`, `openlineage`) may hold personal data: short retention, tight ACL. Everything that
refine writes keeps the raw partition number, so the topics on both sides of it have equally many partitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LINEAGE_EVENTS = "lineage.events"
OPENLINEAGE = "openlineage"
REFINED = "lineage.refined"
OBSERVATIONS = "lineage.observations"
DEADLETTER = "lineage.deadletter"
CATALOG = "lineage.catalog"
FINDINGS = "lineage.findings"

RAW_TOPICS = (LINEAGE_EVENTS, OPENLINEAGE)

SCHEMA_OF_TOPIC = {
    LINEAGE_EVENTS: "lineage_event",
    REFINED: "refined_event",
    OBSERVATIONS: "observation",
    DEADLETTER: "dead_letter",
    CATALOG: "catalog_entry",
}
"""The Avro schema of each topic's values; `openlineage` holds JSON."""

MAX_EVENT_BYTES = 10 * 1024 * 1024
"""Largest event that the pipeline accepts, in bytes of its encoded form."""
MAX_MESSAGE_BYTES = 12 * 1024 * 1024
"""`max.message.bytes` of the topics: an event grows a little when it is enriched."""
MAX_DEADLETTER_BYTES = MAX_MESSAGE_BYTES + (1 << 20)

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class TopicSpec:
    """A topic as `ensure_topics` creates it. `config` holds Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)


def topic_specs(partitions: int = 4, replication: int = 1, retention_bytes: int = 4 << 30) -> list[TopicSpec]:
    """Every topic of the pipeline. `retention_bytes` bounds each partition, so disk use is bounded by default."""

    def spec(name: str, hours: int, **config: str) -> TopicSpec:
        bounds = {
            "retention.ms": str(hours * _HOUR_MS),
            "retention.bytes": str(retention_bytes),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            # Receive time is the broker's: a producer's clock can't shift retention, lateness or row order.
            "message.timestamp.type": "LogAppendTime",
        }
        if replication > 2:
            bounds["min.insync.replicas"] = "2"
        return TopicSpec(name, partitions, replication, {**bounds, **config})

    return [
        spec(LINEAGE_EVENTS, 24),
        spec(OPENLINEAGE, 24),
        spec(REFINED, 72),
        spec(OBSERVATIONS, 72),
        # A dead letter wraps the record it is about.
        spec(DEADLETTER, 24 * 30, **{"max.message.bytes": str(MAX_DEADLETTER_BYTES)}),
        spec(FINDINGS, 24 * 30),
        TopicSpec(CATALOG, 1, replication, {"cleanup.policy": "compact", "max.message.bytes": str(MAX_MESSAGE_BYTES)}),
    ]
