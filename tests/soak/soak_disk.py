"""A disk that is really full: the clone's objects on a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.repository import Repository

_PROGRAM = """
import shutil, subprocess, sys
from pathlib import Path
from release.errors import LedgerError
from tests.unit.ledger import samples
root = Path(sys.argv[1])
ledger = samples.ledger(root)
for number in range(10_000):
    try:
        ledger.append([samples.note(f"{number} " + "x" * 4000)])
    except LedgerError as error:
        print(error.found)
        break
refs = subprocess.run(["git", "for-each-ref"], cwd=root, check=True, capture_output=True).stdout
ledger = samples.ledger(root)
assert len(ledger.names("index/api/seq/000/000")) == number > 3
(root / ".git" / "objects" / "ballast").unlink()
ledger.append([samples.note("after")])
names = samples.ledger(root).names("index/api/seq/000/000")
assert len(names) == number + 1, (number, names)
subprocess.run(["git", "fsck", "--strict", "--no-dangling"], cwd=root, check=True)
"""

_SCRIPT = """
mount -t tmpfs -o size=600k tmpfs "$1/.git/objects" && mkdir "$1/.git/objects/pack" "$1/.git/objects/info"
head -c 200k /dev/zero > "$1/.git/objects/ballast"
exec "$2" -c "$3" "$1"
"""


def test_a_full_disk_is_an_error_and_a_later_append_works(tmp_path: Path) -> None:
    """The error has git's reason; every record before it is there, and nothing of the one that failed."""
    here = Repository.init(tmp_path / "here")
    done = subprocess.run(
        (
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            _SCRIPT,
            "sh",
            here.root,
            sys.executable,
            _PROGRAM,
        ),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout
