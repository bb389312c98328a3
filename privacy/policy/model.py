"""The policy as people write it, checked by pydantic."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from proventrail.privacy.policy.fields import reaches_something
from proventrail.privacy.policy.paths import parse_path

Action = Literal["keep", "redact", "mask", "generalise", "pseudonymise", "tokenise", "drop"]
"""What happens to a value, or to a stretch of a text."""

Scan = Literal["detect", "sql", "uri"]
"""How a text is looked through; each stretch found is then treated by its kind."""

ENGINE = 1
"""Raised when the same policy would write other texts than before: it is part of the fingerprint."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _known(value: Any, *sets: Any) -> Any:
    known = [name for names in sets for name in get_args(names)]
    if value not in known:
        raise ValueError(f"unknown transformation; known are {', '.join(known)}")
    return value


_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Names = Annotated[list[_Name], BeforeValidator(_listed)]
_Action = Annotated[Action, BeforeValidator(lambda value: _known(value, Action))]
_Transform = Annotated[Action | Scan, BeforeValidator(lambda value: _known(value, Action, Scan))]
KindName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Rule(_Strict):
    """Which values are meant, and what happens to them. The first rule of a policy that fits a value decides."""

    path: _Names = Field(default_factory=list)
    columns: _Names = Field(default_factory=list)
    """Names (wildcards * and ?) of columns and properties: values that a facet holds under such a name."""
    only: _Names = Field(default_factory=list)
    """Values (wildcards) that the rule is for; the next rule has the others. Empty: all."""
    unless: _Names = Field(default_factory=list)
    """Values (wildcards) that the rule leaves to the next one."""
    prefixes: _Names = Field(default_factory=list)
    """What may stand before the value and stays, such as `user:`."""
    classified: _Names = Field(default_factory=list)
    """Only datasets with one of these classifications in the catalogue."""
    transform: _Transform
    kind: KindName = "value"
    """What the whole value is, where detection does not know better."""
    kinds: dict[KindName, _Action] = Field(default_factory=dict)
    """Kinds or groups of kinds that this rule treats in its own way."""

    @field_validator("path")
    @classmethod
    def _paths(cls, value: list[str]) -> list[str]:
        for path in value:
            if not reaches_something(parse_path(path)):
                raise ValueError(f"{path} fits no field of an event: docs/privacy.md lists the paths")
        return value

    @model_validator(mode="after")
    def _says_where(self) -> Rule:
        if not self.path and not self.columns:
            raise ValueError("needs path or columns: which values are meant?")
        return self


class Limits(_Strict):
    """A facet beyond these is redacted as a whole: what is not looked at is not passed on."""

    facet_bytes: int = Field(4 << 20, ge=1024)
    depth: int = Field(200, ge=4, le=1000)


class PolicyModel(_Strict):
    """A whole policy file."""

    version: Literal[1]
    name: _Name
    kinds: dict[KindName, _Action]
    identities: dict[KindName, KindName] = Field(default_factory=dict)
    """Kinds that name the same persons as another kind: they share its pseudonyms."""
    rules: list[Rule]
    limits: Limits = Limits()

    @field_validator("kinds")
    @classmethod
    def _has_default(cls, value: dict[str, str]) -> dict[str, str]:
        if "default" not in value:
            raise ValueError("needs an entry `default`: what happens to kinds that are not listed")
        return value

    def fingerprint(self, also: Any) -> str:
        """First 16 hex digits of the SHA-256 over the policy, `also` and the engine's version."""
        told = json.dumps([ENGINE, self.model_dump(), also], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()[:16]
