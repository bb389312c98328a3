"""Every metric of the pipeline, in one place. Names follow Prometheus' rules; units are in the names.

A stage is `gateway`, `refine` or `sink`. Metrics never carry a value of an event as a label.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Events that entered a stage (read from Kafka, or received by HTTP).
EVENTS_IN = Counter("proventrail_events_in_total", "Events that entered the stage", ["stage"])
# Events that left a stage acknowledged (produced to Kafka, or inserted).
EVENTS_OUT = Counter("proventrail_events_out_total", "Events that left the stage, acknowledged", ["stage"])
# Bytes of event payload that entered and left.
BYTES_IN = Counter("proventrail_bytes_in_total", "Payload bytes that entered the stage", ["stage"])
BYTES_OUT = Counter("proventrail_bytes_out_total", "Payload bytes that left the stage, acknowledged", ["stage"])
# Records behind the end of the log, per topic and partition that the stage reads.
LAG = Gauge(
    "proventrail_lag_records", "Records between the stage's position and the end", ["stage", "topic", "partition"]
)
# Time to work off one batch, from poll to acknowledgement.
BATCH_SECONDS = Histogram("proventrail_batch_seconds", "Time for one batch", ["stage"], buckets=_SECONDS)
# Dead letters, by stable reason code.
DEAD_LETTERS = Counter("proventrail_dead_letters_total", "Records refused with a reason", ["stage", "reason"])
# Deliveries of an event that was stored already.
DUPLICATES = Counter("proventrail_duplicates_total", "Deliveries of an event that was there already", ["stage"])
# Newest event time that the stage has worked off, per partition.
WATERMARK = Gauge("proventrail_watermark_seconds", "Newest event time worked off, Unix seconds", ["stage", "partition"])
# Bytes in a producer's on-disk spool.
SPOOL_BYTES = Gauge("proventrail_spool_bytes", "Bytes waiting in the on-disk spool", ["stage"])
# Requests answered by the gateway.
HTTP_REQUESTS = Counter("proventrail_http_requests_total", "HTTP requests answered", ["path", "status"])
HTTP_SECONDS = Histogram("proventrail_http_seconds", "Time to answer an HTTP request", ["path"], buckets=_SECONDS)
# Partitions that back-pressure holds paused.
PAUSED_PARTITIONS = Gauge("proventrail_paused_partitions", "Partitions paused by back-pressure", ["stage"])
