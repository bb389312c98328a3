"""IP and MAC addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from proventrail.privacy.detect.context import words_of
from proventrail.privacy.detect.rule import DISTINCT, Candidate, Rule, Scene

TRIGGERS = {
    "ipv4": rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    "ipv6": rb"[0-9A-Fa-f:]:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]|::[0-9A-Fa-f]|[0-9A-Fa-f]::",
    "mac": rb"(?:[0-9A-Fa-f]{2}[:\-]){5}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}",
}

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(
    # Not `lib-1.2.3.4`, but the end of a range: `52.140.22.90-52.140.22.99`.
    r"(?<![\w.])(?:(?<![A-Za-z0-9][-+])|(?<=\.\d-)|(?<=\.\d\d-)|(?<=\.\d\d\d-))"
    rf"({_OCTET}(?:\.{_OCTET}){{3}})(?!\.?\d|\.[A-Za-z]|[A-Za-z_]|[-+]\d{{0,3}}[A-Za-z])"
)
# `version 1.2.3.4`, `app:1.2.3.4`, `Chrome/120.0.6099.1`, `foo==1.2.3.4`: the address of nothing.
_VERSION_BEFORE = re.compile(
    r"(?:(?:version|\b(?:v|ver|vers|version|versions|release|rel|build|rev|revision|firmware|tag|patch|upgrade|"
    r"upgraded|upgrading|sdk|driver|odbc|jdbc|"
    r"runtime|library|jar|package|chart|image|plugin|oid|section|cdh|hdp|emr|spark|hadoop|hive|kafka|"
    r"oracle|java|jdk|python|chrome|"
    r"chromium|airflow|dotnet|clickhouse|postgres(?:ql)?|mysql|mariadb|redis|mongo(?:db)?|nginx|trino|"
    r"presto|flink|dbt|airbyte|snowflake|databricks|terraform|numpy|pandas|torch|cuda|windows|linux|"
    r"kernel|glibc|openssl|tomcat|jetty|netty|log4j|jackson|hbase|zookeeper|impala|elasticsearch|kibana|"
    r"grafana|superset|dagster|luigi|prefect|mlflow|kubeflow|gcc|cmake|maven|gradle|assemblyversion|"
    r"assembly))(?:[ _\-]?(?:number|no|id|is|to|from|of))?[\"']?\s{0,2}[:=#]?\s{0,2}[\"'(v]?"
    r"|[=~<>!]=\s?|(?<![\d:])[A-Za-z0-9][/@^~]|[@^~]|/[\w.\-]{1,100}:)$",
    re.IGNORECASE,
)
_VERSION_WORD = re.compile(r"version|\bver\b|release", re.IGNORECASE)
_LOGIN_BEFORE = re.compile(
    r"\b(?:ssh|scp|sftp|rsync|telnet|mosh|login|connect\w*|host|from)\b[^\n]{0,60}@$", re.IGNORECASE
)
_PORT = re.compile(r":\d{1,5}\b")
_HOST_NEAR = re.compile(
    r"(?<![\w\-])(?:hosts?|ips?|ipv4|addr|address|addresses|client|server|from|remote|peer|connect\w*|node|ping|dns|nameserver|"
    r"gateway|port|forwarded|x-real-ip|src|dst|source|dest|destination|listen\w*|proxy|lookup|login|ssh|tcp|udp|http|"
    r"allow\w*|deny|denied|block\w*|route|subnet|cidr|network|whitelist|broker|worker|executor|endpoint|resolve\w*|"
    r"bind|inet|traceroute|visitor|request)(?![\w\-])|\w_(?:host|ip|addr)\b|//$|[@/]$",
    re.IGNORECASE,
)
_HOST_AFTER = re.compile(r":\d|/32\b| - |,? port\b")
_RESOLVERS = frozenset("1.1.1.1 1.0.0.1 8.8.8.8 8.8.4.4 9.9.9.9 4.2.2.1 4.2.2.2".split())
_SMALL, _VERY_SMALL = 40, 10
_LOGGED = re.compile(r" \S{1,64} \S{1,64} \[\d")
"""The start of a line of an access log."""
_NETWORK = re.compile(r"/(\d{1,2})(?!\d)")


def _ipv4(scene: Scene) -> Iterator[Candidate]:
    text = scene.text
    for match in _IPV4.finditer(text):
        address = ipaddress.IPv4Address(match[1])
        before = text[max(0, match.start() - 120) : match.start()]
        if _nobodys(address) or _VERSION_WORD.search(scene.context):
            continue
        if _VERSION_BEFORE.search(before) and not (
            _PORT.match(text, match.end()) or _LOGGED.match(text, match.end()) or _LOGIN_BEFORE.search(before)
        ):
            continue
        network = _NETWORK.match(text, match.end())
        if network is not None and int(network[1]) < 32 and not int(address) & ((1 << (32 - int(network[1]))) - 1):
            continue
        if not address.is_private and (match[1].endswith(".0.0") or _like_a_version(scene, match)):
            continue
        yield Candidate(match.start(), match.end(), _kind(address), DISTINCT)


def _like_a_version(scene: Scene, match: re.Match[str]) -> bool:
    """Whether four small numbers stand without a word for a host: `2.3.9.2` is a release, seldom an address.

    One public address in 400 has such numbers.
    """
    first, *rest = map(int, match[1].split("."))
    small = first < _SMALL and (
        max(rest) < _SMALL or (first < _SMALL - _VERY_SMALL and sum(number < _VERY_SMALL for number in rest) >= 2)
    )
    if not small or match[1] in _RESOLVERS or _HOST_AFTER.match(scene.text, match.end()):
        return False
    before = scene.text[max(0, match.start() - 40) : match.start()]
    return not (_HOST_NEAR.search(before) or _HOST_NEAR.search(words_of(scene.context)))


_IPV6 = re.compile(
    r"(?<![\w.])(?P<address>(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|"
    r"[0-9A-Fa-f]{0,4}))(?:%[\w.\-]{1,15})?(?![\w:]|\.\d)"
)


def _ipv6(scene: Scene) -> Iterator[Candidate]:
    for match in _IPV6.finditer(scene.text):
        value = match["address"]
        try:
            address = ipaddress.IPv6Address(value)
        except ValueError:
            continue
        if _goes_on(scene.text, match.start(), 4):
            continue
        # `a::b` and `db::2024` are names in code: an address of ours shows its groups or its well-known start.
        groups = [group for group in value.split(":") if group]
        if len(groups) == 8 and all(len(group) == 2 for group in groups):
            # A fingerprint.
            continue
        known = len(groups) > 1 and value[:2].lower() in ("fe", "fc", "fd", "ff")
        known = known or (len(groups) > 1 and value.startswith(("2", "64:"))) or value.lower().startswith("::ffff:")
        if _nobodys(address) or not (
            len(groups) >= 4 or (known and len(groups[0]) >= 2 and any(map(str.isdigit, value)))
        ):
            continue
        network = _NETWORK.match(scene.text, match.end("address"))
        if network is not None and value.endswith("::"):
            continue
        yield Candidate(match.start("address"), match.end("address"), _kind(address), DISTINCT)


def _nobodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Loopback, `0.0.0.0`, multicast and broadcast are the same on every machine."""
    return (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or (address.version == 4 and address.is_reserved)
        or str(address) == "255.255.255.255"
        or (address.version == 4 and (str(address).startswith("255.") or str(address).startswith("0.")))
    )


