"""What a stage tells of itself: metrics, readiness, logs."""

from proventrail.telemetry.status import StatusServer

__all__ = ["StatusServer"]
