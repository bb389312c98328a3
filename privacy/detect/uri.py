"""Secrets in URIs: the password of the user part, secret parameters, and data sources written without a scheme."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proventrail.privacy.detect.assignment import entropy, is_blank, is_placeholder, is_random, kind_by_name
from proventrail.privacy.detect.rule import SECRET, Candidate, Rule, Scene

TRIGGERS = {
    "user-info": rb":(?:\\?/){2}[^\s]+(?:@|%40)|//[^\s/@]*:[^\s@]+@",
    "bare-user-info": rb"(?i:%3a%2f%2f|(?:jdbc:oracle:[a-z]+[0-9]?|sqlplus|expdp|impdp|sqlldr|connect|conn|imp|exp|"
    rb"userid)[ =:\"'\t\n]{1,2}[a-z][a-z0-9_$#\[\]]*/[^@]+@)|"
    rb"[A-Za-z0-9_][:/][^\s@]+@(?://)?(?:[A-Za-z0-9][A-Za-z0-9_.\-\xa1-\xff]*(?::[0-9]{2,5}(?:[^0-9A-Za-z_."
    rb"]|$)|/[A-Za-z_])|tcp\(|unix\()",
    "uri-parameter": rb"(?i:(?:[?&;,(#]|%26|%3f|u0026)(?:amp;)?[a-z0-9_.\-]{0,40}(?:passw|pwd|pass|passphrase|passcode|"
    rb"token|secret|sig|signature|key|keyid|auth|credential|sessionid|code|appid|app_id)[a-z0-9_.\-]{0,12}(?:=|%3d))",
}

_URI = re.compile(
    r"(?:(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-:]{0,40}?:|(?<![:\w/\\]))\\?/\\?/(?P<rest>[^\s\"<>`]{1,2000})"
)
_WHOLE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.\-:]{0,40}?:)?\\?/\\?/(?P<rest>.+)", re.DOTALL)
_HOST = re.compile(r"(?:[\w.\-]{1,253}|\[[0-9A-Fa-f:.%\w]{2,60}\]|\(|tcp\(|%\w\w)")
_PORT = re.compile(r"\d{0,5}")
_LIKE_A_TOKEN = 16


def _user_infos(scene: Scene, whole: bool = False) -> Iterator[Candidate]:
    for match in (_WHOLE if whole else _URI).finditer(scene.text):
        rest, offset = match["rest"], match.start("rest")
        found = _user_info(rest)
        if found is not None:
            start, end = found
            yield Candidate(offset + start, offset + end, "uri-password", SECRET - 1)


def _user_info(rest: str) -> tuple[int, int] | None:
    """Where the password (or the token in place of a user) stands in what follows `://`; `None` without one."""
    if rest.startswith("%") and "%3A" in rest[:3].upper():
        return None
    at = _end_of_user_info(rest)
    if at < 1:
        return None
    user, colon, password = rest[:at].partition(":")
    if not colon and (escaped := re.search("%3A", user, re.IGNORECASE)) and "%40" not in user[: escaped.start()]:
        user, colon, password = user[: escaped.start()], escaped[0], user[escaped.end() :]
    if colon:
        start = len(user) + len(colon)
        return (start, at) if password and not is_blank(password) else None
    # A token instead of a user; a container or a user name is short or made of words.
    if len(user) >= _LIKE_A_TOKEN and "." not in user and (is_random(user) or _is_mixed(user)):
        return 0, at
    return None


def _is_mixed(user: str) -> bool:
    return user.isalnum() and not user.isalpha() and not user.isdigit() and entropy(user) >= 2.5


def _end_of_user_info(rest: str) -> int:
    """Position of the `@` before the host, or -1. Passwords are met with raw `/`, `?`, `#` and `@` in them."""
    authority = len(re.split(r"[/?#\\]", rest, maxsplit=1)[0])
    at = rest.rfind("@", 0, authority)
    if at >= 0 and _HOST.match(rest, at + 1):
        # `u:p@a/ss@host/db`: what follows the first @ has no dot and no port, and a host follows the next one.
        later = re.compile(r"[^@\s/]{1,64}/[^@\s?]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})*:\d{2,5}(?:/|$)").match(
            rest, at + 1
        )
        return later.end() - len(later[0].rpartition("@")[2]) - 1 if later and ":" in rest[:at] else at
    colon = rest.find(":", 0, authority)
    if colon < 0:
        return _escaped_at(rest, authority)
    port = _PORT.match(rest, colon + 1)
    if port is not None and port.end() == authority and port.end() > colon + 1:
        return -1
    # No @ before the path: the password holds the slash (`u:p/w@host`) if a host follows a later @.
    for later_at in reversed([found.start() for found in re.finditer("@", rest[:600])]):
        if later_at > colon and _HOST.match(rest, later_at + 1):
            return later_at
    return _escaped_at(rest, authority)


def _escaped_at(rest: str, authority: int) -> int:
    """A user part whose own signs are escaped: `u%3Ap%40host`, as in a URI that is a parameter of another one."""
    found = re.match(
        r"[\w.\-]{1,64}(?::|%3A)[^@/\s%]{1,128}(?P<at>%40)[\w.\-]{1,253}(?:%3A|%2F|:|/|$)", rest, re.IGNORECASE
    )
    return found.start("at") if found else -1


_BARE = re.compile(
    r"(?<![\w/:@.+\-])(?P<user>[A-Za-z][\w.\-+]{0,63})(?P<sep>[:/])(?!/)(?P<password>[^\s@/\"'<>,;(){}]{1,"
    r"128}|[^\s:@\"'<>,;(){}]{1,128})@"
    r"(?://)?(?:(?P<host>[A-Za-z][\w.\-]{0,252}|\d{1,3}(?:\.\d{1,3}){3}):\d{2,5}(?![\w.])|(?:tcp|unix)\(|"
    r"(?P<path>[A-Za-z][\w\-]{0,62}(?:\.[\w\-]{1,63}){1,6})/[A-Za-z_])"
)
_WORDS_FOR_MAIL = frozenset(
    "mailto email mail e-mail from to cc bcc sip sips xmpp acct https http ssh sha256 pkg jdbc urn arn "
    "oracle thin".split()
)
_NOT_USERS = _WORDS_FOR_MAIL | frozenset("author user owner contact by git image docker npm maven".split())
_ENCODED = re.compile(r"%3A%2F%2F[\w.\-%]{0,64}?%3A(?P<password>[^\s&\"'@]{1,128}?)%40", re.IGNORECASE)
_ORACLE = re.compile(
    r"(?:jdbc:oracle:(?:thin|oci8?):|(?i:\b(?:sqlplus|exp|imp|expdp|impdp|sqlldr|connect|conn)\s|userid=))[\"']?"
    r"(?P<user>[A-Za-z][\w$#\[\]]{0,63})/(?P<password>\"[^\"]{1,128}\"|[^\s@/\"']{1,128})@"
)


def _bare(scene: Scene) -> Iterator[Candidate]:
    """`user:password@host:5432`, `user:password@tcp(host:3306)/db`, Oracle's `scott/tiger@//host:1521/XE`."""
    for match in _ORACLE.finditer(scene.text):
        if not is_blank(match["password"]):
            yield Candidate(match.start("password"), match.end("password"), "uri-password", SECRET - 1)
    for match in _ENCODED.finditer(scene.text):
        yield Candidate(match.start("password"), match.end("password"), "uri-password", SECRET - 1)
    for match in _BARE.finditer(scene.text):
        host = match["host"] or match["path"] or ""
        if match["user"].lower() in (_NOT_USERS if match["path"] else _WORDS_FOR_MAIL) or host.lower().startswith(
            ("sha256", "sha512", "md5")
        ):
            continue
        if match["sep"] == "/" and not (match["host"] and re.match(r"/\w", scene.text[match.end() : match.end() + 2])):
            continue
        if not is_blank(match["password"]):
            yield Candidate(match.start("password"), match.end("password"), "uri-password", SECRET - 1)


