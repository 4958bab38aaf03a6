"""Variables of an environment today, shared ones, those of files and its own, and their origins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from release.config import Environment
from release.deploy.environment.environment import EnvironmentRef
from release.deploy.environment.files import Unfit, text_of
from release.errors import Problem
from release.parsing import envfile
from release.secrets.detection import secret_suspicion
from release.values import Struct

_SECRET: Final = "secrets"  # noqa: S105 - the name of a table
_INSTEAD: Final = (
    "name the variables that are no secrets in another file, as deploy/production.env, and make the others "
    "secrets"
)


class Variables(Struct, frozen=True, kw_only=True):
    """Plain variables of an environment, and problems of the files that define them."""

    values: dict[str, str]
    """Values by name, which are recorded with the deployment."""
    origins: Mapping[str, str]
    """Place where each variable is written, secrets too, by name."""
    problems: tuple[Problem, ...] = ()


def read_variables(live: EnvironmentRef) -> Variables:
    """Return the variables of configuration and files. A secret of the same name has priority.

    A variable of a file that looks like a secret is a problem, because records are not encrypted.
    """
    given, shared = live.settings, live.workspace.service.env
    values = dict(shared)
    origins = dict.fromkeys(shared, "env of the service")
    problems: list[Problem] = []
    for path in given.env_file:
        found, wrong = _of_file(live, path)
        problems += wrong
        values |= found
        origins |= dict.fromkeys(found, f"the file {path}")
    values |= given.env
    origins |= {name: _writer(live, name) for name in given.env}
    origins |= {name: f"{_SECRET}: {_source(given, name)}" for name in given.secrets}
    plain = {name: value for name, value in values.items() if name not in given.secrets}
    return Variables(values=plain, origins=origins, problems=tuple(problems))


def _of_file(live: EnvironmentRef, path: str) -> tuple[dict[str, str], list[Problem]]:
    """Return the variables of a file that may be recorded, and a problem for every other one."""
    where = f"environments.{live.place.environment}.env_file"
    try:
        text = text_of(live.workspace.source.root, path, _INSTEAD)
    except Unfit as error:
        return {}, [Problem(path=where, message=str(error))]
    found, wrong = envfile.parse(text)
    problems = [Problem(path=where, message=f"{path}, {each}") for each in wrong]
    secrets, own = live.settings.secrets, live.settings.env
    for name, value in found.items():
        why = None if name in secrets or name in own else secret_suspicion(name, value)
        if why is not None:
            problems.append(Problem(path=where, message=_like_a_secret(path, name, why)))
    return found, problems


def _like_a_secret(path: str, name: str, why: str) -> str:
    source = f'secrets = {{ {name} = {{ from_env = "{name}" }} }}'
    return (
        f"{name} in {path} looks like a secret ({why}), and variables are recorded: make it a secret, as "
        f"{source}; if it is none, write it into env"
    )


def _writer(live: EnvironmentRef, name: str) -> str:
    """Return the environment that writes this variable: the last one above that has the same value."""
    environments, place = live.workspace.service.environments, live.place.environment
    value, writer, above = live.settings.env[name], place, live.settings.extends
    while above is not None and environments[above].env.get(name) == value:
        writer, above = above, environments[above].extends
    return f"env of {writer}" if writer == place else f"env of {writer}, which {place} extends"


def _source(given: Environment, name: str) -> str:
    """Return the place that a secret comes from, without any value."""
    secret = given.secrets[name]
    if secret.from_env is not None:
        return f"the variable {secret.from_env} of this machine"
    if secret.from_file is not None:
        return f"the file {secret.from_file} of this machine"
    return f"the command `{(secret.from_command or ('',))[0]}`"
