"""docker-compose.yml as Compose reads it: merged, with the values of an env file. The interop suite compares both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def env_file(path: Path) -> dict[str, str]:
    """The NAME=VALUE lines of a file."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables(text: str) -> set[str]:
    """Names that a Compose file takes from the environment."""
    return {match["name"] for match in _VARIABLE.finditer(text)}


def _interpolated(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _interpolated(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolated(value, values) for value in node]
    if isinstance(node, str):
        return _VARIABLE.sub(lambda match: values[match["name"]], node)
    return node


def services(repo_dir: Path, values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Service name -> its definition, `environment` with what its `env_file` holds."""
    content = yaml.safe_load((repo_dir / "docker-compose.yml").read_text())
    found: dict[str, dict[str, Any]] = _interpolated(content["services"], values)
    for service in found.values():
        given = env_file(repo_dir / service["env_file"]) if "env_file" in service else {}
        service["environment"] = {**given, **service.get("environment", {})}
    return found


def environment_here(service: Mapping[str, Any], repo_dir: Path) -> dict[str, str]:
    """The environment of a service, files that are mounted from the repository named where they are."""
    given: dict[str, str] = service["environment"]
    mounts = (mount.split(":") for mount in service.get("volumes", []) if mount.startswith("./"))
    places = {target: str(repo_dir / source) for source, target, *_ in mounts}
    return {name: places.get(value, value) for name, value in given.items()}
