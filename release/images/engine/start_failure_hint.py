"""Hint for a container whose program could not start."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

_NO_PROGRAM: Final = (126, 127)
"""Exit status for a program that is missing or not executable (docker run, "Exit status")."""


def program_hint(about: Mapping[str, Any]) -> str:
    """Return the next step if the image lacks the program; an empty text for any other failure.

    Args:
        about: the container, as the engine describes it after its start failed (ContainerInspect).
    """
    state, program = about.get("State") or {}, about.get("Path")
    if state.get("ExitCode") not in _NO_PROGRAM or not program:
        return ""
    words = shlex.join([str(program), *map(str, about.get("Args") or ())][:_WORDS])
    return (
        f"`{words}` does not begin with a program of the image. A command replaces the image's "
        'ENTRYPOINT; entrypoint = "keep" passes it to the ENTRYPOINT as arguments'
    )


_WORDS: Final = 10
