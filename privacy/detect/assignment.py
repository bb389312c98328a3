"""Secrets told by the name that they are assigned to: `password=…`, `api_key: "…"`, `<secret>…</secret>`."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from proventrail.privacy.detect.rule import LOOSE, Candidate, Rule, Scene

_WORDS = (
    "password|passwd|passwort|kennwort|passphrase|passcode|pwd|pass|pw|contrase.a|mot[_ ]de[_ ]passe|senha|wachtwoord|"
    "has[l\\xe0]o|l[o\\xf6]senord|salasana|heslo|passord|adgangskode|"
    "secret|token|api[_\\-. ]?key|access[_\\-. ]?key|auth[_\\-.]?key|private[_\\-.]?key|signing[_\\-.]?key|"
    "encryption[_\\-.]?key|fernet[_\\-.]?key|"
    "account[_\\-.]?key|shared[_\\-.]?key|master[_\\-.]?key|secret[_\\-.]?key|storage[_\\-.]?key|"
    "subscription[_\\-.]?key|credentials?|auth|bearer|sas"
)
_TRIGGER = _WORDS.replace(".a", "..?a")

TRIGGERS = {
    "assignment": (rf"(?i:(?:{_TRIGGER})[a-z0-9_.\-]*[\\\"'`\]]{{0,6}} {{0,3}}(?::=|=>|->|=|:|>))").encode("ascii"),
}

_NAME = re.compile(
    rf"(?P<name>(?<![A-Za-z0-9])[\w.\-]{{0,64}}?(?P<word>{_WORDS})(?P<suffix>[\w.\-]{{0,64}}?))"
    r"(?P<close>\\{0,3}[\"'`]?\]?|\\?\"?) {0,3}(?P<sign>:=|=>|->|={1,3}|:|>) {0,3}",
    re.IGNORECASE,
)
# Case-sensitive, on text in lower case: ten times as fast as `_NAME`, which then looks around the word alone.
_WORD = re.compile(_WORDS)
_LONGEST_PART = 64
_PASSWORD_WORDS = re.compile(
    r"pass|pwd?|kennwort|contrase|mot.de|senha|wachtwoord|has.o|l.senord|salasana|"
    r"heslo|adgangskode",
    re.IGNORECASE,
)
# `password_file`, `secret_name`, `token_type`, `tokens`: about a secret, but none.
_ABOUT = re.compile(
    r"^(?:ization|izer|izers|ized|ize|s\b(?!ecret)|s$|_?name|_?file|_?path|_?id$|_?type|_?field|"
    r"_?col(?:umn)?|_?count|_?ttl|_?expir\w*|_?len(?:gth)?|"
    r"_?policy|_?arn|_?ref|_?ur[li]|_?provider|_?version|_?min\w*|_?max\w*|_?limit|_?size|_?age|_?reset|_?env|_?var|"
    r"_?manager|_?scope\w*|_?store(?!pass)|_?location|_?endpoint|_?issuer|_?audience|_?required|_?enabled|_?valid\w*|"
    r"_?method|_?mode|_?class|_?alias|_?format|_?source|_?engine|_?backend|_?hint|_?status|_?error|_?failed|_?rate|"
    r"_?usage|_?used|_?budget|_?cost|_?index|_?pos\w*|_?bucket|ive\b|ed\b|ing\b|port|through|enger|or|ors|_?prefix|"
    r"_?last\w*|_?changed\w*|_?updated\w*|_?created\w*|_?rotat\w*|_?table|_?schema|_?database|_?kind|"
    r"_?key_?ref|_?duration\w*|_?interval\w*|"
    # `src/passwd.c: Added …`, `#include <pwd.h> and …`.
    r"[\w.\-]*\.(?:[ch]|cc|cpp|def|py|java|xml|html?|md|sh|js|ts|go|rs|txt|[1-8])$)",
    re.IGNORECASE,
)
_ABOUT_BEFORE = re.compile(
    r"(?:^|[_.\-])(?:max|min|num|n|total|prompt|completion|input|output|next|page|continuation|sync|"
    r"special|pad|eos|bos|"
    r"unk|cls|sep|mask|stop|cursor|no|by|com|with|without|has|is|require[sd]?|use|cached|reasoning|"
    r"new)[_.\-]?$|bypass$|compass$|surpass$|trespass$|overpass$|encompass$|multipass$|singlepass$",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"^(?:[*•x#.\-_]{2,}|\**|<[^>]*>?|\$\{[^}]*\}?|\$\([^)]*\)?|\{\{.*|\{[\w.\-]*\}?|%\(?\w*\)?s?|\?|"
    r":[a-z_]\w*|@[A-Za-z_]\w*|\$[A-Z_][A-Z0-9_]*|\$\d|"
    r"\[?(?:redacted|masked|hidden|filtered|removed|secret|sensitive|protected|omitted)\]?|<?(?:none|null|"
    r"nil|undefined|true|false|yes|no|empty|n/a|na)>?|"
    r"(?:string|str|text|varchar\(?\d*\)?|char|bytes|binary|int|integer|bigint|boolean|bool|number|float|"
    r"double|object|array|any|optional.*|required|secretstr|"
    r"longtext|unknown|default|encrypted)|"
    r"(?:os\.|env\(|env\.|env_var|getenv|getpass|process\.env|self\.|config\.|settings\.|conf\.|vars?\.|"
    r"var\(|secrets\.|dbutils\.|"
    r"vault:|ssm:|secretsmanager|arn:aws|projects/|ref\+|kv:|op://|akv:|@microsoft\.keyvault|"
    r"aws_secretsmanager|lookup\().*|"
    r"(?:your|my|some|the|a|insert|enter|change)[_\- ](?:password|passwd|pwd|secret|token|key|api).*|"
    r"pass(?:word)?s?|passwd|pwd|token|api[_-]?key)$",
    re.IGNORECASE | re.DOTALL,
)
PASSWORD_LAST = re.compile(r"(?:passphrase|password|passwd)$", re.IGNORECASE)
"""`private_key_passphrase`."""
_MENTIONED = re.compile(r"[A-Za-z]*_\w*(?:password|passwd|pwd)[A-Za-z_]*|[A-Z]+_(?:PASSWORD|PASS|PWD)", re.IGNORECASE)
"""`password=ssl_key_password`: the name of a variable."""
PROSE = re.compile(
    r"(?:is|was|are|has|have|had|must|should|can|cannot|could|will|would|may|not|no|for|from|to|of|in|on|"
    r"at|by|the|a|an|and|or|"
    r"incorrect|invalid|wrong|missing|required|empty|expired|failed|failure|changed|reset|authentication|"
    r"mismatch|does|did|do|"
    r"too|contains?|provided|supplied|given|set|unset|auth|field|column|policy|prompt|as|with|without|"
    r"when|if|you|your|please|"
    r"user|users|login|error|denied|rejected|unexpected|end|near|stored|hashed|encrypted|enabled|disabled|"
    r"optional|only|"
    r"access|request|response|refresh|check|checked|ok|success|successful|valid|verified|verification|found|expires?|"
    r"generated|created|updated|deleted|removed|rotated|none|null|it|this|that|also|never|always|still|"
    r"same|different)\b",
    re.IGNORECASE,
)


_BLANK = re.compile(
    r"^(?:[*•x#.\-_]{2,}|\**|<[^>]*>?|\$\{[^}]*\}?|\$\([^)]*\)?|\{\{.*|\{[A-Za-z_][\w.\-]*\}|%\(\w*\)s|%s|"
    r"\?|\$[A-Z_][A-Z0-9_]*|"
    r"%3C.*%3E|\[?(?:redacted|masked|hidden|filtered|removed|omitted)\]?)$",
    re.IGNORECASE | re.DOTALL,
)


def is_blank(value: str) -> bool:
    """Whether the place of a secret in a URI is left open: `***`, `${PASSWORD}`. Any word is a secret there."""
    return _BLANK.match(value.strip()) is not None


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a secret but is none: `***`, `${PASSWORD}`, `null`, a reference to a vault."""
    return _PLACEHOLDER.match(value.strip().strip("\"'`")) is not None


