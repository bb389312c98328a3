"""What a service installs to emit lineage events. Needs confluent-kafka, fastavro and pydantic alone."""

from proventrail.producers.emitter import EmitError, Emitter, Stats
from proventrail.producers.runs import Dataset, Run, current_run

__all__ = ["Dataset", "EmitError", "Emitter", "Run", "Stats", "current_run"]
