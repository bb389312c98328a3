"""What people write by hand, checked: catalogue entries. Errors name the field and what would be right."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from proventrail.schemas.naming import normalise_dataset

SourceKind = Literal["database", "api", "sensor", "public-dataset", "file-store", "stream", "model", "other"]

_CRON_FIELD = r"(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/\d+)?(,(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/\d+)?)*"
_CRON = re.compile(rf"^{_CRON_FIELD}( {_CRON_FIELD}){{4}}$")
_DURATION = re.compile(r"^P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$")

_NotEmpty = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class CatalogEntry(BaseModel):
    """A data source, or a family of them: `namespace` and `name` may hold the wildcards * and ?."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: _NotEmpty
    name: _NotEmpty = "*"
    kind: SourceKind
    description: str = ""
    owner: str = ""
    steward: str = ""
    classification: str = ""
    retention_class: str = ""
    regulations: list[str] = Field(default_factory=list)
    licence: str = ""
    cadence: str = ""
    tags: dict[str, str] = Field(default_factory=dict)

    @field_validator("cadence")
    @classmethod
    def _cadence(cls, value: str) -> str:
        if value and not _CRON.match(value) and not _DURATION.match(value):
            raise ValueError("must be a cron expression of five fields, or an ISO 8601 duration such as PT1H")
        return value

    def to_record(self) -> dict[str, Any]:
        """The record of `catalog_entry`, under the dataset's normalised name."""
        record = self.model_dump()
        if not self.is_pattern:
            record["namespace"], record["name"] = normalise_dataset(self.namespace, self.name)
        return record

    @property
    def is_pattern(self) -> bool:
        return any(char in self.namespace + self.name for char in "*?")
