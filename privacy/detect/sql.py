"""The parts of a query that may hold data: its literals, each with the columns it belongs to, and its comments."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialects
from sqlglot.errors import SqlglotError

# Its warnings quote the query, and no value of an event may reach a log.
# A filter, as `disabled` is undone by whoever configures logging.
logging.getLogger("sqlglot").addFilter(lambda record: False)

_LONGEST_PARSED = 200_000
"""Characters; the tree of a longer query costs more than its column names are worth."""


@dataclass(frozen=True, slots=True)
class Part:
    """Characters start..end of the query are a literal without its quotes, or a comment. `contexts`: names of the
    columns that the literal is compared with, assigned or inserted to."""

    start: int
    end: int
    contexts: tuple[str, ...] = ()


_LEXICAL = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z)|(?<![\w$])#[^\n>\-][^\n]*)"
    r"|(?P<dollar>\$(?P<tag>\w{0,32})\$)"
    r"|(?P<string>'(?:[^'\\]|''|\\.)*(?:'|\Z))"
    r"|(?P<quoted>\"(?:[^\"]|\"\")*(?:\"|\Z)|`[^`]*(?:`|\Z)|\[[^\]\n]*\])"
    r"|(?P<number>(?<![\w.$])\d+(?:\.\d+)?(?![\w]))"
    r"|(?P<word>[A-Za-z_][\w$]*)|(?P<sign><=>|<>|!=|>=|<=|[=<>(),.])",
    re.DOTALL,
)


_ALSO_CALLED = {
    "postgresql": "postgres", "mariadb": "mysql", "sparksql": "spark", "sqlserver": "tsql", "mssql": "tsql",
    "googlesql": "bigquery", "standardsql": "bigquery", "hiveql": "hive", "prestosql": "presto",
}  # fmt: skip


def known_dialect(name: str) -> str:
    """sqlglot's name of a dialect (`Spark SQL` is `spark`), "" for one that it does not know."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = _ALSO_CALLED.get(plain, plain)
    return plain if plain in Dialects.__members__.values() else ""


def parts(query: str, dialect: str = "") -> list[Part]:
    """The literals and comments of a query, in ascending order. Never fails: what can't be parsed is split by form."""
    dialect = known_dialect(dialect)
    lexical = list(_tokens(query, dialect))
    columns = _columns(query, dialect)
    found = []
    for index, token in enumerate(lexical):
        if token.kind == "comment":
            found.append(Part(token.start, token.end))
        elif token.kind in ("string", "number"):
            text = query[token.start : token.end]
            names = {*columns.get(text.replace("''", "'"), ()), *_neighbours(lexical, index, query)}
            found.append(Part(token.start, token.end, tuple(sorted(names))))
    return found


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    start: int
    end: int


def _tokens(query: str, dialect: str) -> Iterator[_Lexeme]:
    """The lexemes; of strings and dollar-quoted bodies what is inside. Some dialects have strings in double quotes."""
    double_is_string = dialect in (
        "mysql",
        "bigquery",
        "spark",
        "spark2",
        "hive",
        "databricks",
        "doris",
        "starrocks",
    )
    position = 0
    while (match := _LEXICAL.search(query, position)) is not None:
        kind, position = str(match.lastgroup), match.end()
        start, end = match.span()
        if match["dollar"]:
            close = query.find(match["dollar"], position)
            end = close if close >= 0 else len(query)
            start, position, kind = position, min(len(query), end + len(match["dollar"])), "string"
        elif kind == "string" or (kind == "quoted" and double_is_string and query[start] == '"'):
            kind, start = "string", start + 1
            end -= 1 if end - start >= 1 and query[end - 1] == match[0][0] else 0
        yield _Lexeme("sign" if kind == "tag" else kind, start, end)


_SECRET_OPTION = re.compile(r"\w*(?:password|secret|token|_key)")
_OPERATORS = frozenset("= <=> <> != >= <= < > like ilike in between rlike regexp similar is not and to ( ,".split())


