"""Secrets told in words (`the password is …`, `IDENTIFIED BY '…'`) or by a command line (`--password …`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proventrail.privacy.detect.assignment import PASSWORD_LAST, PROSE, is_placeholder, is_random, kind_by_name
from proventrail.privacy.detect.rule import LOOSE, Candidate, Rule, Scene

TRIGGERS = {
    "said": rb"(?i:(?:password|passwd|passphrase|pwd|passcode|identified by|token|secret|(?:api|access)[ _]key)"
    rb"(?: hash)?(?: is| was| to| by|) {0,3}[\\]{0,3}[\"'`=]?[^\s])",
    "command-line": rb"(?i:--?[a-z\-]{0,24}(?:password|passwd|pass|token|secret|api-?key|access-?key)"
    rb"[a-z\-]{0,12}[ =])|"
    rb"(?:mysql|sshpass|curl|redis-cli|mongo)[^\n]{0,200} -",
}

_SAID = re.compile(
    r"(?i:\b(?:password|passwd|passphrase|pwd|passcode)(?:\s+(?:for|of)\s+[^\s]{1,64})?\s+(?:is|was|to)(?: now)?:?|"
    r"\bidentified\s+(?:with\s+\w+\s+)?by(?: password)?|\b(?:password|passwd)(?=\s+\\?['\"]))"
    r"\s{1,3}(?:(?P<q>\\{0,3}['\"`])(?P<quoted>[^'\"`\n\\]{1,128})|(?P<bare>[^\s'\"`]{3,128}))"
)
_SET = re.compile(
    r"(?i:\b(?:env|arg|setenv|setx|config(?:ure)? set|config)\s+)(?P<name>[A-Za-z_][\w.\-]{0,60}(?i:password|"
    r"passwd|secret|token|key))"
    r"[ \t]{1,3}[\"']?(?P<bare>[^\s\"']{3,512})"
)
_OF_A_USER = re.compile(r"\b(?:create|alter|grant|set|user|role|login|link)\b", re.IGNORECASE)
_PROPERTY = re.compile(
    r"(?<=[A-Za-z.\-_])(?i:password|passwd|passphrase)[ \t]{1,80}(?P<bare>[^\s\"']{3,128})[ \t]*(?=\n|\\n|\Z)"
)
_DOTTED = re.compile(r"[A-Za-z][\w\-]*\.[\w.\-]*\Z")
"""A line of a properties file with a blank between name and value: `spark.ssl.keyPassword   changeme1`."""
_KEY_SAID = re.compile(
    r"(?i:(?<![A-Za-z0-9])(?P<name>(?:secret_)?(?:token|secret|api[ _]key|access[ _]key))\s+(?:is|was|"
    r"to)?:?)\s{1,3}\\{0,3}['\"`]?(?P<bare>[A-Za-z0-9_\-+/=.~]{12,512})"
)


def _said(scene: Scene) -> Iterator[Candidate]:
    """`the password is hunter2`, `CREATE USER x IDENTIFIED BY 'y'`, `PASSWORD 'y'`."""
    for match in _SAID.finditer(scene.text):
        group = "quoted" if match["quoted"] else "bare"
        value = match[group].rstrip(".,;:)!") if group == "bare" else match[group]
        prose = group == "bare" and (PROSE.match(value) or (value.isalpha() and value.islower()) or value.endswith("("))
        # `the lines identified by "squash" are …`: only a statement about a user has its password there.
        stray = match[0][:10].lower() == "identified" and not _OF_A_USER.search(scene.text, 0, match.start())
        if value and not prose and not stray and not is_placeholder(value):
            yield Candidate(match.start(group), match.start(group) + len(value), "password", LOOSE + 4)
    for match in _PROPERTY.finditer(scene.text):
        dotted = _DOTTED.search(scene.text, max(0, match.start() - 80), match.start()) is not None
        if dotted and not is_placeholder(match["bare"]):
            yield Candidate(match.start("bare"), match.end("bare"), "password", LOOSE + 4)
    for match in _SET.finditer(scene.text):
        value = match["bare"]
        password = PASSWORD_LAST.search(match["name"]) is not None
        if not is_placeholder(value) and (is_random(value) or (password and not PROSE.match(value))):
            kind = "password" if password else kind_by_name(match["name"]) or "secret"
            yield Candidate(match.start("bare"), match.end("bare"), kind, LOOSE + 4)
    for match in _KEY_SAID.finditer(scene.text):
        value = match["bare"].rstrip(".")
        if (
            is_random(value)
            and len(value) >= 16
            and not scene.shielded(match.start("bare"), match.start("bare") + len(value))
        ):
            kind = kind_by_name(match["name"]) or "secret"
            yield Candidate(match.start("bare"), match.start("bare") + len(value), kind, LOOSE + 2)


_OPTION = re.compile(
    r"(?<![\w\-])--?(?P<name>[a-z\-_]{0,24}(?:password|passwd|pass|passphrase|token|secret|api-?key|"
    r"access-?key|secret-?key)(?:[a-z\-]{0,3}))[ =]\s{0,2}[\"']?(?P<value>[^\s\"']{3,512})",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mongo(?:sh|dump)?|sshpass)\b[^\n|;]{0,160}? -p "
    r"?(?P<a>(?<=-p)[^\s\-\"'][^\s\"']{2,128}|(?<=-p )(?<=sshpass -p )[^\s\"']{3,128})"
    r"|\bsshpass -p ?\\?[\"'](?P<d>[^\"'\n\\]{1,128})"
    r"|\bcurl\b[^\n|;]{0,200}? (?:-u|--user)[ =][\"']?[^\s:\"']{1,64}:(?P<b>[^\s\"']{1,128})"
    r"|\bredis-cli\b[^\n|;]{0,120}? -a (?P<c>[^\s\"']{3,128})"
)


def _options(scene: Scene) -> Iterator[Candidate]:
    for match in _OPTION.finditer(scene.text):
        name, value = match["name"].lower(), match["value"]
        about = name.endswith(("-file", "-stdin", "file", "-env")) or value.startswith(("-", "/run/", "file:"))
        if not about and not is_placeholder(value) and ("pass" in name or is_random(value)):
            kind = "password" if "pass" in name else "secret"
            yield Candidate(match.start("value"), match.end("value"), kind, LOOSE + 3)
    for match in _SHORT.finditer(scene.text):
        group = match.lastgroup
        if group is not None and not is_placeholder(match[group]):
            yield Candidate(match.start(group), match.end(group), "password", LOOSE + 3)


RULES = (
    Rule(("password", "secret", "aws-key", "azure-key"), ("said",), _said),
    Rule(("password", "secret"), ("command-line",), _options),
)
