"""A policy ready for use: which rule fits which path, and what a rule does with which kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from proventrail.privacy.contracts import Groups
from proventrail.privacy.errors import PolicyError
from proventrail.privacy.policy.annotations import annotated
from proventrail.privacy.policy.model import Action, Limits, PolicyModel, Rule, Scan
from proventrail.privacy.policy.paths import Automaton, Node, Pattern, names, parse_path, value_fits
from proventrail.schemas.yaml_file import YamlError, YamlFile, read_yaml

_DATA_BEARING = ("**.facets.*.**", "**.inputFacets.*.**", "**.outputFacets.*.**", "**.extra.**")
"""Where a name may be that of a column: within facets, never the facet's own name."""


@dataclass(frozen=True, eq=False)
class Treatment:
    """A rule in force. `actions` holds what to do with each kind that is known; other kinds get `otherwise`."""

    transform: Action | Scan
    kind: str
    actions: dict[str, Action]
    otherwise: Action
    only: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    prefixes: tuple[str, ...] = ()

    def action(self, kind: str) -> Action:
        return self.actions.get(kind, self.otherwise)

    def fits(self, value: str) -> bool:
        """Whether the rule is for this value."""
        return (self.only is None or self.only.match(value) is not None) and (
            self.unless is None or self.unless.match(value) is None
        )


Place = Node[Treatment]


@dataclass
class Policy:
    """`version` is the fingerprint that goes with each event. Raises PolicyError for kinds that nothing detects."""

    model: PolicyModel
    groups: Groups
    source: YamlFile | None = None
    version: str = field(init=False)
    default: Treatment = field(init=False)
    _roots: dict[str, Place] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._check_kinds()
        self.version = self.model.fingerprint(sorted(self.groups.items()))
        self.default = self._treatment(Rule(path=["**"], transform="detect"))

    @property
    def limits(self) -> Limits:
        return self.model.limits

    @property
    def classifications(self) -> set[str]:
        """Those that make a difference."""
        return {name for rule in self.model.rules for name in rule.classified}

    def root(self, classification: str = "") -> Place:
        """Where all paths begin; for those of a dataset with its classification."""
        if classification not in self._roots:
            self._roots[classification] = self._automaton(classification).root
        return self._roots[classification]

    def _check_kinds(self) -> None:
        known = {"default", "value", *self.groups, *self.groups.values()}
        for at, rule in enumerate(self.model.rules):
            known |= {rule.kind}
            self._check_table(rule.kinds, known, ("rules", at, "kinds"))
        self._check_table(self.model.kinds, known, ("kinds",))
        self._check_table(self.model.identities, known, ("identities",))

    def _check_table(self, table: Mapping[str, str], known: set[str], place: tuple[int | str, ...]) -> None:
        for kind in table:
            if kind not in known:
                reason = f"{'.'.join(map(str, place))}: nothing detects the kind or group {kind}"
                raise PolicyError(self.source.error((*place, kind), reason) if self.source else reason)

    def _treatment(self, rule: Rule) -> Treatment:
        tables = (rule.kinds, self.model.kinds)

        def action(kind: str, group: str) -> Action:
            for table in tables:
                for name in (kind, group, "default"):
                    if name in table:
                        return table[name]
            raise PolicyError("the policy has no default for kinds")

        return Treatment(
            transform=rule.transform,
            kind=rule.kind,
            actions={kind: action(kind, group) for kind, group in self.groups.items()},
            otherwise=action("default", "default"),
            only=value_fits(rule.only),
            unless=value_fits(rule.unless),
            prefixes=tuple(prefix.lower() for prefix in rule.prefixes),
        )

    def _automaton(self, classification: str) -> Automaton[Treatment]:
        patterns: list[tuple[Pattern, int]] = []
        treatments: list[Treatment] = []
        for rule in [*self.model.rules, *annotated()]:
            if rule.classified and classification not in rule.classified:
                continue
            bases = [parse_path(path) for path in rule.path or (_DATA_BEARING if rule.columns else ())]
            found = [(*base, names(rule.columns)) for base in bases] if rule.columns else bases
            patterns += [(pattern, len(treatments)) for pattern in found]
            treatments.append(self._treatment(rule))
        return Automaton(patterns, treatments)


def read_policy(path: Path, groups: Groups) -> Policy:
    """The policy of a YAML file. Raises PolicyError with file, line and reason."""
    try:
        file = read_yaml(path)
        model = PolicyModel.model_validate(file.content)
    except YamlError as error:
        raise PolicyError(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise PolicyError(file.error(first["loc"], f"{where}: {first['msg']}")) from None
    return Policy(model, groups, file)


def default_policy(groups: Groups) -> Policy:
    """The policy that ships with Proventrail."""
    return read_policy(Path(str(files("proventrail.privacy.policy").joinpath("default.yaml"))), groups)
