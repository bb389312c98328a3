"""Which queries an auditor may run on the embedded store: those that read its tables, and nothing else.

The engine's own parser says what a query is, so no spelling can hide anything. `formatQuery` writes the query anew, as
one statement, without comments and with one way to quote: that text is looked at, and that text is run. `EXPLAIN AST`
names its functions and tables. A second wall stands behind this one: sessions of the endpoint run with `readonly = 2`,
in which the engine refuses writes by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from proventrail.storage.endpoint import allowed

READONLY = 164
UNKNOWN_SETTING = 115

SYSTEM = "system"

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[A-Za-z_][A-Za-z0-9_]*|[0-9.]+|\s+|.", re.DOTALL)
_CLAUSES = frozenset(("FORMAT", "INTO", "UNION", "INTERSECT", "EXCEPT"))
_ODD_NAME = re.compile(r"[\x00-\x1f]|\\[^`\\]")
_ODD_VALUE = re.compile(r"[\x00-\x1f\\]")
_SUFFIX = re.compile(r"( \(alias .*\))?( \(children \d+\))?$")
_STARS = ("Asterisk", "QualifiedAsterisk", "Columns", "QualifiedColumns")

Explain = Callable[[str], list[str]]
"""Runs `EXPLAIN AST` and gives its lines. Raises the engine's error where the query cannot be explained."""


class Refused(Exception):
    """A query that reaches further than the store's tables. `code` is ClickHouse's error code for it."""

    def __init__(self, reason: str, code: int = READONLY) -> None:
        super().__init__(reason)
        self.code = code


def words(query: str) -> Iterator[str]:
    """The tokens of a query that `formatQuery` wrote, without white space. Quoted ones keep their quotes."""
    for match in _TOKEN.finditer(query):
        if not match.group().isspace():
            yield match.group()


def check_setting(name: str) -> None:
    """Raises Refused for a setting that an auditor may not change."""
    if not allowed.SETTINGS.fullmatch(name):
        raise Refused(f"the setting {name} cannot be changed here", UNKNOWN_SETTING)


def _check_words(query: str, params: dict[str, str]) -> None:
    tokens = list(words(query))
    if tokens[0] == "SHOW" and tokens[1] not in allowed.SHOWN:
        raise Refused(f"SHOW {tokens[1]} tells more than the store's tables")
    for at, token in enumerate(tokens):
        following = tokens[at + 1 : at + 3]
        if token == "INTO" and following[:1] == ["OUTFILE"]:
            raise Refused("INTO OUTFILE would write a file on the server: use the client's own")
        if token == "SETTINGS":
            for name in _setting_names(tokens[at + 1 :]):
                check_setting(name)
        # A line end in a name would make lines of its own in the tree.
        if token.startswith("`") and _ODD_NAME.search(token):
            raise Refused("a name holds a control character")
        if following == [":", "Identifier"] and _ODD_VALUE.search(params.get(token, "")):
            raise Refused(f"the parameter {token} is a name and holds a control character or a backslash")


def _setting_names(tokens: list[str]) -> Iterator[str]:
    """Names in `a = 1, b = {'x': 'y'}, c = 2 FORMAT …`; one in parts or after anything odd is given with all of it."""
    start, depth = 0, 0
    for at, token in enumerate(tokens):
        if depth < 0 or token in _CLAUSES:
            return
        if token == "=" and depth == 0:
            yield "".join(tokens[start:at])
        elif token == "," and depth == 0:
            start = at + 1
        depth += (token in ("{", "[", "(")) - (token in ("}", "]", ")"))


class Node(NamedTuple):
    """A line of `EXPLAIN AST`: what it is, and what it names."""

    kind: str
    name: str


def _node(line: str) -> Node:
    kind, _, rest = line.strip(" ").partition(" ")
    return Node(kind, _SUFFIX.sub("", " " + rest).strip(" "))


def check(query: str, params: dict[str, str], databases: dict[str, bool], explain: Explain) -> None:
    """Raises Refused unless `query`, as `formatQuery` wrote it, only reads the store; what `explain` raises.

    `databases` are all there are, and whether an auditor may read them; the session must be in one that may be read.
    """
    _check_words(query, params)
    nodes = [_node(line) for line in explain(query)]
    _check_statement(nodes, databases)
    for before, node in pairwise([Node("", ""), *nodes]):
        if node.kind == "Function":
            name = node.name
            if before.kind == "TableExpression" and name.lower() not in allowed.TABLE_FUNCTIONS:
                raise Refused(f"the table function {name} is not one of those that stay inside the store")
            if allowed.FUNCTIONS_REFUSED.fullmatch(name):
                raise Refused(f"the function {name} reaches outside the store")
        elif node.kind in ("TableIdentifier", "Identifier"):
            _check_name(node, databases)
    if any(node.kind == "TableIdentifier" and node.name in allowed.WITH_PATHS for node in nodes):
        _check_columns(nodes)


def _check_statement(nodes: list[Node], databases: dict[str, bool]) -> None:
    first = nodes[0]
    if first.kind not in allowed.STATEMENTS:
        raise Refused("only SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN can be run here")
    if first.kind == "Explain":
        explained = next((node.kind for node in nodes[1:] if node.kind != "Set"), "")
        if first.name not in allowed.EXPLANATIONS or explained not in allowed.STATEMENTS:
            raise Refused("only a SELECT can be explained here")
    elif first.kind.startswith(("ShowCreate", "Exists")) and "Database" not in first.kind:
        names = [node.name for node in nodes[1:] if node.kind == "Identifier"]
        _check_name(Node("TableIdentifier", ".".join(names)), databases)


def _check_name(node: Node, databases: dict[str, bool]) -> None:
    """A column or a table. `default` is no database of tables: any file of the machine is a table in it."""
    database, dot, name = node.name.partition(".")
    if not dot:
        return
    is_table = node.kind == "TableIdentifier"
    if database == SYSTEM:
        if name.partition(".")[0] not in allowed.SYSTEM_TABLES or (is_table and "." in name):
            raise Refused(f"{node.name} tells of more than the store's tables")
        if not is_table and node.name in allowed.WITH_PATHS:
            raise Refused(f"{node.name} has columns that name files")
    elif is_table and not databases.get(database):
        raise Refused(f"there is nothing to read in the database {database}")
    elif not databases.get(database, True):
        raise Refused(f"{database} may not be read, nor may a table be called so")


def _check_columns(nodes: list[Node]) -> None:
    count = [Node("Function", "count"), Node("ExpressionList", "")]
    for at, node in enumerate(nodes):
        is_star = node.kind.startswith(_STARS) and nodes[at - 2 : at] != count
        if is_star or (node.kind == "Identifier" and allowed.PATHS & set(node.name.split("."))):
            raise Refused(f"name the columns of {', '.join(sorted(allowed.WITH_PATHS))}: those of files are not shown")