def entropy(value: str) -> float:
    """Bits per character (Shannon) of a non-empty value."""
    length = len(value)
    return -sum(count / length * math.log2(count / length) for count in Counter(value).values())


def is_random(value: str) -> bool:
    """Whether a value looks made by a generator: letters and digits mixed, long and uneven enough to be a key."""
    if len(value) < 8 or not any(char.isdigit() for char in value) or not any(char.isalpha() for char in value):
        return False
    if len(value) < 16:
        if re.search(r"[-_./:]", value) and sum(char.isdigit() for char in value) <= 2 and value.islower():
            return False
        return entropy(value) >= 2.75 and re.fullmatch(r"[a-z]+[_\-]?\d{1,4}", value) is None
    words = re.findall(r"[A-Za-z]{4,}", value)
    # `orders-daily-2024`: words and one number are a name.
    separated = re.fullmatch(r"[a-z]+\d?(?:[_\-./:][a-z]*\d{0,8}[a-z]?)*", value, re.IGNORECASE)
    if separated and words and sum(map(len, words)) > len(value) * 0.5 and all(word.islower() for word in words):
        return False
    return entropy(value) >= 3.0


def _value(text: str, start: int, sign: str, outer: str) -> tuple[int, int] | None:
    """Where the value that begins at `start` stands, without its quotes."""
    opening = re.compile(r"\\{0,3}(?:[rbuf]{0,2}(?P<q>[\"'`]))").match(text, start)
    if opening is not None:
        mark = opening[0].lstrip("rbuf") if not opening[0].startswith("\\") else opening[0]
        begin = opening.end()
        end = _closing(text, begin, mark)
        return (begin, end) if end > begin else None
    if sign == ">":
        end = text.find("<", start, start + 512)
        return (start, end) if end > start else None
    stop = re.compile(r"[^\s\"'`<>|]{1,1024}" if outer in "\"'`" and outer else r"[^\s\"`<>|]{1,1024}").match(
        text, start
    )
    if stop is None:
        return None
    value = stop[0]
    if "'" in value and text.count("'", 0, start) % 2:
        # The text around the assignment is quoted and ends here.
        value = value[: value.index("'")]
    # A comma ends the value where another entry follows.
    following = re.search(r"[,;&](?=$|\s|\\?[\"']|[A-Za-z_][\w.\-]{0,40}\s?[=:])", value)
    if following:
        value = value[: following.start()]
    for close, opened in ((")", "("), ("}", "{"), ("]", "[")):
        while value.endswith(close) and value.count(opened) < value.count(close):
            value = value[:-1]
    value = value.rstrip("\\").rstrip(",")
    if value.endswith(".") and len(value) > 1:
        value = value[:-1]
    return (start, start + len(value)) if value else None


