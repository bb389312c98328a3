"""What users see is documented: commands, the SDK; and what is code is packaged."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import proventrail.producers
from proventrail.cli.app import cli
from proventrail.cli.reference import reference

NOT_PACKAGED = {"tests", "benchmarks", "build", "docs", "examples", "deploy", "node_modules"}


def test_the_reference_of_the_command_line_is_the_help(repo_dir: Path) -> None:
    assert (repo_dir / "docs" / "cli.md").read_text() == reference(), "run `make docs`"


def test_every_option_has_a_help_text() -> None:
    def without(group, path: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from without(command, f"{path} {name}")
            for parameter in command.params:
                if parameter.param_type_name == "option" and not parameter.help:
                    yield f"{path} {name} {parameter.opts[-1]}"

    assert list(without(cli, "proventrail")) == []


def test_each_command_is_in_a_guide_besides_the_reference(repo_dir: Path) -> None:
    guides = [repo_dir / "README.md", *(path for path in (repo_dir / "docs").glob("*.md") if path.name != "cli.md")]
    text = "".join(path.read_text() for path in guides)
    assert [name for name in cli.commands if name not in text] == []


def public(module) -> Iterator[tuple[str, object]]:
    """Functions, classes and their methods that a user of the SDK may call."""
    for name, item in vars(module).items():
        own = getattr(item, "__module__", None) == module.__name__
        if name.startswith("_") or not own or not (inspect.isclass(item) or inspect.isfunction(item)):
            continue
        yield f"{module.__name__}.{name}", item
        if inspect.isclass(item):
            for method, function in vars(item).items():
                if not method.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                    yield f"{module.__name__}.{name}.{method}", function


def test_everything_public_of_the_sdk_has_a_docstring() -> None:
    root = proventrail.producers
    names = [root.__name__, *(m.name for m in pkgutil.walk_packages(root.__path__, f"{root.__name__}."))]
    modules = [importlib.import_module(name) for name in names]
    found = [(name, item) for module in modules for name, item in public(module)]
    assert len(found) > 10
    assert [name for name, item in found if not inspect.getdoc(item)] == []
    assert [module.__name__ for module in modules if not module.__doc__ and vars(module).get("__all__")] == []


def test_every_folder_with_code_is_packaged(repo_dir: Path) -> None:
    project = tomllib.loads((repo_dir / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {
        path.parent.relative_to(repo_dir)
        for top in repo_dir.iterdir()
        if top.is_dir() and top.name not in NOT_PACKAGED and not top.name.startswith(".")
        for path in top.rglob("*.py")
        if "__pycache__" not in path.parts and "egg-info" not in str(path)
    }
    assert {".".join(("proventrail", *folder.parts)) for folder in folders} | {"proventrail"} == listed
