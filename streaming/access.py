"""Who may write to Kafka: ACLs, where the cluster has an authorizer."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import RAW_TOPICS
from proventrail.streaming.admin import TopicError


def _may_write(principal: str, topic: str) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        principal,
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )


def allow_producers(kafka: KafkaSettings, principals: Sequence[str]) -> None:
    """Let `principals` (`User:NAME`) write raw events from any host; who is allowed already stays so.

    Raises TopicError if Kafka refuses, as a cluster without an authorizer does.
    """
    bindings = [_may_write(principal, topic) for principal in principals for topic in RAW_TOPICS]
    # Kept in a variable: what it was asked dies with it.
    admin = AdminClient(kafka.client_config())
    for binding, future in admin.create_acls(bindings).items():
        try:
            future.result()
        except KafkaException as error:
            raise TopicError(
                f"{binding.principal} could not be allowed to write {binding.name}: {error.args[0].name()}"
            ) from error
