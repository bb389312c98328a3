"""Canaries: personal data and secrets, each unlike any other, so that one that leaks names the place it was planted in.

`Planter` plants them into OpenLineage events; `Grep` finds them again in bytes, in clear or encoded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from urllib.parse import unquote_to_bytes

from stdnum import luhn
from stdnum.iban import calc_check_digits

Json = dict[str, Any]

_LETTERS = str.maketrans("0123456789", "ABCDEFGHIJ")


def _word(n: int) -> str:
    return f"zqcanary{n:06d}"


def _card(n: int) -> str:
    body = f"49297731{n:06d}3"
    return body + luhn.calc_check_digit(body)


def _iban(n: int) -> str:
    body = f"500105177731{n:06d}"
    return f"DE{calc_check_digits('DE00' + body)}{body}"


def _jwt(n: int) -> str:
    payload = base64.urlsafe_b64encode(b'{"sub":"%s"}' % _word(n).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{payload}.{_word(n)}SflKxwRJSMeKKF2QT4fwpMeJf36P"


@dataclass(frozen=True)
class Kind:
    """How a canary is written (`forms`, by number, in turn), and what of it must be nowhere: `core`."""

    name: str
    core: Callable[[int], str]
    forms: tuple[Callable[[int], str], ...]


def _kind(name: str, core: Callable[[int], str], *forms: Callable[[int], str]) -> Kind:
    return Kind(name, core, forms)


def _aws(n: int) -> str:
    return f"AKIAZQCANARY{n:08d}".translate(_LETTERS)


KINDS = (
    _kind(
        "email",
        _word,
        lambda n: f" {_word(n)}.lee@corp.com",
        lambda n: f"/{_word(n)}@corp.com/x",
        lambda n: f" owner={_word(n)}@mail.example.net.",
        lambda n: f" Ann Lee <{_word(n)}@corp.co.uk>",
    ),
    _kind("home-user", _word, lambda n: f" /home/{_word(n)}/w", lambda n: f" C:\\Users\\{_word(n)}\\w"),
    _kind("credit-card", lambda n: f"49297731{n:06d}", lambda n: f" card {_card(n)}", lambda n: f", {_card(n)}."),
    _kind("iban", lambda n: f"500105177731{n:06d}", lambda n: f" {_iban(n)}", lambda n: f", IBAN: {_iban(n)}"),
    _kind("phone", lambda n: f"1212731{n:04d}", lambda n: f" +1212731{n:04d}", lambda n: f" tel:+1212731{n:04d};"),
    _kind(
        "uri-password",
        _word,
        lambda n: f" postgresql://app:{_word(n)}@db.corp.com:5432/shop",
        lambda n: f" jdbc:mysql://db:3306/x?user=app&password={_word(n)}",
    ),
    _kind("aws-key", lambda n: _aws(n).lower(), lambda n: f" {_aws(n)}", lambda n: f" key={_aws(n)}"),
    _kind("github-token", _word, lambda n: f" ghp_{_word(n)}kR7tLwX2mQ9sVb4nHc8dYf"),
    _kind("jwt", _word, lambda n: f" {_jwt(n)}", lambda n: f" Bearer {_jwt(n)}"),
)
"""Structured kinds that are claimed, found alone."""

NUMBERS = _kind("credit-card as a JSON number", lambda n: f"49297731{n:06d}", _card)

_STEMS = (b"zqcanary", b"akiazqcanary", b"49297731", b"500105177731", b"1212731")
"""How the cores of canaries begin."""
_CORE = re.compile(rb"akiazqcanary[a-z]{8}|zqcanary\d{6}|49297731\d{6}|500105177731\d{6}|1212731\d{4}")

FIXED = frozenset({"eventTime"})
"""What must parse, or the event is refused; it can hold no canary."""
COUNTS = re.compile(r"\.dataQualityMetrics\.columnMetrics\.\w+\.(?:nullCount|distinctCount|count)$")
"""Numbers that hold no canary: the shipped policy keeps them unseen, because they say how many and not what."""
_FIRST = 100
_FACETS = ("facets", "inputFacets", "outputFacets")


class Planter:
    """Plants canaries and remembers where. `planted`: core, in lower case -> kind and place."""

    def __init__(self, kinds: tuple[Kind, ...] = KINDS, turn: int = 0) -> None:
        self.planted: dict[bytes, str] = {}
        self._kinds = cycle(kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)])
        self._counts: dict[str, int] = {}

    def _number(self, group: str) -> int:
        self._counts[group] = self._counts.get(group, _FIRST) + 1
        return self._counts[group]

    def text(self, place: str) -> str:
        """A new canary, as it may follow any text."""
        return self.of(next(self._kinds), place)

    def of(self, kind: Kind, place: str) -> str:
        """A new canary of a kind."""
        group = kind.core(0).rstrip("0123456789").lower() or kind.core(0)
        n = self._number(group)
        core = kind.core(n).encode()
        assert core not in self.planted
        self.planted[core] = f"{kind.name} in {place}"
        return kind.forms[n % len(kind.forms)](n)

    def number(self, place: str) -> int:
        """A new canary that is a number."""
        return int(self.of(NUMBERS, place))

    def event(self, event: Json, name: str) -> Json:
        """An OpenLineage event with canaries behind every string, in place of every number in facets, in a facet and a
        property more of every object."""
        return self._core(event, name)

    def _core(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            made = {key: self._member(key, item, f"{path}.{key}") for key, item in value.items()}
            return {
                **made,
                f"x{self.text(path + '.(name of a property)')}": {"v": self.text(path + ".(property).v")[1:]},
            }
        if isinstance(value, list):
            return [self._core(item, f"{path}[]") for item in value]
        return value + self.text(path) if isinstance(value, str) else value

    def _member(self, key: str, value: Any, path: str) -> Any:
        if key in FIXED:
            return value
        if key in _FACETS and isinstance(value, dict):
            facets = {name: self._facet(facet, f"{path}.{name}") for name, facet in value.items()}
            return {**facets, f"x{self.text(path + '.(name of a facet)')}": {"note": self.text(path + ".(facet).note")}}
        return self._core(value, path)

    def _facet(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            renamed = path.endswith(".columnLineage.fields")
            made = {
                key + (self.text(f"{path}.(name of a column)") if renamed else ""): self._facet(item, f"{path}.{key}")
                for key, item in value.items()
            }
            if not renamed:
                made[f"x{self.text(path + '.(name)')}"] = [self.text(path + ".(value)[]")]
                made["ref"] = self.number(path + ".ref")
            return made
        if isinstance(value, list):
            return [self._facet(item, f"{path}[]") for item in value]
        if isinstance(value, str):
            return value + self.text(path)
        if isinstance(value, int | float) and not isinstance(value, bool) and COUNTS.search(path) is None:
            return self.number(path)
        return value


# -- finding them again ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """A way to write text. `decode` gets what begins with an encoded stem (`backwards`: ends with it), and the stem."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes, bytes], bytes]
    backwards: bool = False
    keeps_case: bool = True
    """Whether the encoded text tells lower from upper case."""
    as_written: bool = False
    """Whether the case of the encoded text counts."""


