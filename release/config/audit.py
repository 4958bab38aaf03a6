"""`[tool.release.audit]`: known vulnerabilities of the packages in the image, by a command of your own."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from release.config.kinds import Arguments, Pinned
from release.scalars import Items, Value, VariableName


def _a_day(text: str) -> str:
    """Return the text. Raise ValueError if it is not a date."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f'{text!r} is not a date: write it as "2026-12-31"')
    date.fromisoformat(text)
    return text


class AuditWaiver(Value):
    """`[tool.release.audit.waivers.<id>]`: a vulnerability that does not stop releases for a while."""

    reason: Annotated[str, Field(min_length=3, max_length=500)]
    """Reason, for the record."""
    until: Annotated[str, AfterValidator(_a_day)]
    """Last day of the waiver, in UTC, as "2026-12-31"."""


class Audit(Value):
    """`[tool.release.audit]`: known vulnerabilities of the packages in the image."""

    command: Arguments | None = None
    """Command and its arguments; absent: no audit. `{packages}` is a requirements file of all packages,
    `{sbom}` the bill of materials, `{output}` the file to which the command writes its findings, as JSON."""
    tools: Items[Pinned] = ()
    """Requirements with exact versions for an isolated environment, as ["pip-audit==2.10.1"]."""
    check: Literal["fail", "warn"] = "fail"
    """Answer to a vulnerability without a waiver: an error, or a warning."""
    allow_unchecked: bool = False
    """Go on with a warning if the command gives no findings that can be read, as without a network."""
    pass_env: Items[VariableName] = ()
    """Variables of the operator's environment that the command gets beside the usual ones."""
    waivers: dict[str, AuditWaiver] = Field(default_factory=dict)
    """Waivers, by the id or an alias of a vulnerability."""

    @model_validator(mode="after")
    def _is_complete(self) -> Audit:
        if self.command is not None and "{output}" not in " ".join(self.command):
            raise ValueError("command: add {output}, the file that the command writes its findings to")
        return self
