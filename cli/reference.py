"""`python -m proventrail.cli.reference FILE`: the commands and their options as Markdown, from click's own help."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from proventrail.cli.app import cli
from proventrail.cli.options import with_target

_HEAD = """\
# The command `proventrail`

Written by `make docs` from the help of the commands; change it there.

Exit codes: 0 done · 1 the answer is no (delivery is not whole, a dataset is not known, events were refused, a stage is
not ready) · 2 the call is wrong (an option, a query, a file) · 3 a part of the pipeline cannot be reached or cannot go
on · 130 Ctrl-C · 141 the reader of a pipe went away. An error is one line on stderr: `error: …`.
"""


def _shared() -> list[str]:
    """Names of the options that every command has."""

    @click.command()
    @with_target
    def empty(target: object) -> None: ...

    return [parameter.name for parameter in empty.params if parameter.name]


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Full name and command, groups by their commands."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _option(context: click.Context, parameter: click.Parameter) -> str:
    record = parameter.get_help_record(context)
    names, text = record or (parameter.make_metavar(context), "")
    variable = getattr(parameter, "envvar", None)
    words = [" ".join(text.split()), f"Environment: `{variable}`." if variable else ""]
    # In a cell a bar would end it.
    cells = [f"`{names}`", " ".join(filter(None, words))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(context: click.Context, options: Sequence[click.Parameter]) -> str:
    return "\n".join(["| option | |", "|---|---|", *(_option(context, option) for option in options)])


def _section(name: str, command: click.Command, shared: list[str]) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    own = [p for p in command.params if isinstance(p, click.Option) and p.name not in shared]
    parts = [f"## {name.removeprefix('proventrail ')}", f"`{usage}`", (command.help or "").strip()]
    return "\n\n".join([*parts, _table(context, own)] if own else parts)


def reference() -> str:
    """The text of docs/cli.md."""
    shared = _shared()
    sections = [_section(name, command, shared) for name, command in _commands(cli, "proventrail")]
    some = next(command for _, command in _commands(cli, "proventrail"))
    common = [parameter for parameter in some.params if parameter.name in shared]
    every = f"## Options of every command\n\n{_table(click.Context(some), common)}"
    return "\n\n".join([_HEAD.rstrip(), *sections, every]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
