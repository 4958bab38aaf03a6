"""The start-up line: the service's output names its version and commit, even if it never gets healthy."""

from __future__ import annotations

from typing import Final

from release.chain.smoking.run import SmokeContainer

_LINES: Final = 1_000
"""Lines of the output that are searched."""
_DIGITS: Final = 7
"""Number of digits of the commit id that suffice, as git abbreviates."""


def check_startup_line(run: SmokeContainer, container: str) -> None:
    """Refuse output without version and commit, if the settings ask for such a line. Raises GateFailed."""
    if not run.settings.startup_line:
        return
    version, commit = str(run.ctx.plan.version), run.ctx.plan.commit.id
    lines = run.ctx.engine.logs(container, lines=_LINES)
    if not any(version in line and commit[:_DIGITS] in line for line in lines):
        found = f"no line of its output has the version {version} and the commit {commit[:_DIGITS]}"
        raise run.create_error(container, found, lambda _: HINT)


HINT: Final = (
    "in the Dockerfile: ARG VERSION COMMIT, then ENV APP_VERSION=$VERSION APP_COMMIT=$COMMIT "
    "PYTHONUNBUFFERED=1. At the start of the service: "
    "print(f\"starting {os.environ['APP_VERSION']} {os.environ['APP_COMMIT']}\")"
)