_PARAMETER = re.compile(
    r"(?:[?&;,(#]|%26|%3F|u0026)(?:amp;)?\s?(?P<name>[A-Za-z][A-Za-z0-9_.\-]{0,60})(?:\s?=\s?|%3D)", re.IGNORECASE
)
_SURE = re.compile(
    r"(?:^|[._\-])(?:pass(?:w(?:or)?d|phrase|code|wd)?|pwd|.*password|.*passwd|.*_pwd|.*passphrase|"
    r"(?:access|refresh|id|auth|session|security|bearer|oauth|api|sas|x)?[_\-]?token|"
    r"x-(?:amz|goog)-(?:signature|credential|security-token)|signature|"
    r"(?:client|api|app|consumer|shared|aws)?[_\-]?secret(?:[_\-]?(?:access)?[_\-]?key)?|api[_\-]?key|access[_\-]?key|"
    r"secret[_\-]?access[_\-]?key|awsaccesskeyid|(?:shared|account|storage|"
    r"private)[_\-]?(?:access)?[_\-]?key|sharedaccesssignature|"
    r"sslpassword|.*(?:store|key)password|j?session_?id|credentials?|auth)$",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"^(?:page|next|continuation|sync|cursor|skip|nextpage|csrf|scroll|start|pagination|change|resume|"
    r"marker)[_\-]?token$",
    re.IGNORECASE,
)
_BY_LOOK = re.compile(r"^(?:sig|appid|app_id|key|code|k|skey|subscription-key|hash|hmac|sign|s|t|tk)$", re.IGNORECASE)
_IN_URI = re.compile(r"[^\s&#;\"'<>`]{1,4096}")
_IN_STRING = re.compile(r"\{(?:[^}]|\}\}){1,512}\}|'[^'\n]{1,512}'|\"[^\"\n]{1,512}\"|[^;\n\"]{1,512}")
_IN_PARENS = re.compile(r"[^)\s]{1,512}")
_ESCAPED = re.compile(r"(?:(?!%26|%23)[^\s&#;\"'<>`]){1,4096}", re.IGNORECASE)


