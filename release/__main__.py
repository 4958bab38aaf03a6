"""`python -m release`: the tasks for a repository that has no tasks.py yet."""

from __future__ import annotations

from invoke.program import Program

from release import __version__
from release.tasks import first_steps


def main() -> None:
    """Run `python -m release init`, `explain` or `doctor`; `--help` lists them."""
    Program(version=__version__, namespace=first_steps(), name="release", binary="python -m release").run()


if __name__ == "__main__":
    main()
