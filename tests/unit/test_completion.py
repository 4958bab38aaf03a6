"""Completion in the shell, as the how-to sets it up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.ledger import samples
from tests.unit.repository import Repository

SETTINGS = """\
[project]
name = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
"""
HOW_TO = Path(__file__).parents[2] / "docs/how-to/shell-completion.md"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nox", "-s", "rel"), {"release"}),
        (("invoke", "roll"), {"rollback"}),
        (("invoke", "rollback", "--pl"), {"--plan"}),
        (("invoke", "rollback", "--to", "1.1"), {"1.1.0", "1.10.0"}),
        (("invoke", "rollback", "--to", "pre"), {"previous"}),
        (("invoke", "deploy", "--environment", "pro"), {"production"}),
    ],
)
def test_the_tab_key_gives_sessions_tasks_and_options(
    words: tuple[str, ...], expected: set[str], tmp_path: Path
) -> None:
    """In bash, with the two lines that the page shows."""
    (tmp_path / "noxfile.py").write_text("import release\n\nrelease.register()\n")
    (tmp_path / "tasks.py").write_text("import release\n\nns = release.namespace()\n")
    here = Repository.init(tmp_path)
    here.write("pyproject.toml", SETTINGS)
    here.commit("feat: start")
    samples.ledger(here.root).append([samples.release(version) for version in ("1.0.0", "1.1.0", "1.10.0")])
    block = re.search(r"^```sh\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    line = " ".join(words)
    script = f"""{block[1]}
COMP_LINE={line!r} COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD={len(words) - 1} COMP_TYPE=9
complete -p {words[0]} | grep -o -- '-F [^ ]*' | cut -c 4- > function
"$(cat function)" {words[0]} {words[-1]!r} {words[-2]!r}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {word.strip() for word in ran.stdout.split()} == expected, ran.stderr
