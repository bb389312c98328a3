"""ACLs: without an authorizer a producer cannot be named. What they allow is tested with the production set-up."""

from __future__ import annotations

import pytest

from proventrail.schemas.settings import KafkaSettings
from proventrail.streaming.access import allow
from proventrail.streaming.admin import TopicError


def test_a_cluster_without_an_authorizer_says_so(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(TopicError, match=r"User:shop could not be allowed to write .*: SECURITY_DISABLED"):
        allow(kafka_settings, {"producer": ["User:shop"]})


def test_without_names_nothing_is_asked(kafka_settings: KafkaSettings) -> None:
    allow(kafka_settings, {"producer": (), "sink": ()})
