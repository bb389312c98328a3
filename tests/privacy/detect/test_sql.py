"""Queries: literals are judged by themselves and by their columns; structure is never touched."""

from __future__ import annotations

import logging

import pytest

from proventrail.privacy.detect import Detector

DETECTOR = Detector()


def found(query: str, dialect: str = "") -> list[tuple[str, str]]:
    return [(query[span.start : span.end], span.kind) for span in DETECTOR.scan_sql(query, dialect)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM p WHERE nhs_number = '9434765919'", [("9434765919", "uk-nhs")]),
        ("SELECT * FROM p WHERE '9434765919' = nhs_number", [("9434765919", "uk-nhs")]),
        ("SELECT * FROM p WHERE n IN (1, 9434765919)", []),
        ("SELECT * FROM p WHERE nhs_number IN ('1', '9434765919')", [("9434765919", "uk-nhs")]),
        ("INSERT INTO p (id, nhs_number) VALUES (9434765919, '9434765919')", [("9434765919", "uk-nhs")] * 2),
        (
            "INSERT INTO p (id, dob) VALUES (1, '1980-02-29'), (2, '1981-03-01')",
            [("1980-02-29", "date-of-birth"), ("1981-03-01", "date-of-birth")],
        ),
        ("UPDATE p SET last_name = 'O''Brien' WHERE id = 7", [("O''Brien", "person-name")]),
        ("SELECT '1980-02-29' AS birth_date, '2024-11-24' AS dt", [("1980-02-29", "date-of-birth")]),
        ("SELECT * FROM p WHERE lower(first_name) = lower('Jane')", [("Jane", "person-name")]),
        ("UPDATE users SET password = 'pw' WHERE id = 1", [("pw", "password")]),
        ("SELECT 1 -- ask jane@example.com\nFROM t", [("jane@example.com", "email")]),
        ("SELECT email, ssn, phone FROM customers_jane", []),
        ('SELECT "jane@example.com" FROM t', []),
        ("SELECT * FROM t WHERE dt = '2024-11-24' AND amount > 4155552671", []),
        ("CREATE USER u IDENTIFIED BY 'pw123'", [("pw123", "password")]),
        ("CREATE USER u IDENTIFIED WITH sha256_password BY 'pw123'", [("pw123", "password")]),
        ("SELECT a FROM t GROUP BY 1 ORDER BY 2", []),
        ("SELECT $$ mail jane@example.com $$", [("jane@example.com", "email")]),
        ("not ( sql 'jane@example.com", [("jane@example.com", "email")]),
    ],
)
def test_literals(query: str, expected: list[tuple[str, str]]) -> None:
    assert found(query) == expected


def test_dialects_differ_in_their_quotes() -> None:
    query = 'SELECT * FROM t WHERE email = "jane@example.com"'
    assert found(query, "bigquery") == [("jane@example.com", "email")]
    assert found(query, "no such dialect") == []


def test_a_broken_query_still_has_its_columns() -> None:
    assert found("SELEC * FRM p WHRE last_name = 'Doe' AND ((") == [("Doe", "person-name")]


def test_the_parser_logs_no_query(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Detector().scan_sql("CREATE USER u IDENTIFIED BY 'geheim99'")
        Detector().scan_sql("ALTER SESSION SET x = 'geheim99' ((")
    assert "geheim99" not in caplog.text
