"""Which queries an auditor may run on the embedded store: those that read its tables, and nothing else.

The engine's own parser says what a query is (`EXPLAIN AST`), so no spelling can hide a function. A second wall stands
behind this one: sessions of the endpoint run with `readonly = 2`, in which the engine refuses writes by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

READONLY = 164
UNKNOWN_SETTING = 115

_TABLE_FUNCTIONS = frozenset(
    "numbers numbers_mt zeros zeros_mt generate_series generateSeries generateRandom values view merge null primes "
    "format SQLStandardValues".split()
)
"""Table functions that reach nothing outside the store. All others are refused, those of later versions too."""

_FUNCTIONS_REFUSED = re.compile(
    r"^(file|url|dictGet.*|dictHas|dictIsIn|catboost.*|eval|executable.*|getClientHTTPHeader)$"
)

_STATEMENTS = re.compile(r"^(Select\w*|Describe\w*|Show\w*|Exists\w*|Explain)\b")

_SETTINGS = re.compile(
    r"^(output_format_\w+|input_format_\w+|format_\w+|date_time_\w+|session_timezone|join_\w+|transform_null_in|"
    r"max_threads|max_block_size|max_result_rows|max_result_bytes|result_overflow_mode|extremes|final|"
    r"allow_experimental_\w+|enable_analyzer|use_client_time_zone|aggregate_functions_null_for_empty|"
    r"any_join_distinct_right_table_keys|prefer_column_name_to_alias|union_default_mode|group_by_use_nulls|"
    r"cast_\w+|asterisk_include_\w+|count_distinct_implementation|optimize_\w+|max_execution_time)$"
)
"""Settings that change how a result looks or is computed, not what may be reached."""

_TOKEN = re.compile(
    r"--[^\n]*|#[ !][^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|"
    r"\$(\w*)\$.*?\$\1\$|[A-Za-z_][A-Za-z0-9_]*|[0-9.]+|\s+|.",
    re.DOTALL,
)

Explain = Callable[[str], list[str]]
"""Runs `EXPLAIN AST` and gives its lines. Raises ClickHouseError where the query is no query."""


class Refused(Exception):
    """A query that reaches further than the store's tables. `code` is ClickHouse's error code for it."""

    def __init__(self, reason: str, code: int = READONLY) -> None:
        super().__init__(reason)
        self.code = code


def words(query: str) -> Iterator[str]:
    """The query's tokens, without white space and comments. Quoted ones keep their quotes."""
    for match in _TOKEN.finditer(query):
        token = match.group()
        if not token.isspace() and not token.startswith(("--", "/*", "# ", "#!")):
            yield token


def check_setting(name: str) -> None:
    """Raises Refused for a setting that an auditor may not change."""
    if not _SETTINGS.match(name):
        raise Refused(f"the setting {name} cannot be changed here", UNKNOWN_SETTING)


def _check_words(query: str) -> None:
    tokens = list(words(query))
    while tokens and tokens[-1] == ";":
        tokens.pop()
    if ";" in tokens:
        raise Refused("one statement at a time")
    upper = [token.upper() for token in tokens]
    for at, token in enumerate(upper):
        following = upper[at + 1] if at + 1 < len(upper) else ""
        if token == "INTO" and following == "OUTFILE":
            raise Refused("INTO OUTFILE would write a file on the server: use the client's own")
        if token == "SETTINGS":
            for name in _setting_names(tokens[at + 1 :]):
                check_setting(name)


def _setting_names(tokens: list[str]) -> Iterator[str]:
    """Names in `a = 1, b = 'x'`."""
    at = 0
    while at + 2 < len(tokens) and tokens[at + 1] == "=":
        yield tokens[at].strip('`"')
        at += 3
        while at < len(tokens) and tokens[at] != ",":
            if re.match(r"[A-Za-z]", tokens[at]):
                return
            at += 1
        at += 1


def check(query: str, explain: Explain) -> None:
    """Raises Refused unless `query` only reads the store; ClickHouseError if it is no query."""
    _check_words(query)
    tree = explain(query)
    if not tree or not _STATEMENTS.match(tree[0]):
        raise Refused("only SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN can be run here")
    depth_of_table: int | None = None
    for line in tree:
        node = line.lstrip(" ")
        depth = len(line) - len(node)
        if node.startswith("TableExpression"):
            depth_of_table = depth
        elif node.startswith("Function "):
            name = node.split(" ", 2)[1]
            is_table = depth_of_table is not None and depth == depth_of_table + 1
            if (is_table and name not in _TABLE_FUNCTIONS) or _FUNCTIONS_REFUSED.match(name):
                raise Refused(f"the function {name} reaches outside the store")
