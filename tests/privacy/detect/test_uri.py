"""URIs, data sources and connection strings: the secret goes, all else stays."""

from __future__ import annotations

import pytest

from proventrail.privacy.detect import Detector

DETECTOR = Detector()


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        ("postgres://u:p@h:5432/db", ["p"]),
        ("postgres://u:p@ss@h/db", ["p@ss"]),
        ("postgres://u:p/w@h/db", ["p/w"]),
        ("postgres://u:a#b?c@h/db", ["a#b?c"]),
        ("postgres://u:p%40ss@h/db?sslmode=require", ["p%40ss"]),
        ("postgres://u:pass word@h/db", ["pass word"]),
        ("redis://:p@h", ["p"]),
        ("http://[::1]:8080/x", []),
        ("http://u:p@[::1]:8080/x", ["p"]),
        ("postgres://u@h/db", []),
        ("postgres://h:5432/db", []),
        ("postgres://u:@h/db", []),
        ("postgres://u:password@h/db", ["password"]),
        ("postgres://u:${PW}@h/db", []),
        ("abfss://raw@acme.dfs.core.windows.net/x", []),
        ("jdbc:sqlserver://h;user=u;password={a;b}", ["{a;b}"]),
        ("jdbc:postgresql://h/db?user=u&password=x&ssl=true", ["x"]),
        ("jdbc:oracle:thin:scott/tiger@//h:1521/s", ["tiger"]),
        ("scott/tiger@h:1521/XE", ["tiger"]),
        ("u:p@tcp(h:3306)/db", ["p"]),
        ("Server=h;Uid=u;Pwd=x y;Database=d", ["x y"]),
        ("https://h/p?sig=abc123DEF456&se=2026", ["abc123DEF456"]),
        ("https://h/p?sort_key=id&page_token=2", []),
        ("https://h/p?email=jane%40example.com", []),
        ("mysql://root:ü@h/db", ["ü"]),
    ],
)
def test_secrets_of_uris(uri: str, secrets: list[str]) -> None:
    assert [uri[span.start : span.end] for span in DETECTOR.scan_uri(uri)] == secrets


@pytest.mark.parametrize("before", ["", "at ", "url=", '"', "('", "see <", '\\"uri\\":\\"'])
@pytest.mark.parametrize("after", ["", " failed", '"', "')", ">", ", retry", "\\n"])
def test_uris_inside_text(before: str, after: str) -> None:
    text = f"{before}postgres://app:s3cr3t/x@db.internal:5432/shop{after}"
    assert [text[span.start : span.end] for span in DETECTOR.scan(text)] == ["s3cr3t/x"]
