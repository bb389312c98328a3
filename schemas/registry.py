"""A schema registry that speaks Confluent's HTTP API: our schemas' ids, and the schemas of ids.

Subjects are named by topic (`TOPIC-value`, Confluent's TopicNameStrategy) and kept BACKWARD_TRANSITIVE. Needs the extra
`registry`, which is loaded only when a registry is configured.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from proventrail.schemas import avro
from proventrail.schemas.avro import Framing
from proventrail.schemas.settings import SchemaRegistrySettings
from proventrail.schemas.wire import CodecError

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

COMPATIBILITY = "BACKWARD_TRANSITIVE"

_CACHED = 1024
_UNKNOWN_SECONDS = 30.0
_AWAY_SECONDS = 0.5
_NO_SUCH_SCHEMA = {40403, 40400}
"""Confluent's error code "schema not found"; 40400 is what confluent-kafka's `mock://` says."""
_NOT_REGISTERED = {40401, *_NO_SUCH_SCHEMA}


class RegistryError(Exception):
    """The registry refuses, or lacks what is needed: someone has to act. The text says what to do."""


class RegistryUnavailable(RegistryError):
    """The registry gives no usable answer now. Nothing is known of the record: wait and ask again, refuse nothing."""


def subject_of(topic: str) -> str:
    """The subject of a topic's values."""
    return f"{topic}-value"


def _compact(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


def _connect(settings: SchemaRegistrySettings) -> SchemaRegistryClient:
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise RegistryError(
            f"a schema registry needs the package {error.name}: pip install 'proventrail[registry]'"
        ) from None
    try:
        return SchemaRegistryClient.new_client(settings.client_config())
    except (OSError, ValueError) as error:
        raise RegistryError(f"the settings of the schema registry cannot be used ({type(error).__name__})") from None


def _http_errors() -> tuple[type[Exception], ...]:
    """What confluent-kafka lets through: errors of httpx2 or httpx below it, and of answers in another form."""
    found: list[type[Exception]] = [OSError, ValueError, KeyError, TypeError]
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(importlib.import_module(name).HTTPError)
    return tuple(found)


class SchemaRegistry:
    """One registry, asked by one process; safe to use from threads. Nothing is asked before the first call.

    Schemas of ids are kept for good, which they are in the registry too, up to 1,024 of them. That an id is unknown is
    believed for 30 s, so that garbage costs few requests; that the registry is away, for half a second.
    """

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        self._client = _connect(settings)
        self._errors = _http_errors()
        self._lock = threading.Lock()
        # It comes with the extra, as the client does.
        from cachetools import LRUCache, TTLCache

        self._texts: MutableMapping[int, str] = LRUCache(_CACHED)
        self._unknown: MutableMapping[int, bool] = TTLCache(_CACHED, _UNKNOWN_SECONDS)
        self._away_until = 0.0
        self._trouble = ""

    def resolve(self, schema_id: int) -> str:
        """The Avro schema (JSON text) of an id, as `avro.Resolver`.

        Raises CodecError `unknown-schema` if the registry says that it has none, RegistryUnavailable if it is away.
        """
        with self._lock:
            text = self._texts.get(schema_id)
            if text is not None:
                return text
            if schema_id in self._unknown:
                raise _unknown(schema_id)
            if self._away_until > time.monotonic():
                raise RegistryUnavailable(self._trouble)
            try:
                text = self._fetched(schema_id)
            except CodecError:
                self._unknown[schema_id] = True
                raise
            except RegistryUnavailable as error:
                self._away_until, self._trouble = time.monotonic() + _AWAY_SECONDS, str(error)
                raise
            self._texts[schema_id] = text
            return text

    def _fetched(self, schema_id: int) -> str:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.error_code in _NO_SUCH_SCHEMA:
                raise _unknown(schema_id) from None
            raise _unavailable(error) from None
        except self._errors as error:
            raise _silent(error) from None
        if found.schema_type != "AVRO" or not found.schema_str:
            raise _unknown(schema_id)
        return str(found.schema_str)

    def framing(self, topics: Mapping[str, str]) -> Framing:
        """Framing for a writer of `topics` (topic -> name of its schema), by the ids of the current schemas.

        Raises RegistryError if one is not registered, RegistryUnavailable if that can't be told.
        """
        return Framing({name: self.id_of(topic, name) for topic, name in topics.items()})

    def id_of(self, topic: str, name: str) -> int:
        """The id of the current schema `name` under the topic's subject. Raises as `framing`."""
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            found = self._client.lookup_schema(subject_of(topic), _schema(avro.schema_json(name)))
        except SchemaRegistryError as error:
            if error.error_code in _NOT_REGISTERED:
                raise RegistryError(
                    f"subject {subject_of(topic)} of the schema registry has not the current schema {name}: run "
                    "`proventrail schemas register`"
                ) from None
            raise _unavailable(error) from None
        except self._errors as error:
            raise _silent(error) from None
        return int(found.schema_id)

    def register(self, topic: str, name: str) -> int:
        """Set the subject's compatibility, register every version of `name` in order; the id of the current one.

        Repeating it changes nothing. Raises RegistryError if the registry refuses one, RegistryUnavailable.
        """
        from confluent_kafka.schema_registry import ConfigCompatibilityLevel, SchemaRegistryError, ServerConfig

        subject, found = subject_of(topic), 0
        level = ServerConfig(compatibility=ConfigCompatibilityLevel[COMPATIBILITY])
        try:
            self._client.set_config(subject, level)
            for text in avro.history(name):
                found = self._client.register_schema(subject, _schema(text))
        except SchemaRegistryError as error:
            _refuse(subject, name, error)
        except self._errors as error:
            raise _silent(error) from None
        return found

    def accepts(self, topic: str, text: str) -> bool:
        """Whether the subject's rule lets the schema `text` follow all versions that are there; True where none is."""
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            return bool(self._client.test_compatibility_all_versions(subject_of(topic), _schema(text)))
        except SchemaRegistryError as error:
            if error.error_code in _NOT_REGISTERED:
                return True
            raise _unavailable(error) from None
        except self._errors as error:
            raise _silent(error) from None

    def close(self) -> None:
        self._client.close()


def _schema(text: str) -> Schema:
    from confluent_kafka.schema_registry import Schema

    return Schema(_compact(text), "AVRO")


def _unknown(schema_id: int) -> CodecError:
    return CodecError("unknown-schema", f"the schema registry has no Avro schema under the id {schema_id}")


def _unavailable(error: SchemaRegistryError) -> RegistryUnavailable:
    advice = {401: "set user and password", 403: "let this user read it", 404: "is its URL right?"}
    told = advice.get(error.http_status_code, "waiting for it")
    return RegistryUnavailable(f"the schema registry answers {error.http_status_code}: {told}")


def _silent(error: Exception) -> RegistryUnavailable:
    return RegistryUnavailable(f"the schema registry does not answer ({type(error).__name__})")


def _refuse(subject: str, name: str, error: SchemaRegistryError) -> NoReturn:
    if error.http_status_code in (409, 422):
        raise RegistryError(
            f"the schema registry does not take {name} for {subject} ({error.http_status_code}, code "
            f"{error.error_code}): a version of it that is there is not {COMPATIBILITY} with ours"
        ) from None
    raise _unavailable(error) from None
