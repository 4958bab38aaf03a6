"""The part of a lockfile that an image is built from: its groups and extras.

By default the last install command of the project's own tool in the Dockerfile decides. If no command is
found, or a shell decides its words, the service's own requirements are required and all locked packages are
allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from release.chain.installed.commands import InstallCommand
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


class InstallOptions(Struct, frozen=True, kw_only=True):
    """Selected groups and extras of a lockfile."""

    source: str
    """Source of the choice, in words."""
    is_known: bool = True
    """False: neither settings nor Dockerfile show the choice."""
    groups: frozenset[str] | None = None
    """Group names with `main`; None: the default groups of the tool, changed by `more` and `fewer`."""
    added_groups: frozenset[str] = frozenset()
    removed_groups: frozenset[str] = frozenset()
    extras: frozenset[str] = frozenset()
    all_groups: bool = False
    all_extras: bool = False
    no_defaults: bool = False
    """True: of the tool's default groups, only `main` counts."""
    uv_words: tuple[str, ...] = ()
    """Options of the install command, as written."""


def choose_install_options(
    kind: str, config: Installed, commands: Sequence[InstallCommand], *, no_dev: bool
) -> InstallOptions:
    """Return the choice from the settings, else from the Dockerfile.

    Args:
        kind: the kind of the lockfile.
        config: the settings of the gate.
        commands: the install commands of the Dockerfile.
        no_dev: whether the Dockerfile sets UV_NO_DEV.
    """
    if config.groups is not None or config.extras is not None:
        return InstallOptions(
            source="installed.groups" if config.groups is not None else "installed.extras",
            groups=frozenset(config.groups if config.groups is not None else (MAIN,)),
            extras=frozenset(config.extras or ()),
        )
    tool, subcommands = _BY.get(kind, ("", ()))
    found = [each for each in commands if each.tool == tool and each.words[0] in subcommands]
    if not tool:
        return InstallOptions(source="the lockfile itself")
    if not found:
        return InstallOptions(source="", is_known=False, groups=frozenset({MAIN}))
    last = found[-1]
    if not last.is_certain:
        return InstallOptions(source=str(last), is_known=False, groups=frozenset({MAIN}))
    if tool == "uv":
        words = (*last.words[1:], *(("--no-dev",) if no_dev else ()))
        return InstallOptions(source=str(last), uv_words=words)
    return _READERS[tool](last)


def _parse_poetry_options(command: InstallCommand) -> InstallOptions:
    words = command.words
    only = _option_values(words, "--only")
    extras = _option_values(words, "--extras", "-E")
    is_export = words[0] == "export"
    return InstallOptions(
        source=str(command),
        groups=only or None,
        added_groups=_option_values(words, "--with") | ({"dev"} if "--dev" in words else set()),
        removed_groups=_option_values(words, "--without") | ({"dev"} if "--no-dev" in words else set()),
        extras=extras,
        all_extras="--all-extras" in words,
        all_groups="--all-groups" in words,
        no_defaults=is_export or "--only-root" in words,
    )


def _parse_pdm_options(command: InstallCommand) -> InstallOptions:
    words = command.words
    named = _option_values(words, "--group", "-G", "--with")
    has_no_main = "--no-default" in words
    return InstallOptions(
        source=str(command),
        added_groups=named - {":all"},
        removed_groups=_option_values(words, "--without") | ({MAIN} if has_no_main else set()),
        all_groups=":all" in named,
        no_defaults=not {"--prod", "--production", "-P", "--no-dev"}.isdisjoint(words),
    )


def _parse_pipenv_options(command: InstallCommand) -> InstallOptions:
    words = command.words
    named = _option_values(words, "--categories")
    more = {"develop"} if not {"--dev", "-d"}.isdisjoint(words) else set()
    if "--dev-only" in words:
        return InstallOptions(source=str(command), groups=frozenset({"develop"}))
    return InstallOptions(source=str(command), groups=named or frozenset({MAIN, *more}))


_READERS: Final = {
    "poetry": _parse_poetry_options,
    "pdm": _parse_pdm_options,
    "pipenv": _parse_pipenv_options,
}


def _option_values(words: Iterable[str], *names: str) -> frozenset[str]:
    """Return the values of an option that may be repeated or hold a list."""
    return frozenset(
        part for value in _raw_option_values(list(words), names) for part in value.replace(",", " ").split()
    )


def _raw_option_values(words: list[str], names: tuple[str, ...]) -> Iterator[str]:
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
