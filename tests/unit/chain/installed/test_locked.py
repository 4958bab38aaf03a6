"""The requirements files that a Dockerfile installs, and those that only limit versions."""

from __future__ import annotations

import pytest

from release.chain.installed.commands import parse_install_commands
from release.chain.installed.locked import is_constraints_file

NAMES = frozenset({"requirements.txt", "deps/prod.txt"})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("pip install -r /tmp/requirements.txt", False),
        ("pip install flask -c /tmp/requirements.txt", True),
        ("pip install --constraint=requirements.txt .", True),
        ("pip install -c requirements.txt -r requirements.txt", False),
        ("uv pip sync requirements.txt", False),
        ("pip install .", False),
    ],
)
def test_a_lockfile_may_limit_versions_alone(run: str, expected: bool) -> None:
    """Then no package of it has to be installed."""
    commands = parse_install_commands(f"FROM a\nRUN {run}\n", None)
    assert is_constraints_file(commands, NAMES, "requirements.txt") == expected