def _parameters(scene: Scene, whole: bool = False) -> Iterator[Candidate]:
    text = scene.text
    for match in _PARAMETER.finditer(text):
        name = match["name"]
        sure = _SURE.search(name) is not None and _NOT_SECRET.match(name) is None
        if not sure and _BY_LOOK.match(name) is None:
            continue
        separator = match[0][0]
        connection_string = separator == ";" and "&" not in text[match.end() : match.end() + 200].split(";")[0]
        if separator == ",":
            # `(user, key=…)` in code is no URI; Teradata's and SQLAlchemy's parameters follow a URI.
            if "://" not in text[max(0, match.start() - 300) : match.start()]:
                continue
            pattern = re.compile(r"[^\s,\"'<>]{1,512}")
        elif separator == "(":
            pattern = _IN_PARENS
            sure = "pass" in name.lower() or name.lower() == "pwd"
        elif match[0].upper().endswith("%3D"):
            pattern = _ESCAPED
        else:
            pattern = _IN_STRING if connection_string else _IN_URI
        value = pattern.match(text, match.end())
        if value is None or is_blank(value[0]):
            continue
        content = value[0].rstrip(" ")
        if not whole and "'" in content[1:] and text.count("'", 0, match.end()) % 2:
            # The connection string itself is quoted and ends here.
            content = content[: content.index("'", 1)]
        trimmed = content if whole or connection_string else content.rstrip(".,)]}")
        # A link in Markdown: `…badge.svg?token=x)](https://…`.
        trimmed = trimmed.partition(")](")[0]
        if trimmed.startswith("=") or (separator in "(," and is_placeholder(trimmed)):
            continue
        if sure or is_random(trimmed):
            kind = kind_by_name(name) or "uri-secret"
            yield Candidate(match.end(), match.end() + len(trimmed or content), kind, SECRET - 2)


def in_whole_uri(scene: Scene) -> Iterator[Candidate]:
    """The findings of a text that is one URI or one connection string and nothing else."""
    yield from _user_infos(scene, whole=True)
    yield from _bare(scene)
    yield from _parameters(scene, whole=True)


RULES = (
    Rule(("uri-password",), ("user-info",), _user_infos),
    Rule(("uri-password",), ("bare-user-info",), _bare),
    Rule(("uri-secret",), ("uri-parameter",), _parameters),
)
