"""`proventrail dead-letters`: records that could not be accepted, with the reason; and sending them again."""

from __future__ import annotations

from typing import Literal, NamedTuple

import click
from confluent_kafka import Producer

from proventrail.cli.ask import open_store
from proventrail.cli.errors import NO, USAGE, CommandError
from proventrail.cli.options import Target, with_target
from proventrail.cli.output import format_option, show
from proventrail.cli.vault_access import VaultAccess, as_principal, with_vault
from proventrail.privacy.vault import Vault
from proventrail.privacy.vault.records import open_record
from proventrail.privacy.vault.reveal import reveal_record
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


class _Letter(NamedTuple):
    """A dead letter as the store has it: key and value are sealed, and empty where the record had none."""

    topic_id: str
    partition: int
    offset: int
    key: bytes
    value: bytes

    def opened(self, vault: Vault, part: Literal["key", "value"]) -> bytes:
        """Key or value as the record had it. Raises SealError."""
        sealed = self.key if part == "key" else self.value
        return open_record(vault, sealed, self.topic_id, self.partition, self.offset, part) if sealed else b""


def _fetch(target: Target, topic: str, partition: int, offset: int) -> _Letter:
    rows = open_store(target).rows(
        "SELECT toString(raw_topic_id), hex(key), hex(value) FROM proventrail.dead_letters "
        "WHERE raw_topic = {topic:String} AND raw_partition = {partition:UInt16} AND raw_offset = {offset:UInt64} "
        "ORDER BY received_at DESC LIMIT 1",
        {"topic": topic, "partition": str(partition), "offset": str(offset)},
    )
    if not rows:
        raise CommandError(f"no dead letter stands at {topic} {partition} {offset}", NO)
    [(topic_id, key, value)] = rows
    letter = _Letter(topic_id, partition, offset, bytes.fromhex(key), bytes.fromhex(value))
    if not letter.value:
        raise CommandError("the dead letter has no original bytes", NO)
    return letter


@dead_letters.command("show")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@as_principal
@with_vault
def show_(access: VaultAccess, topic: str, partition: int, offset: int, principal: str) -> None:
    """Write the original bytes of a dead letter to standard output. Needs the role revealer, and leaves an audit event:
    they may hold personal data."""
    name = access.prove(principal, "revealer")
    letter = _fetch(access.target, topic, partition, offset)
    with access.opened() as vault:
        value = reveal_record(vault, letter.value, name, topic_id=letter.topic_id, partition=partition, offset=offset)
    click.get_binary_stream("stdout").write(value)


@dead_letters.command("replay")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@with_vault
def replay(access: VaultAccess, topic: str, partition: int, offset: int) -> None:
    """Send the original record again to its raw topic, once its cause is mended. The dead letter stays."""
    if topic not in RAW_TOPICS:
        raise CommandError(f"only records of {' and '.join(RAW_TOPICS)} can be replayed", USAGE)
    target = access.target
    letter = _fetch(target, topic, partition, offset)
    with access.open() as vault:
        key, value = letter.opened(vault, "key"), letter.opened(vault, "value")
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