def _neighbours(lexemes: Sequence[_Lexeme], index: int, query: str) -> Iterator[str]:
    """Name before a comparison or an assignment, found by the tokens alone: `email = '…'`, `lower(name) LIKE '…'`."""
    seen_operator = False
    depth = 0
    for at in range(index - 1, max(-1, index - 41), -1):
        lexeme = lexemes[at]
        text = query[lexeme.start : lexeme.end].lower()
        if lexeme.kind in ("word", "quoted") and text not in _OPERATORS:
            if not seen_operator:
                # A prefix of the literal (`N'…'`, `DATE '…'`) or a function around it.
                if text in (
                    "n",
                    "e",
                    "x",
                    "b",
                    "r",
                    "u",
                    "date",
                    "timestamp",
                    "time",
                    "interval",
                    "lower",
                    "upper",
                    "trim",
                    "md5",
                    "sha2",
                    "concat",
                    "cast",
                    "to_date",
                    "sha256",
                    "crypt",
                ):
                    continue
                before = {query[word.start : word.end].lower() for word in lexemes[max(0, at - 3) : at]}
                # `IDENTIFIED BY '…'`, `IDENTIFIED WITH sha256_password BY '…'`; not `GROUP BY 1`.
                if text in ("password", "identified") or (text == "by" and "identified" in before):
                    yield "password"
                elif _SECRET_OPTION.fullmatch(text):
                    # `COPY … SECRET_ACCESS_KEY '…'`
                    yield text
                return
            if text in ("set", "where", "or", "values", "select", "on", "having", "when", "then", "else"):
                return
            if text in ("lower", "upper", "trim", "cast", "coalesce") and depth <= 0:
                continue
            yield query[lexeme.start : lexeme.end].strip('"`[]')
            return
        if text in _OPERATORS - {"(", ",", "and"}:
            seen_operator = True
        elif text == ")":
            depth += 1
            if not seen_operator:
                return
        elif text == "(":
            depth -= 1
        elif lexeme.kind == "sign" and text == ".":
            continue


def _columns(query: str, dialect: str) -> dict[str, set[str]]:
    """Value of a literal -> names of the columns that it meets in the tree."""
    found: dict[str, set[str]] = defaultdict(set)
    if len(query) > _LONGEST_PARSED:
        return found
    try:
        trees = sqlglot.parse(query, dialect=dialect or None)
    except (SqlglotError, ValueError, RecursionError):
        return found
    for tree in trees:
        if tree is None or isinstance(tree, exp.Command):
            continue
        for insert in tree.find_all(exp.Insert):
            for value, name in _inserted(insert):
                found[value].add(name)
        for literal in tree.find_all(exp.Literal):
            found[str(literal.this)].update(_compared(literal))
    return found


def _inserted(insert: exp.Insert) -> Iterator[tuple[str, str]]:
    target = insert.this
    if not isinstance(target, exp.Schema):
        return
    names = [column.name for column in target.expressions]
    rows: list[Iterable[exp.Expression]] = []
    source = insert.expression
    if isinstance(source, exp.Values):
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in source.expressions]
    elif isinstance(source, exp.Select):
        rows = [source.expressions]
    for row in rows:
        for name, value in zip(names, row, strict=False):
            for literal in value.find_all(exp.Literal):
                yield str(literal.this), name


_MEETING = (exp.Predicate, exp.Binary, exp.In, exp.Between, exp.PropertyEQ)


def _compared(literal: exp.Literal) -> Iterator[str]:
    """The columns on the other side of the nearest comparison or assignment, and the alias that the literal gets."""
    node: exp.Expr = literal
    while (parent := node.parent) is not None and not isinstance(parent, exp.Query):
        if isinstance(parent, exp.Alias):
            yield parent.alias
            return
        if isinstance(parent, _MEETING) and not isinstance(parent, exp.Connector):
            for column in parent.find_all(exp.Column):
                yield column.name
            if isinstance(parent, exp.PropertyEQ | exp.EQ) and isinstance(parent.this, exp.Identifier | exp.Var):
                yield parent.this.name
            return
        node = parent
