"""`[tool.release.installed]`: the packages in the image, compared with the lockfile."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from release.scalars import Items, Value


def _canonical(waivers: dict[str, str]) -> dict[str, str]:
    """Normalise the names, as PEP 503 has it. `packaging` would cost each command the time of its import."""
    return {re.sub(r"[-_.]+", "-", name).lower(): reason for name, reason in waivers.items()}


Reason = Annotated[str, Field(min_length=3, max_length=500)]


class Installed(Value):
    """`[tool.release.installed]`: the packages in the image are those of the lockfile."""

    check: Literal["fail", "warn", "off"] = "warn"
    """"fail": a missing, extra or different package stops the release. "warn": it is shown and recorded.
    "off": the image is not read."""
    secrets: Literal["fail", "warn", "off"] = "fail"
    """"fail": a layer that holds a build secret, or a secret of an environment whose variable or file this
    machine has, stops the release. "warn": it is shown. "off": no secret is looked for."""
    allow_unchecked: bool = False
    """With "fail": go on with a warning if the lockfile cannot be evaluated for the image."""
    groups: Items[str] | None = None
    """Groups of the lockfile that the image has; "main" has the packages that the service always needs.
    Absent: as the Dockerfile installs them."""
    extras: Items[str] | None = None
    """Extras of the project that the image has. Absent: as the Dockerfile installs them."""
    environments: Items[str] = ()
    """Environments that are compared, by their folders in the image, as "/app/.venv". Absent: each one that
    the Dockerfile adds packages to."""
    waivers: Annotated[dict[str, Reason], AfterValidator(_canonical)] = Field(default_factory=dict)
    """Packages that may differ, each with a reason, which is recorded: { poetry = "installs the others" }. It
    covers the unlocked packages that a waived one needs too."""
