"""An operator whose machine dies: `invoke`, ended by SIGKILL before or after the nth call of something.

    python -m tests.engine.deploy.dying after stop 1 deploy --to 0.2.0 --yes

It works on a machine called "laptop-7", so that nobody here can see that its process is gone.
"""

from __future__ import annotations

import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from invoke.main import program

HOST: Final = "laptop-7"
ENGINE: Final = "release.images.engine:Engine"
OWNERS: Final = {
    "append_events": "release.ledger.store:Ledger",
    "await_end": "release.deploy.targets.swarm.jobs:Jobs",
    "store": "release.deploy.targets.swarm.api:Swarm",
    "update": "release.deploy.targets.swarm.api:Swarm",
    "apply": "release.deploy.targets.kubernetes.api:Cluster",
    "keep": "release.deploy.targets.kubernetes.sealed:Sealed",
    "prune": "release.deploy.targets.kubernetes.submit:Submit",
}
"""Whose methods they are; all others are the engine's."""


def dying(when: str, number: int, act: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but deadly."""
    calls = [0]

    def acting(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if when == "before" and calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = act(*args, **kwargs)
        if when == "after" and calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return acting


if __name__ == "__main__":
    _, moment, name, count, *words = sys.argv
    socket.gethostname = lambda: HOST
    owner = pkgutil.resolve_name(OWNERS.get(name, ENGINE))
    setattr(owner, name, dying(moment, int(count), getattr(owner, name)))
    program.run(["invoke", *words])
