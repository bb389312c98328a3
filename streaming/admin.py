"""Topics: creating them, and the UUIDs that tell a topic from its namesake made later."""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from proventrail.schemas.settings import KafkaSettings
from proventrail.schemas.topics import TopicSpec
from proventrail.streaming.errors import TOPIC_GONE, is_transient


class TopicError(Exception):
    """A topic is missing, or is not as the pipeline needs it."""


class KafkaUnreachable(Exception):
    """No broker can be used; says which were tried and why, as far as librdkafka tells."""


_FINAL = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL})
"""Waiting does not help: the password or the certificate is the wrong one."""


def reach(kafka: KafkaSettings, timeout: float = 10.0) -> None:
    """Return when a broker takes requests. Raises KafkaUnreachable, at once for a wrong password or certificate."""
    seen: list[KafkaError] = []
    try:
        admin = AdminClient({**kafka.client_config(), "log_level": 0, "error_cb": seen.append})
    except KafkaException as error:
        raise KafkaUnreachable(f"Kafka settings: {error.args[0].str()}") from None
    deadline = time.monotonic() + timeout
    while True:
        try:
            admin.list_topics(timeout=1)
            return
        except KafkaException as error:
            reason = error.args[0]
        admin.poll(0)
        final = next((error for error in seen if error.code() in _FINAL), None)
        if final is None and time.monotonic() < deadline:
            continue
        # The first reason is the cause; "all brokers down" follows from it.
        telling = final or next((e for e in seen if e.code() != KafkaError._ALL_BROKERS_DOWN), reason)
        raise KafkaUnreachable(f"Kafka at {kafka.bootstrap_servers} cannot be used: {_told(telling)}")


def _told(error: KafkaError) -> str:
    """librdkafka's text without the name of its thread and the time that it took."""
    return re.sub(r"^\S*?://[^ ]*: |\s*\((?:after|in) [^)]*\)", "", error.str()).strip()


def _uuid_text(kafka_uuid: object) -> str:
    """Kafka writes a topic's UUID as 22 characters of base64; we use the usual text form."""
    return str(uuid.UUID(bytes=base64.urlsafe_b64decode(f"{kafka_uuid}==")))


class TopicIds:
    """Asks for the UUIDs of topics, again and again over one connection."""

    _ATTEMPT_SECONDS = 4.0

    def __init__(self, kafka: KafkaSettings) -> None:
        self._config = {**kafka.client_config(), "log_level": 2}
        self._admin = AdminClient(self._config)

    def __call__(self, names: Sequence[str], timeout: float = 30.0) -> dict[str, str]:
        """Topic name -> UUID. Raises TopicError if one is not there, KafkaException if no broker answers in time."""
        found = self.existing(names, timeout)
        for name in names:
            if name not in found:
                raise TopicError(f"topic {name} does not exist: create it with `proventrail topics`")
        return found

    def awaited(self, names: Sequence[str], timeout: float = 30.0) -> dict[str, str]:
        """As a call, for topics that are known to be: a broker that has just started learns of them a little later."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self(names, timeout)
            except TopicError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def existing(self, names: Sequence[str], timeout: float = 30.0) -> dict[str, str]:
        """Topic name -> UUID of those that are there. Raises KafkaException if no broker answers in time."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._ask(names, min(self._ATTEMPT_SECONDS, timeout))
            except KafkaException as error:
                # A client waits for the controller it knows, also when that one is gone: a new one asks who it is.
                self._admin = AdminClient(self._config)
                if not is_transient(error.args[0]) or time.monotonic() >= deadline:
                    raise

    def _ask(self, names: Sequence[str], timeout: float) -> dict[str, str]:
        ids: dict[str, str] = {}
        found = self._admin.describe_topics(TopicCollection(list(names)), request_timeout=timeout)
        for name, future in found.items():
            try:
                ids[name] = _uuid_text(future.result().topic_id)
            except KafkaException as error:
                if error.args[0].code() not in TOPIC_GONE:
                    raise
        return ids


def ensure_topics(kafka: KafkaSettings, specs: Iterable[TopicSpec], timeout: float = 30.0) -> list[str]:
    """Create what is missing and set the configuration of what is there; give back the names that were created.

    Raises TopicError where a topic has another number of partitions (refine keeps partition numbers) or is refused;
    KafkaException if no broker answers within `timeout` seconds.
    """
    admin = AdminClient({**kafka.client_config(), "log_level": 2})
    wanted = {spec.name: spec for spec in specs}
    there = admin.list_topics(timeout=timeout).topics
    missing = [spec for spec in wanted.values() if spec.name not in there]
    new = [
        NewTopic(s.name, num_partitions=s.partitions, replication_factor=s.replication, config=s.config)
        for s in missing
    ]
    for name, future in (admin.create_topics(new) if new else {}).items():
        try:
            future.result()
        except KafkaException as error:
            if is_transient(error.args[0]):
                raise
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"topic {name} could not be created: {error.args[0].str()}") from error
    for name, spec in wanted.items():
        if name in there and len(there[name].partitions) != spec.partitions:
            raise TopicError(
                f"topic {name} has {len(there[name].partitions)} partitions, the others are to have "
                f"{spec.partitions}: give --partitions {len(there[name].partitions)}, or use a new topic"
            )
    _set_configuration(admin, [spec for spec in wanted.values() if spec.name in there and spec.config])
    names = [spec.name for spec in missing]
    TopicIds(kafka).awaited(names)
    return names


def _set(name: str, value: str) -> ConfigEntry:
    return ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)


def _set_configuration(admin: AdminClient, specs: list[TopicSpec]) -> None:
    if not specs:
        return
    # One by one: what an operator has set besides stays.
    resources = [
        ConfigResource(ResourceType.TOPIC, s.name, incremental_configs=[_set(*item) for item in s.config.items()])
        for s in specs
    ]
    for resource, future in admin.incremental_alter_configs(resources).items():
        try:
            future.result()
        except KafkaException as error:
            if is_transient(error.args[0]):
                raise
            raise TopicError(f"topic {resource.name} could not be configured: {error.args[0].str()}") from error
