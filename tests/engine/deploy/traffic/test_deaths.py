"""The operator's machine dies at any step of a deployment behind a proxy; somebody else puts it right.

Some of the steps, drawn anew in each run; `RELEASE_SEED` makes a run repeat, and with RELEASE_SOAK all are
played.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.traffic.edge import HAPROXY, NGINX, SOAK, Edge, Kind, Stand
from tests.engine.deploy.world import Ended

STEPS: Final = (
    ("after", "create", "1"),
    ("after", "append_events", "1"),
    ("after", "create", "2"),
    ("before", "start", "1"),
    ("after", "start", "1"),
    ("before", "rename", "1"),
    ("after", "rename", "1"),
    ("after", "rename", "2"),
    ("before", "stop", "1"),
    ("after", "stop", "1"),
    ("before", "remove", "1"),
    ("after", "remove", "1"),
    ("before", "append_events", "2"),
    ("after", "append_events", "2"),
)
"""Each that changes something: the lock, its event, the new container, its start, the two names, the old
one's stop and its end, and the event that it ended."""
STEPS_OF_TWO: Final = (
    ("after", "create", "2"),
    ("after", "create", "3"),
    ("after", "start", "1"),
    ("before", "stop", "1"),
    ("after", "stop", "1"),
    ("before", "start", "2"),
    ("after", "start", "2"),
    ("before", "stop", "2"),
    ("after", "stop", "2"),
    ("after", "remove", "1"),
    ("after", "remove", "2"),
    ("after", "rename", "1"),
    ("before", "append_events", "2"),
)
"""Those between the two replicas: only the first is made, serves, is stopped, is gone, is named."""
SEED: Final = int(os.environ.get("RELEASE_SEED") or random.SystemRandom().randrange(10**6))
SURE: Final = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


def clone_of(edge: Edge, remote: Path, folder: Path) -> Path:
    """Another operator's, with today's settings."""
    output_of(["git", "clone", "--quiet", str(remote), str(folder)])
    for name, value in (("user.name", "Grace Hopper"), ("user.email", "grace@example.org")):
        edge.world.git("config", name, value, cwd=folder)
    for file in ("pyproject.toml", "tasks.py"):
        (folder / file).write_text((edge.world.root / file).read_text())
    return folder


def put_right(edge: Edge, elsewhere: Path) -> Ended:
    """What the other operator does."""
    return edge.world.invoke("converge", *SURE, cwd=elsewhere)


@pytest.mark.parametrize(
    ("kind", "replicas", "steps", "sample"),
    [(NGINX, 1, STEPS, 2), (HAPROXY, 2, STEPS_OF_TWO, 1)],
    ids=["nginx", "haproxy-with-two-replicas"],
)
def test_an_operator_who_dies_at_any_step_costs_no_request_and_the_next_puts_it_right(
    kind: Kind,
    replicas: int,
    steps: Sequence[tuple[str, str, str]],
    sample: int,
    stand: Stand,
    bare_remote: Path,
    tmp_path: Path,
) -> None:
    """The good names, in traffic; no lock; ledger and engine agree; nothing has failed."""
    print(f"RELEASE_SEED={SEED}")
    edge = stand(kind, remote=bare_remote, **({"replicas": str(replicas)} if replicas > 1 else {}))
    names = {edge.world.container, *(f"{edge.world.container}.{n}" for n in range(2, replicas + 1))}
    first = edge.world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    elsewhere = clone_of(edge, bare_remote, tmp_path / "elsewhere")
    load = edge.load()
    lab.eventually(load.answers, what="the service behind its proxy")
    runs, other = "0.1.0", "0.2.0"
    with load.going_on():
        for step in random.Random(SEED).sample(steps, len(steps) if SOAK else sample):
            where = f"{' '.join(step)}, seed {SEED}"
            died = edge.world.dying(*step, "deploy", "--to", other, "--yes")
            assert died.status == -signal.SIGKILL, (where, died.err)
            done = put_right(edge, elsewhere)
            assert done.status == 0, (where, done.err)
            status = edge.world.invoke("status", "--json", cwd=elsewhere).data
            assert edge.world.containers() == dict.fromkeys(names, "running"), where
            assert (status["drift"], status["leftovers"], status["lock"]) == ([], [], None), where
            assert len({one["version"] for one in status["replicas"]}) == 1, where
            assert status["running"]["version"] in (runs, other), where
            if status["running"]["version"] == other:
                runs, other = other, runs
    assert load.failed == []
