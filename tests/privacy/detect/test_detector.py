"""The detector's contract: spans in characters, prefilter, kinds, overlaps."""

from __future__ import annotations

import base64

import pytest

from proventrail.privacy.detect import Detector
from proventrail.privacy.spans import KINDS, Span


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def found(detector: Detector, text: str, context: str = "") -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.kind) for span in detector.scan(text, context)]


def test_spans_are_characters_ascending_and_apart(detector: Detector) -> None:
    text = "née café ☕ jane@example.com, then bob@example.org"
    spans = detector.scan(text)
    assert spans == (Span(11, 27, "email"), Span(34, 49, "email"))


def test_invisible_and_full_width_characters_hide_nothing(detector: Detector) -> None:
    assert found(detector, "４１１１ １１１１ １１１１ １１１１") == [
        ("４１１１ １１１１ １１１１ １１１１", "credit-card")
    ]
    assert found(detector, "to ja\u200bne@exam\u00adple.com!") == [("ja\u200bne@exam\u00adple.com", "email")]


def test_the_name_of_the_field_counts_as_context(detector: Detector) -> None:
    assert found(detector, "943 476 5919") == []
    assert found(detector, "943 476 5919", "nhsNumber") == [("943 476 5919", "uk-nhs")]
    assert found(detector, "1980-01-02", "date_of_birth") == [("1980-01-02", "date-of-birth")]
    assert found(detector, "correct horse", "dbPassword") == [("correct horse", "password")]


def test_prefilter_says_no_only_where_nothing_is(detector: Detector) -> None:
    texts = ["plain words", "jane@example.com", "", "943 476 5919"]
    assert detector.may_hold(texts)[1] is True
    assert detector.may_hold(["", "plain words"]) == [False, False]
    assert detector.may_hold(["943 476 5919"], context="nhs") == [True]


def test_only_the_kinds_asked_for() -> None:
    text = "jane@example.com from 8.8.8.8"
    assert found(Detector({"email"}), text) == [("jane@example.com", "email")]
    with pytest.raises(ValueError, match=r"unknown kinds of finding: e-mail; known are: .*email"):
        Detector({"e-mail"})


def test_a_password_before_a_host_is_no_address(detector: Detector) -> None:
    assert found(detector, "postgres://app:hunter2@db.example.com:5432/shop") == [("hunter2", "uri-password")]
    assert found(Detector({"email"}), "postgres://app:hunter2@db.example.com:5432/shop") == []


def test_an_address_after_a_folder_is_one_and_a_kerberos_service_is_none(detector: Detector) -> None:
    def found(text: str) -> list[str]:
        return [text[span.start : span.end] for span in detector.scan(text)]

    assert found("file/ann.lee@corp.com") == ["ann.lee@corp.com"]
    assert found("HTTP/host.corp.com@CORP.COM") == found("hive/host.corp.com@corp.com") == []


def test_every_kind_is_described() -> None:
    assert all(kind.description and kind.name == name for name, kind in KINDS.items())


@pytest.mark.parametrize(
    "text", ["orders/{}/x", "file/{}", "START/{}", "composer:us/{}", "projects/a/unknown//{}/x", "spark/{}:csv"]
)
def test_an_address_in_a_path_is_found(detector: Detector, text: str) -> None:
    assert found(detector, text.format("ann.lee@corp.com")) == [("ann.lee@corp.com", "email")]


@pytest.mark.parametrize(
    "text", ["hive/node1.example.com@EXAMPLE.COM", "nn/host@REALM.ORG", "abfss://raw@account.example.com/x"]
)
def test_a_kerberos_service_and_a_container_are_no_addresses(detector: Detector, text: str) -> None:
    assert found(detector, text) == []


@pytest.mark.parametrize("version", ["52.140.22.90-beta1", "52.140.22.90-rc", "52.140.22.90+7a", "52.140.22.90-1a"])
def test_four_numbers_with_a_word_after_a_dash_are_a_version(detector: Detector, version: str) -> None:
    assert detector.scan(f"deployed {version} now") == ()
    assert [span.kind for span in detector.scan("client 52.140.22.90-52.140.22.99 refused")] == ["ip-public"] * 2


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_basic_credentials_are_found_in_either_charset(detector: Detector, charset: str) -> None:
    value = base64.b64encode("jörg:größe§".encode(charset)).decode()
    [span] = detector.scan(f"Authorization: Basic {value}")
    assert span.kind == "auth-header"
    assert detector.scan("Basic Operations of the cluster") == ()
