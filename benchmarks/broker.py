"""A broker of its own for one benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proventrail.cli.up import PARTITIONS
from proventrail.embedded.broker import KafkaBroker
from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import topic_specs
from proventrail.streaming.admin import ensure_topics


@contextmanager
def broker(folder: Path, partitions: int = PARTITIONS) -> Iterator[str]:
    """Addresses of an embedded broker that has the pipeline's topics."""
    node = KafkaBroker(folder).start()
    try:
        ensure_topics(KafkaSettings(bootstrap_servers=node.bootstrap_servers), topic_specs(partitions))
        yield node.bootstrap_servers
    finally:
        node.stop()