def _closing(text: str, begin: int, mark: str) -> int:
    """Position of the closing quote, or the end of the line: a cut-off text has none."""
    limit = begin + 1024
    position = begin
    while (found := text.find(mark, position, limit)) >= 0:
        escapes = len(text[:found]) - len(text[:found].rstrip("\\")) if len(mark) == 1 else 0
        if escapes % 2 == 0:
            return found
        position = found + 1
    line = text.find("\n", begin, limit)
    return line if line >= 0 else min(len(text), limit)


def _assignments(scene: Scene) -> Iterator[Candidate]:
    text = scene.text
    position = 0
    while (word := _WORD.search(scene.lower, position)) is not None:
        begin, position = max(position, word.start() - _LONGEST_PART - 1), word.end()
        match = _NAME.search(text, begin, position + _LONGEST_PART + 16)
        if match is None:
            continue
        position = match.end("word")
        found = _value(text, match.end(), match["sign"], match["close"][-1:])
        # `arn:…:secret:name` names a secret; in `https://x-access-token:…@host` the word is the user of a URI.
        named = _IN_ARN.search(text, max(0, match.start() - 200), match.start("word")) is not None
        if found is None or named or text[: match.start()].endswith(("://", ":\\/\\/")):
            continue
        start, end = found
        kind = _judged(match, text, start, end)
        if kind is not None:
            yield Candidate(start, end, kind, LOOSE + 5)
            position = end


def _judged(match: re.Match[str], text: str, start: int, end: int) -> str | None:
    """Kind of the secret that an assignment holds, `None` if it holds none."""
    name, word, value = match["name"], match["word"].lower(), text[start:end]
    before = name[: match.start("word") - match.start("name")]
    quoted = text[start - 1 : start] in ("'", '"', "`")
    if _ABOUT.match(match["suffix"]) or _ABOUT_BEFORE.search(before) or is_placeholder(value):
        return None
    if word == "pw" and (match["suffix"][:1].isalpha() or before[-1:].isalpha()):
        return None
    # `renesas:`, `bypass=`: the end of another word.
    if word in ("pass", "sas", "auth") and before[-1:].isalpha() and match["word"][0].islower():
        return None
    if (
        word == "pass"
        and not before
        and match["sign"] == ":"
        and not quoted
        and _is_verdict(match["word"], value, text, end)
    ):
        return None
    if value.startswith(("//", "\\/")) or (not quoted and re.fullmatch(r"[A-Za-z_][\w.]*\([\w.,]*\)?", value)):
        return None
    if _PASSWORD_WORDS.match(word) or PASSWORD_LAST.search(match["suffix"]):
        return "password" if _is_password(match, value, quoted, end) else None
    if word in ("auth", "bearer", "sas") and match["suffix"]:
        return None
    if not _is_key(value, quoted) and not _is_plain_key(match, value):
        return None
    return kind_by_name(name) or "secret"


