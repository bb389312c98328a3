"""The token: made once, for its owner only."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proventrail.gateway.auth import TOKEN_VARIABLE, TokenError, bearer_matches, ensure_token, read_token


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    token, created = ensure_token(tmp_path / "data")
    assert created
    assert len(token) >= 40
    assert ensure_token(tmp_path / "data") == (token, False)
    assert read_token(tmp_path / "data") == token
    path = tmp_path / "data" / "token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1
    assert os.listdir(tmp_path / "data") == ["token"]


def test_all_that_start_at_once_get_the_same_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: ensure_token(tmp_path), range(64)))
    assert len({token for token, _ in found}) == 1
    assert sum(created for _, created in found) == 1
    assert os.listdir(tmp_path) == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    ensure_token(tmp_path)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(TokenError, match="chmod 600"):
        ensure_token(tmp_path)


@pytest.mark.parametrize("content", ["", "short", "x" * 30 + " " + "y" * 30, "ü" * 40])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(TokenError) as caught:
        ensure_token(tmp_path)
    assert not content or content not in str(caught.value)


def test_a_token_of_the_environment_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "x" * 40)
    assert ensure_token(tmp_path / "data") == ("x" * 40, False)
    assert read_token(tmp_path / "data") == "x" * 40
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("given", ["", "short", "x" * 30 + " " + "y" * 30])
def test_a_token_of_the_environment_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, given)
    with pytest.raises(TokenError, match=TOKEN_VARIABLE) as caught:
        ensure_token(tmp_path)
    assert not given or given not in str(caught.value)


def test_a_link_in_the_place_of_the_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 43)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TokenError, match="plain file"):
        ensure_token(tmp_path)


def test_a_missing_token_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="start Proventrail once"):
        read_token(tmp_path)


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (b"Bearer secret-token", True),
        (b"bearer secret-token", True),
        (b"BEARER   secret-token ", True),
        (None, False),
        (b"", False),
        (b"Bearer", False),
        (b"Bearer ", False),
        (b"secret-token", False),
        (b"Basic secret-token", False),
        (b"Bearer secret-toke", False),
        (b"Bearer secret-token2", False),
        (b"Bearer secret-token x", False),
        (b"Bearer \xff\xfe", False),
    ],
)
def test_only_the_whole_token_as_bearer_passes(header: bytes | None, matches: bool) -> None:
    assert bearer_matches(header, b"secret-token") is matches
