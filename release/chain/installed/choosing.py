"""The part of a lockfile that an image is built from: its groups and extras.

By default the last install command of the project's own tool in the Dockerfile decides. If no command is
found, or a shell decides its words, the service's own requirements are required and all locked packages are
allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from release.chain.installed.commands import Command
from release.chain.lockgate import detect
from release.config import Installed
from release.values import Struct

MAIN: Final = "main"
"""Name of the group that a service always needs."""

_BY: Final = {
    detect.UV: ("uv", ("sync", "export")),
    detect.POETRY: ("poetry", ("install", "sync", "export")),
    detect.PDM: ("pdm", ("install", "sync", "export")),
    detect.PIPENV: ("pipenv", ("install", "sync", "requirements")),
}
"""Tools by kind of lockfile, with the subcommands that install from the lockfile or export it."""


class Choice(Struct, frozen=True, kw_only=True):
    """Selected groups and extras of a lockfile."""

    said: str
    """Source of the choice, in words."""
    is_known: bool = True
    """False: neither settings nor Dockerfile show the choice."""
    groups: frozenset[str] | None = None
    """Group names with `main`; None: the default groups of the tool, changed by `more` and `fewer`."""
    more: frozenset[str] = frozenset()
    fewer: frozenset[str] = frozenset()
    extras: frozenset[str] = frozenset()
    all_groups: bool = False
    all_extras: bool = False
    no_defaults: bool = False
    """True: of the tool's default groups, only `main` counts."""
    words: tuple[str, ...] = ()
    """Options of the install command, as written."""


def choose(kind: str, config: Installed, commands: Sequence[Command], *, no_dev: bool) -> Choice:
    """Return the choice from the settings, else from the Dockerfile.

    Args:
        kind: the kind of the lockfile.
        config: the settings of the gate.
        commands: the install commands of the Dockerfile.
        no_dev: whether the Dockerfile sets UV_NO_DEV.
    """
    if config.groups is not None or config.extras is not None:
        return Choice(
            said="installed.groups" if config.groups is not None else "installed.extras",
            groups=frozenset(config.groups if config.groups is not None else (MAIN,)),
            extras=frozenset(config.extras or ()),
        )
    tool, subcommands = _BY.get(kind, ("", ()))
    found = [each for each in commands if each.tool == tool and each.words[0] in subcommands]
    if not tool:
        return Choice(said="the lockfile itself")
    if not found:
        return Choice(said="", is_known=False, groups=frozenset({MAIN}))
    last = found[-1]
    if not last.is_certain:
        return Choice(said=str(last), is_known=False, groups=frozenset({MAIN}))
    if tool == "uv":
        words = (*last.words[1:], *(("--no-dev",) if no_dev else ()))
        return Choice(said=str(last), words=words)
    return _READERS[tool](last)


def _of_poetry(command: Command) -> Choice:
    words = command.words
    only = _values(words, "--only")
    extras = _values(words, "--extras", "-E")
    is_export = words[0] == "export"
    return Choice(
        said=str(command),
        groups=only or None,
        more=_values(words, "--with") | ({"dev"} if "--dev" in words else set()),
        fewer=_values(words, "--without") | ({"dev"} if "--no-dev" in words else set()),
        extras=extras,
        all_extras="--all-extras" in words,
        all_groups="--all-groups" in words,
        no_defaults=is_export or "--only-root" in words,
    )


def _of_pdm(command: Command) -> Choice:
    words = command.words
    named = _values(words, "--group", "-G", "--with")
    has_no_main = "--no-default" in words
    return Choice(
        said=str(command),
        more=named - {":all"},
        fewer=_values(words, "--without") | ({MAIN} if has_no_main else set()),
        all_groups=":all" in named,
        no_defaults=not {"--prod", "--production", "-P", "--no-dev"}.isdisjoint(words),
    )


def _of_pipenv(command: Command) -> Choice:
    words = command.words
    named = _values(words, "--categories")
    more = {"develop"} if not {"--dev", "-d"}.isdisjoint(words) else set()
    if "--dev-only" in words:
        return Choice(said=str(command), groups=frozenset({"develop"}))
    return Choice(said=str(command), groups=named or frozenset({MAIN, *more}))


_READERS: Final = {"poetry": _of_poetry, "pdm": _of_pdm, "pipenv": _of_pipenv}


def _values(words: Iterable[str], *names: str) -> frozenset[str]:
    """Return the values of an option that may be repeated or hold a list."""
    return frozenset(part for value in _raw(list(words), names) for part in value.replace(",", " ").split())


def _raw(words: list[str], names: tuple[str, ...]) -> Iterator[str]:
    for place, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name in names and has_value:
            yield value
        elif word in names and place + 1 < len(words):
            yield words[place + 1]
        else:
            short = next((each for each in names if len(each) == 2 and word.startswith(each)), None)
            if short is not None and word != short and not word.startswith("--"):
                yield word[len(short) :]
