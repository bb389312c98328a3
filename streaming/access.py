"""Who may read and write which topics of Kafka: ACLs, where the cluster has an authorizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from proventrail.schemas.topics import CATALOG, DEADLETTER, OBSERVATIONS, RAW_TOPICS, REFINED
from proventrail.streaming.admin import TopicError


@dataclass(frozen=True)
class Role:
    """What a user may do; `own_groups`: be in consumer groups whose names begin with its own and a dash."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    own_groups: bool = False


# Raw topics hold personal data: refine alone reads them.
ROLES: Mapping[str, Role] = {
    "producer": Role(writes=RAW_TOPICS),
    "refine": Role(
        reads=(*RAW_TOPICS, CATALOG),
        writes=(REFINED, OBSERVATIONS, DEADLETTER),
        groups=("proventrail-refine", "proventrail-catalog-reader"),
    ),
    "sink": Role(reads=(REFINED, DEADLETTER, CATALOG), groups=("proventrail-sink",)),
    "consumer": Role(reads=(REFINED, OBSERVATIONS), own_groups=True),
}
"""Role -> what it may do. Reading and writing allow to describe."""


def _binding(
    kind: ResourceType, name: str, principal: str, operation: AclOperation, *, prefix: bool = False
) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if prefix else ResourcePatternType.LITERAL
    return AclBinding(kind, name, pattern, principal, "*", operation, AclPermissionType.ALLOW)


def _bindings(role: Role, principal: str) -> Iterator[AclBinding]:
    for topic in role.reads:
        yield _binding(ResourceType.TOPIC, topic, principal, AclOperation.READ)
    for topic in role.writes:
        yield _binding(ResourceType.TOPIC, topic, principal, AclOperation.WRITE)
    for group in role.groups:
        yield _binding(ResourceType.GROUP, group, principal, AclOperation.READ)
    if role.own_groups:
        # With the dash a short name is no prefix of the pipeline's own groups.
        prefix = f"{principal.partition(':')[2]}-"
        yield _binding(ResourceType.GROUP, prefix, principal, AclOperation.READ, prefix=True)


def allow(kafka: KafkaSettings, principals: Mapping[str, Sequence[str]]) -> None:
    """Let principals (`User:NAME`, by their role in ROLES) do what it says from any host; what is allowed stays so.

    Raises TopicError if Kafka refuses, as a cluster without an authorizer does.
    """
    bindings = [b for role, names in principals.items() for name in names for b in _bindings(ROLES[role], name)]
    if not bindings:
        return
    # Kept in a variable: what it was asked dies with it.
    admin = AdminClient(kafka.client_config())
    for binding, future in admin.create_acls(bindings).items():
        try:
            future.result()
        except KafkaException as error:
            operation = binding.operation.name.lower()
            raise TopicError(
                f"{binding.principal} could not be allowed to {operation} {binding.name}: {error.args[0].name()}"
            ) from error
