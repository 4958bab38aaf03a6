"""Hints for a container that does not end, or not with status 0, after its stop signal."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Final

from release.chain.smoking.hints import SmokeFailure, where_command_is_set, where_to_read_output
from release.programs.signals import Signal
from release.text.shortening import shortened

_SHELLS: Final = ("/bin/sh", "/bin/bash", "/bin/ash", "sh", "bash")
_SIMPLE: Final = re.compile(r"[\w\s./:=,@%+-]+")
"""One command without quotes, variables and operators of a shell."""
_LONGEST: Final = 200
_OTHERS: Final = {2: "SIGINT", 3: "SIGQUIT", 1: "SIGHUP", 10: "SIGUSR1", 15: "SIGTERM"}
"""Signals on which programs end, the likely ones first."""


def _suggest_exec_form(argv: Sequence[str], *, entrypoint: Sequence[str], setting: str) -> str:
    """Return the hint for a command that a shell runs; empty without a shell.

    Args:
        argv: the command that runs.
        entrypoint: the image's ENTRYPOINT.
        setting: the settings that name the command; empty: the image names the command.
    """
    if len(argv) < 3 or argv[0] not in _SHELLS or argv[1] != "-c":
        return ""
    instruction = "ENTRYPOINT" if tuple(entrypoint[:3]) == tuple(argv[:3]) else "CMD"
    text = argv[2].strip()
    words = f"{json.dumps(shlex.split(text))}" if _SIMPLE.fullmatch(text) else ""
    if setting:
        where, like = f"write {setting} without a shell", words
    else:
        where, like = f"write {instruction} in exec form", f"{instruction} {words}" if words else ""
    return f"{where}, {f'as {like}' if like else _in_place_of(text)}: a shell passes no signal on"


def _in_place_of(text: str) -> str:
    return f"in the place of `{shortened(text, _LONGEST)}`"


def hint_for_ignored_signal(seen: SmokeFailure, signal: Signal, handles: frozenset[int] | None) -> str:
    """Return the hint for a container that did not end after its stop signal.

    Args:
        seen: the failed run.
        signal: the stop signal.
        handles: the signals that process 1 of the container handles; None if not known.
    """
    setting = where_command_is_set(seen) if seen.settings.command is not None else ""
    if shell := _suggest_exec_form(seen.command, entrypoint=seen.image.entrypoint, setting=setting):
        return shell
    longer = "`smoke.stop_grace` and the environments' `stop_grace` give it longer"
    if handles is None:
        return (
            f"let the service end on {signal}, or name its own signal: STOPSIGNAL, or `stop_signal`; {longer}"
        )
    if signal.number not in handles and not seen.settings.init:
        return (
            f"its process 1 has no handler for {signal}, and the kernel then ignores it: handle it, or set "
            "`smoke.init = true`, and so in the environments"
        )
    others = [name for number, name in _OTHERS.items() if number in handles and number != signal.number]
    if others:
        named = " or ".join(others[:2])
        return (
            f"it handles {signal} and goes on. It handles {named} too: if that ends it, write "
            f"STOPSIGNAL {others[0]}, or set `stop_signal` in smoke and environments; else {longer}"
        )
    return f"it handles {signal} and does not end in time: {longer}"


def hint_for_exit_status(seen: SmokeFailure, signal: Signal) -> str:
    """Return the hint for a container that ended with another status."""
    return f"let its handler of {signal} end with status 0; {where_to_read_output(seen)}"
