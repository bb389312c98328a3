"""Secrets with a form of their own: tokens of vendors, JSON web tokens, private keys, Authorization headers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from proventrail.privacy.detect.rule import SECRET, Candidate, Rule, Scene

_FORMS: tuple[tuple[str, str, str], ...] = (
    # kind, what it begins with (the trigger), the whole form
    ("aws-key", "AKIA|ASIA|ABIA|ACCA", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("aws-key", "ABSK[A-Za-z0-9+/]{20}", r"ABSK[A-Za-z0-9+/]{40,260}={0,2}"),
    ("gcp-key", "AIza", r"AIza[0-9A-Za-z_\-]{35}"),
    ("gcp-key", r"ya29\.", r"ya29\.[0-9A-Za-z_\-]{20,2048}"),
    ("gcp-key", "GOCSPX-", r"GOCSPX-[0-9A-Za-z_\-]{28}"),
    ("gcp-key", "1//0", r"1//0[0-9A-Za-z_\-]{40,512}"),
    ("azure-key", r"[0-9]Q~", r"[A-Za-z0-9_~.\-]{3}\dQ~[A-Za-z0-9_~.\-]{31,34}"),
    ("github-token", "gh[pousr]_", r"gh[pousr]_[A-Za-z0-9]{20,255}"),
    ("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    ("slack-token", "xox[a-z]-|xapp-", r"(?:xox[abceoprs]-[A-Za-z0-9\-]{10,255}|xapp-\d-[A-Za-z0-9\-]{10,255})"),
    ("stripe-key", "[srp]k_(?:live|test)_", r"[srp]k_(?:live|test)_[A-Za-z0-9]{10,255}"),
    ("stripe-key", "whsec_", r"whsec_[A-Za-z0-9+/]{24,128}={0,2}"),
    ("npm-token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    ("pypi-token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_\-]{13,512}"),
    ("vendor-token", "glpat-|gldt-|glrt-|glcbt-|glptt-", r"gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_\-.]{20,128}"),
    ("vendor-token", "sk-ant-", r"sk-ant-[A-Za-z0-9_\-]{20,255}"),
    ("vendor-token", "sk-", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_\-]{20,255}"),
    ("vendor-token", "hf_", r"hf_[A-Za-z0-9]{30,64}"),
    ("vendor-token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("vendor-token", "dkea", r"dkea[0-9a-f]{32}"),
    ("vendor-token", r"SG\.", r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}"),
    ("vendor-token", "do[por]_v1_", r"do[por]_v1_[0-9a-f]{64}"),
    ("vendor-token", "shp(?:at|ca|pa|ss)_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("vendor-token", "hv[sbr][.]", r"hv[sbr]\.[A-Za-z0-9_\-]{24,255}"),
    ("vendor-token", "dckr_pat_", r"dckr_pat_[A-Za-z0-9_\-]{20,64}"),
    ("vendor-token", "lin_api_", r"lin_api_[A-Za-z0-9]{32,64}"),
    ("vendor-token", "ATATT3x", r"ATATT3x[A-Za-z0-9_\-=]{20,255}"),
    ("vendor-token", "rubygems_", r"rubygems_[0-9a-f]{48}"),
    ("vendor-token", "NRAK-", r"NRAK-[A-Z0-9]{27}"),
    ("vendor-token", "gl(?:c|sa)_", r"gl(?:c|sa)_[A-Za-z0-9+/=_]{32,255}"),
    ("vendor-token", "sntry[su]_", r"sntry[su]_[A-Za-z0-9_=+/\-]{32,255}"),
    ("vendor-token", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    ("vendor-token", "sq0[a-z]{3}-", r"sq0[a-z]{3}-[A-Za-z0-9_\-]{22,64}"),
    ("vendor-token", "PMAK-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("vendor-token", ":AA[A-Za-z0-9_-]", r"(?:bot)?\d{8,10}:AA[A-Za-z0-9_\-]{32,33}"),
    ("vendor-token", "dp[.]pt[.]|dp[.]st[.]", r"dp\.(?:pt|st(?:\.[a-z0-9_\-]{2,35})?)\.[A-Za-z0-9]{40,44}"),
    ("vendor-token", "pul-", r"pul-[0-9a-f]{40}"),
    ("vendor-token", "dbt[uc]_", r"dbt[uc]_[A-Za-z0-9_\-]{30,128}"),
    ("vendor-token", "[.]atlasv1[.]", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-]{60,70}"),
    ("vendor-token", "ntn_", r"ntn_[A-Za-z0-9]{40,50}"),
    ("vendor-token", "key-[0-9a-f]{32}", r"key-[0-9a-f]{32}"),
    (
        "jwt",
        "eyJ",
        r"eyJ[A-Za-z0-9_\-]{5,4096}\.[A-Za-z0-9_\-]{5,8192}\.[A-Za-z0-9_\-]{0,2048}(?:\.[A-Za-z0-9_\-]{1,8192}\.[A-Za-z0-9_\-]{1,512})?",
    ),
)

TRIGGERS = {f"token-{number}": begins.encode("ascii") for number, (_, begins, _) in enumerate(_FORMS)} | {
    "slack-hook": rb"(?i:hooks\.slack\.com|discord(?:app)?\.com/api/webhooks|webhook\.office\.com)",
    "private-key": rb"PRIVATE KEY|PuTTY-User-Key-File",
    "auth-header": rb"(?i:(?:bearer|basic|token|apikey|negotiate)[ :\"'+]|%20)",
}


def _form(kind: str, pattern: str) -> Rule:
    compiled = re.compile(rf"(?<![A-Za-z0-9_]){pattern}(?![A-Za-z0-9_])")

    def find(scene: Scene) -> Iterator[Candidate]:
        for match in compiled.finditer(scene.text):
            # Words with dashes look like the token of some vendors (`sk-learn-pipeline-of-orders`).
            value = match[0]
            mixed = value.lower() != value and not value.startswith("sk-")
            if kind != "vendor-token" or mixed or any(char.isdigit() for char in value):
                yield Candidate(match.start(), match.end(), kind, SECRET)

    return Rule((kind,), (), find)


_SLACK_HOOK = re.compile(
    r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<v>[A-Za-z0-9/_\-]{10,200})"
    r"|discord(?:app)?\.com/api/webhooks/(?P<w>\d{8,25}/[A-Za-z0-9_\-]{20,128})"
    r"|webhook\.office\.com/webhookb2/(?P<x>[A-Za-z0-9@\-/]{20,400})",
    re.IGNORECASE,
)


def _slack_hooks(scene: Scene) -> Iterator[Candidate]:
    for match in _SLACK_HOOK.finditer(scene.text):
        group = match.lastgroup
        if group is not None:
            kind = "slack-token" if group == "v" else "vendor-token"
            yield Candidate(match.start(group), match.end(group), kind, SECRET)


_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC: ?[0-9a-f]{40,64}")
_PEM_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s\-]|\\[nrt]|[A-Za-z\-]{1,40}: [^\n\\]{0,100}){0,400}")
_LONGEST_KEY = 20_000


def _private_keys(scene: Scene) -> Iterator[Candidate]:
    for match in _PEM.finditer(scene.text):
        close = _PEM_END.search(scene.text, match.end(), match.end() + _LONGEST_KEY)
        if close is not None:
            end = close.end()
        else:
            # Cut off, as in a log line: all that still looks like the key.
            end = match.end()
            while (body := _PEM_BODY.match(scene.text, end)) is not None and body.end() > end:
                end = body.end()
        yield Candidate(match.start(), end, "private-key", SECRET + 5)


_HEADER = re.compile(
    r"(?P<scheme>(?<![A-Za-z])(?:Bearer|Basic|Token|ApiKey|Negotiate))(?:(?:\s|%20|[:=\"']){1,4}|\+)"
    r"(?:token=)?[\"']?(?P<value>[A-Za-z0-9._~+/\-]{8,8192}={0,2})",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(r"auth(?:orization|entication)?[\"']?\s{0,3}[:=]\s{0,3}[\"']?\s{0,3}$", re.IGNORECASE)


def _auth_headers(scene: Scene) -> Iterator[Candidate]:
    for match in _HEADER.finditer(scene.text):
        scheme, value = match["scheme"].lower(), match["value"]
        start = match.start("value")
        header = _AUTHORIZATION.search(scene.text[max(0, match.start() - 40) : match.start()]) is not None
        header = header or "authorization" in scene.context.lower()
        if (
            (scheme == "basic" and _holds_password(value))
            or (scheme in ("bearer", "negotiate") and (_looks_random(value) or (header and len(value) >= 8)))
            or (header and scheme in ("token", "apikey") and len(value) >= 8)
        ):
            yield Candidate(start, match.end(), "auth-header", SECRET - 5)


def _holds_password(value: str) -> bool:
    """Whether the value is `user:password` in Base64, in UTF-8 or Latin-1 (RFC 7617); `Basic Operations` is no text."""
    try:
        said = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    texts = (said.decode(charset, "surrogateescape") for charset in ("utf-8", "latin-1"))
    return b":" in said and any(map(str.isprintable, texts))


def _looks_random(value: str) -> bool:
    return len(value) >= 16 and any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


RULES = (
    *(
        Rule(rule.kinds, (f"token-{number}",), rule.find)
        for number, rule in enumerate(_form(kind, pattern) for kind, _, pattern in _FORMS)
    ),
    Rule(("slack-token", "vendor-token"), ("slack-hook",), _slack_hooks),
    Rule(("private-key",), ("private-key",), _private_keys),
    Rule(("auth-header",), ("auth-header",), _auth_headers),
)