def _kind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return "ip-public" if address.is_global else "ip-private"


_MAC = re.compile(
    r"(?<![\w.\-])(?:[0-9A-Fa-f]{2}(?P<sep>[:\-])(?:[0-9A-Fa-f]{2}(?P=sep)){4}[0-9A-Fa-f]{2}|"
    r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})"
    r"(?![\w]|[:\-.][0-9A-Fa-f])"
)


_CARD_NEAR = re.compile(r"mac|hwaddr|ether|\barp\b|address|device|interface|host|cisco", re.IGNORECASE)


def _goes_on(text: str, start: int, longest: int) -> bool:
    """Whether a group of hexadecimal digits and a colon stand before: `ab:cd:…`, but not `mac:…`."""
    before = re.search(r"(\w*):\Z", text[max(0, start - 24) : start])
    return before is not None and re.fullmatch(rf"[0-9A-Fa-f]{{0,{longest}}}", before[1]) is not None


def _macs(scene: Scene) -> Iterator[Candidate]:
    for match in _MAC.finditer(scene.text):
        digits = re.sub(r"[^0-9a-f]", "", match[0].lower())
        # All zeros and all ones are no card; `1234.5678.9012` with digits alone is a number.
        if _goes_on(scene.text, match.start(), 2):
            continue
        # `1A99.0020.0002` is a sort key; of the addresses that a switch prints 19 in 20 have letters in two groups.
        lettered = sum(re.search("[A-Fa-f]", group) is not None for group in match[0].split("."))
        if (
            "." in match[0]
            and lettered < 2
            and not _CARD_NEAR.search(scene.text, max(0, match.start() - 32), match.start())
        ):
            continue
        if len(set(digits)) > 1 and not ("." in match[0] and digits.isdigit()):
            yield Candidate(match.start(), match.end(), "mac", DISTINCT)


RULES = (
    Rule(("ip-public", "ip-private"), ("ipv4",), _ipv4),
    Rule(("ip-public", "ip-private"), ("ipv6",), _ipv6),
    Rule(("mac",), ("mac",), _macs),
)
