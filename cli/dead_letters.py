"""`proventrail dead-letters`: records that could not be accepted, with the reason; and sending them again."""

from __future__ import annotations

import click
from confluent_kafka import Producer

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.schemas.topics import MAX_MESSAGE_BYTES, RAW_TOPICS

_COLUMNS = ["raw_topic", "raw_partition", "raw_offset", "received_at", "reason", "stage", "path", "message"]


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be accepted."""


@dead_letters.command("list")
@click.option("--reason", help="For example invalid, malformed, undecodable, oversize, expired.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Rows at most.")
@format_option
@with_target
def list_(target: Target, reason: str | None, limit: int, fmt: str | None) -> None:
    """List dead letters, the newest first."""
    rows = open_store(target).rows(
        f"SELECT {', '.join(_COLUMNS)} FROM proventrail.dead_letters WHERE {{reason:String}} IN ('', reason) "
        "ORDER BY received_at DESC, raw_topic, raw_partition, raw_offset DESC LIMIT {limit:UInt32}",
        {"reason": reason or "", "limit": str(limit)},
    )
    show(_COLUMNS, rows, fmt)


def _fetch(target: Target, topic: str, partition: int, offset: int) -> tuple[bytes, bytes]:
    rows = open_store(target).rows(
        "SELECT hex(key), hex(value) FROM proventrail.dead_letters WHERE raw_topic = {topic:String} "
        "AND raw_partition = {partition:UInt16} AND raw_offset = {offset:UInt64} ORDER BY received_at DESC LIMIT 1",
        {"topic": topic, "partition": str(partition), "offset": str(offset)},
    )
    if not rows:
        raise CommandError(f"no dead letter stands at {topic} {partition} {offset}", NO)
    return bytes.fromhex(rows[0][0]), bytes.fromhex(rows[0][1])


@dead_letters.command("show")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@with_target
def show_(target: Target, topic: str, partition: int, offset: int) -> None:
    """Write the original bytes of a dead letter to standard output. They may hold personal data."""
    _, value = _fetch(target, topic, partition, offset)
    click.get_binary_stream("stdout").write(value)


@dead_letters.command("replay")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@with_target
def replay(target: Target, topic: str, partition: int, offset: int) -> None:
    """Send the original record again to its raw topic, once its cause is mended. The dead letter stays."""
    if topic not in RAW_TOPICS:
        raise CommandError(f"only records of {' and '.join(RAW_TOPICS)} can be replayed", USAGE)
    key, value = _fetch(target, topic, partition, offset)
    if not value:
        raise CommandError("the dead letter has no original bytes: there is nothing to send", NO)
    failures: list[str] = []
    config = {
        **target.reached_kafka().client_config(),
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "log_level": 2,
    }
    producer = Producer(config)
    producer.produce(topic, value, key or None, on_delivery=lambda e, _: failures.append(e.name()) if e else None)
    if producer.flush(30) or failures:
        raise CommandError(f"the broker did not take the record {failures[:1]}")
    click.echo("sent again")
