"""Who does something, in which run, when: what the envelope of every record says.

The variables that continuous-integration systems set are documented by each of them: GitHub Actions "Default
environment variables", GitLab CI/CD "Predefined variables", Jenkins "Using environment variables".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import release
from release.records import Actor, Body, Draft, Run
from release.source import Source

TOOL: Final = f"release {release.__version__}"
"""The program that writes the record."""


def moment(time: datetime) -> str:
    """A time as records write it: RFC 3339, UTC, milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """This moment as records write it."""
    return moment(datetime.now(UTC))


def new_id() -> str:
    """Twelve random hexadecimal digits: the name of a run or of a deployment."""
    return secrets.token_hex(6)


def actor(source: Source, environ: Mapping[str, str]) -> Actor:
    """The person that git knows here, and the CI system that acts for them."""
    name, email = source.identity()
    return Actor(name=name, email=email, ci=_system(environ))


def run(run_id: str, environ: Mapping[str, str]) -> Run:
    """The run, with the CI job's address where there is one."""
    return Run(id=run_id, url=_address(environ))


def draft(service: str, body: Body, *, actor: Actor, run: Run) -> Draft[Body]:
    """A record of this moment that has not found its place in the ledger yet."""
    return Draft(service=service, recorded_at=now(), actor=actor, run=run, tool=TOOL, body=body)


def _system(environ: Mapping[str, str]) -> str | None:
    known = {
        "GITHUB_ACTIONS": "GitHub Actions",
        "GITLAB_CI": "GitLab CI",
        "JENKINS_URL": "Jenkins",
        "CI": "CI",
    }
    return next((name for variable, name in known.items() if environ.get(variable)), None)


def _address(environ: Mapping[str, str]) -> str | None:
    if environ.get("GITHUB_ACTIONS"):
        server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
    return environ.get("CI_JOB_URL") or environ.get("BUILD_URL")
