"""The real lock tools, each in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from release.chain.lockgate.environment import BESIDE
from release.chain.tools import find_uv


def tool_program(folder: Path, requirement: str) -> str:
    """Install a tool below a folder, and return its program."""
    name = requirement.partition("==")[0]
    place = folder / f"tool-{name}"
    if not place.exists():
        venv = (find_uv(), "venv", "--quiet", "--python", sys.executable, str(place))
        words = (find_uv(), "pip", "install", "--quiet", "--python", str(place), requirement)
        for argv in (venv, (*words, *BESIDE.get(name, ()))):
            ran = subprocess.run(argv, check=False, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr
    return str(place / "bin" / name)