def _base64(shift: int) -> _Form:
    """Base64 of a text in which the stem begins `shift` bytes after a boundary of three."""
    lead = shift + 1 if shift else 0

    def encode(stem: bytes) -> bytes:
        # The characters that the stem alone decides.
        return base64.b64encode(b"\0" * shift + stem)[lead : (shift + len(stem)) * 8 // 6]

    def decode(data: bytes, stem: bytes) -> bytes:
        run = re.match(rb"[A-Za-z0-9+/_-]*", data)
        text = b"A" * lead + (run[0] if run else b"").replace(b"-", b"+").replace(b"_", b"/")
        # Of the first byte some bits stand in a character before.
        return stem[:1] + base64.b64decode(text + b"A" * (-len(text) % 4))[shift + 1 :]

    return _Form(f"Base64 +{shift}", encode, decode, as_written=True)


def _utf16(order: str) -> _Form:
    def encode(stem: bytes) -> bytes:
        return stem.decode().encode(f"utf-16-{order}")

    return _Form(f"UTF-16-{order}", encode, lambda d, s: d.replace(b"\0", b""), keeps_case=False)


def _unhex(data: bytes, stem: bytes) -> bytes:
    run = re.match(rb"(?:[0-9a-f]{2})*", data)
    return bytes.fromhex(run[0].decode() if run else "")


def _unescape(data: bytes, stem: bytes) -> bytes:
    return re.sub(rb"\\u00([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), data)


_FORMS = (
    _Form("clear", lambda s: s, lambda d, s: d, keeps_case=False),
    _Form("URL-encoded", lambda s: b"".join(b"%%%02x" % c for c in s), lambda d, s: unquote_to_bytes(d)),
    _Form("JSON-escaped", lambda s: b"".join(b"\\u%04x" % c for c in s), _unescape),
    _Form("hex", lambda s: s.hex().encode(), _unhex),
    _utf16("le"),
    _utf16("be"),
    _Form("reversed", lambda s: s[::-1], lambda d, s: d[::-1], backwards=True, keeps_case=False),
    _Form(
        "reversed UTF-16",
        lambda s: s.decode().encode("utf-16-le")[::-1],
        lambda d, s: d[::-1].replace(b"\0", b""),
        backwards=True,
        keeps_case=False,
    ),
    *(_base64(shift) for shift in range(3)),
)
_AROUND = 200


class Grep:
    """Looks for canaries; `planted` as `Planter` has it."""

    def __init__(self, planted: dict[bytes, str]) -> None:
        self._planted = planted

    def __call__(self, data: bytes, where: str) -> list[str]:
        """What leaked: kind and place of the canary, the form it has, and `where`. Sorted."""
        lower = data.lower()
        found = {
            f"{self._planted[core]}: {form.name} in {where}"
            for form in _FORMS
            for stem in dict.fromkeys([*_STEMS, *(s.upper() for s in _STEMS if form.keeps_case)])
            for core in self._cores(data if form.as_written else lower, form, stem)
            if core in self._planted
        }
        return sorted(found)

    def _cores(self, text: bytes, form: _Form, stem: bytes) -> Iterator[bytes]:
        pattern = form.encode(stem)
        at = text.find(pattern)
        while at >= 0:
            around = text[max(0, at - _AROUND) : at + len(pattern)] if form.backwards else text[at : at + _AROUND]
            yield from _CORE.findall(form.decode(around, stem).lower())
            at = text.find(pattern, at + 1)