def _is_verdict(word: str, value: str, text: str, end: int) -> bool:
    """Whether `PASS: …` tells that a test passed: more text follows, or the name of a test."""
    if re.match(r"[ \t]+\S", text[end : end + 8]) or value.endswith(":"):
        return True
    return not any(map(str.isalpha, value)) or "/" in value or (word.isupper() and not any(map(str.isdigit, value)))


def kind_by_name(name: str) -> str | None:
    """`aws-key` or `azure-key` where the name of a secret says whose it is."""
    lower = name.lower()
    if re.search(r"(?:aws|s3[a-z]?)\b.*(?:key|secret|token)|aws.*(?:key|session_?token)", lower) or re.search(
        r"secret[_\-.]?access[_\-.]?key", lower
    ):
        return "aws-key"
    return "azure-key" if re.search(r"account[_\-.]?key|shared[_\-.]?access[_\-.]?key|azure", lower) else None


def _is_password(match: re.Match[str], value: str, quoted: bool, end: int) -> bool:
    word = match["word"].lower()
    if word == "pass" and not quoted and (value.isdigit() or len(value) < 4):
        return False
    if not quoted and (_MENTIONED.fullmatch(value) or (value.isdigit() and len(value) < 4) or match[0].endswith("->")):
        # A variable, a number that counts, a field of a structure (`pwd->pw_name`).
        return False
    if word == "pwd" and re.fullmatch(r"~?/[\w./\-]*", value):
        # The working directory of a shell.
        return False
    if quoted or match["sign"] in ("=", ">", ":="):
        # A comparison in code with an identifier, as in a join: `a.password = b.password`.
        return re.fullmatch(r"[A-Za-z_]\w*\.[A-Za-z_]*(?:pass|pwd)\w*", value, re.IGNORECASE) is None and (
            quoted or not value.startswith("=")
        )
    goes_on = (value.isalpha() or value[0] == "(") and re.match(r" {1,2}[a-z(]", match.string[end : end + 3])
    return not (PROSE.match(value) or goes_on or _CODE.fullmatch(value) or _TYPE.fullmatch(value)) and len(value) > 1


def _is_plain_key(match: re.Match[str], value: str) -> bool:
    """A key of one alphabet (`deadbeef…`, twenty digits), or a short one, where the name leaves no doubt."""
    if match["suffix"] or not value.isalnum() or match["sign"] not in ("=", ":=", ":"):
        return False
    short = "secret" in match["word"].lower() and len(value) >= 6 and not (value.isalpha() or value.isdigit())
    named = match["name"].lower() != "token" or match["sign"] == "="
    return short or (named and len(value) >= 16 and re.fullmatch(r"[0-9a-fA-F]+", value) is not None)


_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(.*)?|[A-Za-z_]\w*[(\[].*", re.DOTALL)
"""`values[1]`, `self.token.decode('utf-8')`: an expression, not the secret itself."""

_TYPE = re.compile(r"(?:[A-Z][a-z]+){2,}")
"""`password: SecretStr`: a type."""


def _is_key(value: str, quoted: bool) -> bool:
    if re.search(r"\s", value) or (not quoted and (value[0] in "([{" or _CODE.fullmatch(value))):
        return False
    if is_random(value):
        return not re.match(r"(?:https?|s3|gs|file|jdbc|arn|/)[:/]", value)
    return quoted and len(value) >= 20 and value.isalpha() and not value.islower() and entropy(value) >= 3.5


_IN_ARN = re.compile(r"\barn:[^\s\"']*\Z")


def _by_field(scene: Scene) -> Iterator[Candidate]:
    """The whole value of a field or column that is named as a secret."""
    text = scene.text.strip()
    start = scene.text.find(text)
    if not text or is_placeholder(text) or _about_field(scene.context):
        return
    if scene.named("password") and "\n" not in text and len(text) <= 256:
        yield Candidate(start, start + len(text), "password", LOOSE)
    elif scene.named("secret") and _is_key(text, quoted=True):
        yield Candidate(start, start + len(text), kind_by_name(scene.context) or "secret", LOOSE)


def _about_field(name: str) -> bool:
    match = None
    for match in re.finditer(rf"({_WORDS})", name, re.IGNORECASE):  # noqa: B007
        pass
    if match is None:
        return False
    return bool(_ABOUT.match(name[match.end() :]) or _ABOUT_BEFORE.search(name[: match.start()]))


RULES = (
    Rule(("password", "secret", "aws-key", "azure-key"), ("assignment",), _assignments),
    Rule(("password", "secret", "aws-key", "azure-key"), ("field:password", "field:secret"), _by_field),
)
