"""The envelope of a record: person, time, CI job and tool."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from release import __version__
from release.records import Actor

_NOT: Final = (None, "", "0", "false")
"""Values of a variable that say that this is not the CI system."""

TOOL = f"release {__version__}"
"""Name and version of this library in records."""


def utc_now_text() -> str:
    """Return the current time as records write it: RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def current_actor(identity: tuple[str, str], environ: Mapping[str, str]) -> Actor:
    """Return the person that git knows, and the CI system that runs this process, if any.

    Args:
        identity: git's name and address.
        environ: the process's environment.
    """
    name, email = identity
    return Actor(
        name=environ.get("GITHUB_ACTOR") or environ.get("GITLAB_USER_NAME") or name,
        email=email,
        ci=ci_system(environ),
    )


def run_url(environ: Mapping[str, str]) -> str | None:
    """Return the address of the CI job, which has its log; None outside of CI."""
    if "GITHUB_RUN_ID" in environ:
        server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{environ['GITHUB_RUN_ID']}"
    return environ.get("CI_JOB_URL") or environ.get("BUILD_URL")


def ci_system(environ: Mapping[str, str]) -> str | None:
    """Return the name of the CI system that runs this process; None outside of CI."""
    names = {"GITHUB_ACTIONS": "github", "GITLAB_CI": "gitlab", "JENKINS_URL": "jenkins", "CI": "ci"}
    return next((name for variable, name in names.items() if environ.get(variable) not in _NOT), None)
