"""ClickHouse's HTTP interface over the embedded engine, for reading: other processes, curl, Grafana, DBeaver."""

from proventrail.storage.endpoint.server import Endpoint

__all__ = ["Endpoint"]
