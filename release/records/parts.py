"""Parts that records of several kinds share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from release.scalars import Matching

_SEMVER: Final = (
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)


DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


GitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


def _a_real_moment(text: str) -> str:
    """Return the text. Raise ValueError for a month 13, a day 31 of February, an hour 24."""
    datetime.fromisoformat(text)
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    AfterValidator(_a_real_moment),
]
"""RFC 3339 in UTC with milliseconds, so that text order is time order."""


VersionText = Annotated[str, Field(max_length=128), Matching(_SEMVER, 'a semantic version, as "1.4.2"')]
"""A semantic version that fits into an image's tag: 128 characters (OCI Distribution Specification 1.1)."""


DeploymentId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Part(BaseModel):
    """Immutable part of a record. Keys of a later minor version are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Actor(Part):
    """Person: git's name and address; `ci` names the CI system, if one ran."""

    name: str
    email: str
    ci: str | None = None


class Run(Part):
    """Run that made the record: its id, and the address of the CI job."""

    id: str
    url: str | None = None
