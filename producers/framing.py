"""How an emitter frames: by the registry's id once the registry has told it, and until then as single objects.

Readers take both framings, so nothing waits for the registry: neither the first event nor, while it is away, any.
"""

from __future__ import annotations

import logging
import threading

from proventrail.schemas.avro import SINGLE_OBJECT, Framing
from proventrail.schemas.registry import RegistryError, SchemaRegistry
from proventrail.schemas.settings import SchemaRegistrySettings

log = logging.getLogger("proventrail.producers")

_SCHEMA = "lineage_event"
_BACK_OFF_SECONDS = (1, 2, 5, 10, 30)


class LearnedFraming:
    """The framing of the events of `topic`; a thread of its own asks until it is known, or until `closing` is set."""

    def __init__(self, settings: SchemaRegistrySettings, topic: str, closing: threading.Event) -> None:
        self._settings = settings
        self._topic = topic
        self._closing = closing
        self.current: Framing = SINGLE_OBJECT

    def learn(self) -> None:
        """Begin to ask; returns at once."""
        threading.Thread(target=self._ask, name="proventrail-schema-registry", daemon=True).start()

    def _ask(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                registry = SchemaRegistry(self._settings)
                try:
                    self.current = registry.framing({self._topic: _SCHEMA})
                finally:
                    registry.close()
                return
            except RegistryError as error:
                if attempt == 0:
                    log.warning("%s; until then lineage events are Avro single objects, which are read too", error)
                self._closing.wait(_BACK_OFF_SECONDS[min(attempt, len(_BACK_OFF_SECONDS) - 1)])
                attempt += 1
