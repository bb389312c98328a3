"""E-mail addresses, telephone numbers, and the names of people in home folders and commits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from proventrail.privacy.detect.rule import CONTEXT, DISTINCT, NO_CONTEXT, Candidate, Rule, Scene

TRIGGERS = {
    "email": rb"(?:@|%40|\\u0040)[A-Za-z0-9\xa1-\xff\-]+\.[A-Za-z\xa1-\xff]",
    "phone-plus": rb"(?:\+|%2[Bb])[ ./()\-]{0,2}[0-9](?:[ ./()\-]{0,3}[0-9]){6}",
    "phone-us": rb"\([2-9][0-9]{2}\)[ \-.]{0,2}[2-9][0-9]{2}[ \-.]|[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}",
    "home": rb"(?i:(?:[\\/]|%2f)(?:home|users|documents and settings)(?:[\\/]|%2f))",
    "author-mail": rb"<[^<>@ ]{1,64}(?:@|%40)",
    "author-word": rb"(?i:author|committer|signed-off-by|co-authored|reviewed-by|acked-by)",
}

_WORD = "A-Za-z0-9À-ÿ"
_EMAIL = re.compile(
    rf"(?<![{_WORD}_.+\-])(?P<local>[{_WORD}_.+\-'&=]{{1,64}})(?P<at>@|%40|\\u0040)"
    rf"(?P<domain>(?:[{_WORD}¤](?:[{_WORD}¤\-]{{0,62}})\.){{1,8}}(?:xn--[a-z0-9\-]{{2,40}}|[A-Za-zÀ-ÿ¤]{{1,24}}))"
    rf"(?![{_WORD}])"
)
_ESCAPE = re.compile(r"\\(?:u00[0-9a-f]{2}|[nrt])", re.IGNORECASE)
_HEX_PAIR = re.compile("[2-7][0-9A-Fa-f]")
"""Of an escaped sign: `%22jane%40example.com`."""
_FILE_ENDINGS = frozenset(
    "png jpg jpeg gif svg webp ico bmp tgz gz bz2 xz zst tar json yaml yml toml ini txt log csv tsv parquet avro orc "
    "jar war whl egg sql xml html htm conf cfg js mjs ts tsx jsx css map lock service socket timer target scope slice "
    "mount device path swap pem crt key pub exe dll deb rpm dmg pdf doc docx xls xlsx ipynb pkl joblib "
    "onnx safetensors "
    "latest stable next beta alpha rc snapshot release final dev0 class java scala proto avsc tf".split()
)
_SERVICE_USERS = frozenset(
    "git hg svn root admin administrator ubuntu ec2-user centos debian hadoop hdfs hive spark yarn airflow kafka trino "
    "presto postgres mysql oracle sa deploy deployer jenkins runner app service svc nobody core opc azureuser vagrant "
    "livy flink zookeeper impala hbase http host nn dn".split()
)
_SERVICE_DOMAINS = (".gserviceaccount.com", ".windows.net", ".compute.internal", ".ec2.internal", ".svc.cluster.local")
_USER_PART_ENDS = re.compile(r"(?::[^\s/@\"'<>]{0,200})?@")
_AUTHORITY = re.compile(r"(?:[^\w/.\-]|^)//$")
"""Before the user part of a URI. `a//jane@example.com` is a path."""
_SERVICE = re.compile(r"(?:^|[\s\"'=,:(])[A-Za-z][\w\-]*/$")
_REPOSITORY = re.compile(r":[\w~./\-]{1,200}\.git\b")
_PORT_OR_PATH = re.compile(r":(?:\d{2,5}\b|[\w~./\-]{1,200}(?:/|\.git\b))")


def _emails(scene: Scene) -> Iterator[Candidate]:
    text = scene.text
    for match in _EMAIL.finditer(text):
        local, domain = match["local"], match["domain"].lower()
        start = match.start() + len(local) - len(local.lstrip(".'&=-+"))
        if (escape := _ESCAPE.match(text, match.start() - 1)) is not None and escape.end() < match.start("at"):
            start = max(start, escape.end())
        if text[match.start() - 1 : match.start()] == "%" and _HEX_PAIR.match(local):
            start = max(start, match.start() + 2)
        # `to=jane@example.com`: what is left of the sign is a name.
        start = max(start, match.start() + local.rfind("=") + 1, match.start() + local.rfind("&") + 1)
        # `b'jane@…'` is a string in code, `o'neil@…` a name.
        if (quote := re.match(r"[bfru]{0,2}'", text[start : match.start("at")])) is not None:
            start += quote.end()
        local = text[start : match.start("at")]
        if not local or local.endswith("."):
            continue
        if _is_address(text, start, match.end(), local.lower(), domain, match["at"]):
            yield Candidate(start, match.end(), "email", DISTINCT)


def _is_address(text: str, start: int, end: int, local: str, domain: str, at: str) -> bool:
    ending = domain.rpartition(".")[2]
    if len(ending) < 2 or ending in _FILE_ENDINGS or domain.endswith(_SERVICE_DOMAINS):
        return False
    if at == "@" and _AUTHORITY.search(text[max(0, start - 3) : start]) and not _USER_PART_ENDS.match(text, end):
        # The user (or the container) of a URI, on a host: `abfss://raw@account…`, `ssh://git@host`.
        return False
    if _REPOSITORY.match(text, end) or (local in _SERVICE_USERS and (_PORT_OR_PATH.match(text, end) or local == "git")):
        return False
    # Kerberos: `hive/host.example.com@EXAMPLE.COM` is a service on a host; a realm is written in capitals, or is the
    # host's domain. `spark/jane@example.com` is a path.
    realm = text[end - len(domain) : end].isupper() or local.endswith(f".{domain}")
    return not (realm and _SERVICE.search(text[max(0, start - 64) : start]))


# Not `+2026-06-19T10:20:06Z`, nor the sum `x + (1.2345679e-04)`.
_INTERNATIONAL = re.compile(
    r"(?:(?<![\w+.])(?<!\d[\-/])\+(?!(?:19|20)\d\d-\d\d-\d\d[T ])|"
    r"%2[Bb])[ ]?\(?\d(?![.]\d{5})(?:[ ./()\-]{0,3}\d){6,16}(?![\dA-Za-z])"
)
_NORTH_AMERICA = re.compile(
    r"(?<![\w.+\-/])(?:1[ \-.])?(?:\([2-9]\d{2}\)[ \-.]{0,2}|[2-9]\d{2}-)[2-9]\d{2}[ \-.]\d{4}(?![\w\-]|\.\d)"
)
# What may stand before is asked after the first character: the engine then skips to brackets and digits at once.
_NATIONAL = re.compile(
    r"[(0-9](?<![0-9A-Za-z].)(?<![0-9][.\-/:].)(?:[ ./()\-]{0,3}[0-9]){6,16}(?![0-9A-Za-z])", re.DOTALL
)
_DECIMAL = re.compile(r"\d+\.\d+")
_VERSION = re.compile(r"0\.\d+(?:\.\d+)*|\d+(?:\.\d+)*\.\d(?:\.\d+)+(?: .*)?|\d{4}(?:\.\d{1,2}){2}")
"""`16.0.1.0.0.4`, `0.20240403.1915`, `2024.7.23`: numbers of releases, not groups of a telephone number."""
_PLUS = re.compile("^%2B", re.IGNORECASE)
_E164 = 10
_NEAR = 14
_FEWEST = 7
_REGIONS = (
    "US GB DE FR ES IT NL PL BE PT SE FI IN AU SG KR CA CH AT BR JP MX ZA IE DK NO CZ NZ IL TR AR CN HK AE".split()
)
_DATE = re.compile(
    r"\(?(?:(?:19|20)\d{2}[ ./\-]?[01]\d[ ./\-]?[0-3]\d|[0-3]\d[./\-][01]\d[./\-](?:19|20)\d{2})(?:\D.*)?$"
)


def _parts(value: str) -> Iterator[str]:
    """The value, then the value without its last groups of digits: a number may be followed by another one."""
    yield value
    while (cut := max(value.rfind(separator) for separator in " /-")) > 0:
        value = value[:cut].rstrip(" ./()-")
        yield value


def _is_phone(value: str, region: str | None, strict: bool) -> bool:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) if strict else phonenumbers.is_possible_number(number)


def _international(scene: Scene) -> Iterator[Candidate]:
    for match in _INTERNATIONAL.finditer(scene.text):
        start = match.start()
        near = scene.near("phone", start, match.end()) != NO_CONTEXT
        # Numbers reserved for films and examples are possible but never assigned.
        loose = near or any(char in " ()" for char in match[0].strip()) or len(match[0]) > _E164
        for strict in (True, False) if loose else (True,):
            parts = _parts(match[0])
            found = next((part for part in parts if _is_phone(_PLUS.sub("+", part), None, strict)), None)
            if found is not None:
                yield Candidate(start, start + len(found), "phone", DISTINCT)
                break


def _other_number(text: str, start: int) -> bool:
    """Whether a number stands between a plain number and the word before it: `mobile 5.0.0 5867252`."""
    return re.search(r"\d[^\w+(]+\Z", text[max(0, start - _NEAR) : start]) is not None


def _north_american(scene: Scene) -> Iterator[Candidate]:
    for match in _NORTH_AMERICA.finditer(scene.text):
        if not scene.shielded(*match.span()) and _is_phone(match[0], "US", strict=False):
            # Other numbers are written so too: one that has its word near it wins.
            near = scene.near("phone", *match.span())
            strength = CONTEXT if near == NO_CONTEXT else CONTEXT + 5
            yield Candidate(match.start(), match.end(), "phone", strength, near)


def _national(scene: Scene) -> Iterator[Candidate]:
    """Numbers as they are written inside a country: only beside a context word, and valid in some country."""
    for match in _NATIONAL.finditer(scene.text):
        start = match.start()
        if sum(map(str.isdigit, match[0])) < _FEWEST or _DATE.match(match[0]) or _DECIMAL.fullmatch(match[0]):
            continue
        if _VERSION.fullmatch(match[0]) or scene.tied(start):
            continue
        distance = scene.near("phone", start, match.end(), before=40, after=20)
        # A plain number far from the word (`cell 12 of notebook 345678901`) is another thing.
        plain = match[0].isdigit() and not match[0].startswith("0") and not scene.label(start)
        if distance == NO_CONTEXT or (plain and distance > _NEAR) or (plain and _other_number(scene.text, start)):
            continue
        if scene.counts(start, match.end()) or scene.shielded(start, match.end()):
            continue
        for part in _parts(match[0]):
            digits = sum(char.isdigit() for char in part)
            if digits < _FEWEST:
                break
            regions = [None] if part.startswith("00") else _REGIONS
            value = "+" + part[2:] if part.startswith("00") else part
            if any(_is_phone(value, region, strict=True) for region in regions):
                yield Candidate(start, start + len(part), "phone", CONTEXT + 1, distance)
                break


_HOME = re.compile(
    r"(?:(?<![A-Za-z0-9_.\-])(?:(?:/(?:mnt|nfs|export|var|net|data|nas|shared|efs|lustre|gpfs|vol|srv|afs|usr|private|"
    r"Volumes/[^/\s]{1,40}|System/Volumes/Data|host|hostfs|rootfs))?|(?:hdfs|sftp|ssh|scp|ftp|file|viewfs|"
    r"rsync|nfs|smb|"
    r"vscode-remote)://[^/\s\"']{0,120})(?:\\?/|%2F)(?:home|Users)(?:\\?/|%2F)"
    r"|(?:(?<![A-Za-z0-9])[A-Za-z]:|(?<![\w.\-])/(?:mnt/|cygdrive/)?[a-z]|\\\\[\w.\-$]{1,63}(?:\\[\w$]{1,20})?)"
    r"(?:\\{1,4}|/)(?:Users|Documents and Settings)(?:\\{1,4}|/))"
    r"(?P<name>[^/\\\s\"'<>:;,|?*()\[\]{}$%=`&#]{1,64}(?: [^/\\\s\"'<>:;,|?*()\[\]{}$%=`&#]{1,32}(?=\\)){0,2})",
    re.IGNORECASE,
)
_SHARED_HOMES = frozenset(
    "root ubuntu runner runneradmin jenkins airflow spark hdfs hadoop yarn kafka public shared default "
    "all administrator localservice networkservice dir "
    "admin admins ec2-user centos debian fedora rocky almalinux vagrant docker app apps appuser user users node python "
    "postgres mysql clickhouse git gitlab gitlab-runner gitpod circleci travis vsts vscode codespace jovyan sagemaker "
    "sagemaker-user dbt dagster prefect mlflow jupyter jupyterhub coder nobody www-data nginx service services build "
    "builder buildbot buildkite buildkite-agent teamcity bamboo ci cicd deploy deployer worker workers "
    "tmp temp lib bin "
    "linuxbrew conda anaconda miniconda mambauser micromamba container containeruser gradle maven opc azureuser "
    "adminuser cloudera mapr flink trino presto nifi zeppelin livy superset metabase glue glue_user lambda "
    "sbx_user1051 wsuser work workspace workspaces project projects test tester demo guest example me "
    "username your you "
    "name yourname your-name your_name pi core bitnami superuser defaultuser0 system systemprofile oracle hive hbase "
    "zookeeper impala hue oozie sqoop ranger elasticsearch kibana grafana prometheus redis mongodb cassandra rabbitmq "
    "celery django rails tomcat jboss wildfly ray dask databricks snowflake bigquery dataproc composer etl data "
    "datalake dataeng analytics batch backup backups www web webapp public_html index.html lost+found pipeline "
    "pipelines job jobs agent agents vsts_azpcontainer azp cloudbuild kbuilder nonroot somebody someone "
    "foo bar dev developer developers ops devops sre ml mlops training research common "
    "site kubernetes distiller steam snap nix nixbld lightdm sshd student students ftp ssh".split()
)
_NOT_A_USER = re.compile(
    r"^(?:svc[-_.].*|(?:all|default)[ _]users?|.*administrator|.*[-_]svc|.*\.(?:html?|php|aspx?|jsp|js|css)|"
    r"[\d._\-]+|.*[-_.](?:runner|agent|bot))$"
)


def _home_users(scene: Scene) -> Iterator[Candidate]:
    for match in _HOME.finditer(scene.text):
        # `GET /users/orders` is the route of an API, `gs://home/orders` a bucket.
        if match[0].lstrip("\\").startswith("/users") or scene.text.endswith(":/", 0, match.start()):
            continue
        name = match["name"].rstrip(".!")
        lower = name.lower()
        if name and lower not in _SHARED_HOMES and "@" not in name and _NOT_A_USER.match(lower) is None:
            yield Candidate(match.start("name"), match.start("name") + len(name), "home-user", DISTINCT)


_NAME_PART = r"(?:[A-ZÀ-Ý¤][\wÀ-ÿ¤'’.\-]{0,40}|van|von|der|den|de|da|di|del|la|le|bin|al|ten|ter|du|dos|y)"
_LAST_FIRST = re.compile(
    r"\"(?P<name>[A-ZÀ-Ý¤][\wÀ-ÿ¤'.\-]{0,40}(?: [A-ZÀ-Ý¤][\wÀ-ÿ¤'.\-]{0,40})?, [A-ZÀ-Ý¤][\wÀ-ÿ¤'. "
    r"\-]{0,40})\" ?<(?=[^<>@\s]{1,64}@)"
)
_BEFORE_MAIL = re.compile(
    rf"(?<![\wÀ-ÿ¤.\-])(?P<name>[A-ZÀ-Ý¤][\wÀ-ÿ¤'.\-]{{0,40}}(?: {_NAME_PART}){{0,4}})[\"']? "
    rf"?\\?<(?=[^<>@\s]{{1,64}}(?:@|%40)[^<>\s]{{1,255}}>)"
)
_LOWER_BEFORE_MAIL = re.compile(
    r"(?i:author|committer|signed-off-by|co-authored-by|reviewed-by|acked-by|tested-by)[\"']?\s{0,3}[:=]\s{0,3}[\"']?"
    r"(?P<name>[^<>\"'@\n:]{1,80}?)\s?<(?=[^<>@\s]{1,64}@)"
)
_IN_AUTHOR = re.compile(
    r"\\?\"(?:author|committer)\\?\"\s?:\s?\{\s?(?:\\?\"(?:email|id|login|date)\\?\"\s?:\s?[^,{}]{1,100},\s?)?"
    r"\\?\"name\\?\"\s?:\s?\\?\"(?P<name>[^\"\\\n]{1,80})"
)
_AFTER_WORD = re.compile(
    rf"(?i:\b(?:co-?authored-by|signed-off-by|reviewed-by|acked-by|authored by|(?:git_?)?(?:author|"
    rf"committer)(?:[_ ]?name)?))(?![A-Za-z])\\?[\"']?\s{{0,3}}[:=]?\s{{0,3}}\\?[\"']?"
    rf"(?P<name>[A-ZÀ-Ý¤][\wÀ-ÿ¤'.\-]{{0,40}}(?: {_NAME_PART}){{1,4}})(?![\wÀ-ÿ¤])"
)
_MACHINES = re.compile(
    r"\[bot\]|\bbot\b|^(?:github|gitlab|jenkins|renovate|dependabot|web-flow|github actions?|ci|root|team|data|the)\b|"
    r"\b(?:team|platform|engineering|analytics|service|pipeline|system|actions|build|jenkins|inc|gmbh|ltd)\b\.?",
    re.IGNORECASE,
)


def _authors(scene: Scene) -> Iterator[Candidate]:
    for pattern in (_LAST_FIRST, _BEFORE_MAIL, _LOWER_BEFORE_MAIL, _IN_AUTHOR, _AFTER_WORD):
        for match in pattern.finditer(scene.text):
            name = match["name"].rstrip(" .")
            if (
                name
                and not name.isupper()
                and _MACHINES.search(name) is None
                and not name.lower().startswith(("author", "date", "commit"))
            ):
                yield Candidate(match.start("name"), match.start("name") + len(name), "git-author", DISTINCT)


RULES = (
    Rule(("email",), ("email",), _emails),
    Rule(("phone",), ("phone-plus",), _international),
    Rule(("phone",), ("phone-us",), _north_american),
    Rule(("phone",), ("context:phone",), _national),
    Rule(("home-user",), ("home",), _home_users),
    Rule(("git-author",), ("author-mail", "author-word"), _authors),
)
