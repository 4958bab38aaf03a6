"""Options of the nox sessions, after `--`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from release.chain.names import SESSIONS

_FLAGS: Final = {
    "--plan": "print the plan, and stop",
    "--no-cache": "build every layer again, without the cache",
    "--no-reuse": "run every gate, also gates that passed on the same inputs",
    "--allow-dirty": "release the commit although the working copy has changed files",
    "--new-ledger": "begin a ledger although git tags name releases of an earlier one, as in a fork",
    "--json": "print the record as JSON",
}
"""Options of all sessions that take no value."""


def parse_arguments(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options after `--`. argparse ends the program with status 2 for a wrong option."""
    return parser_of(name).parse_args(arguments)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a session's options."""
    parser = argparse.ArgumentParser(prog=f"nox -s {name} --", description=SESSIONS[name], allow_abbrev=False)
    parser.add_argument("--service", help="service to release, if the repository has several")
    parser.add_argument("--version", help="release exactly this version")
    parser.add_argument("--bump", help="major, minor or patch, instead of the bump that the commits ask for")
    for flag, words in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=words)
    if name == "release":
        words = "release: all services that changed since their own last release, each with its own version"
        parser.add_argument("--changed", action="store_true", help=words)
        parser.add_argument("--jobs", help="with --changed: services at the same time; absent: 2")
    if name == "test":
        parser.add_argument("-k", dest="only", help="tests to run: an expression of pytest")
    if name == "refresh":
        words = "refresh: update this package only; may be given several times"
        parser.add_argument("--package", action="append", default=[], help=words)
    return parser


def options_for_each_service(arguments: argparse.Namespace) -> list[str]:
    """Return the options of `--changed` that each service's program also gets."""
    flags = ("--no-cache", "--no-reuse", "--allow-dirty", "--new-ledger")
    return [flag for flag in flags if getattr(arguments, flag.removeprefix("--").replace("-", "_"))]
