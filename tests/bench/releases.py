"""What it costs to find the next version, and to release again what is released."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from release.git.history import last_version, read_messages
from release.git.source import Source
from release.git.tags import version_tags
from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from tests.bench.measure import ratio, side_by_side, table
from tests.engine.service import Service, make_service
from tests.unit.repository import Repository, long_history

RUNS: Final = 15
COMMITS: Final = 16_000


def next_version(_store: Path, room: Path) -> str:
    """The last version and the messages since, beside git walking the same history."""
    big = long_history(room / "big", commits=COMMITS)
    figures = side_by_side(
        {
            "`git log -1`: what starting git costs": lambda _: _log(big, "-1"),
            "`git log` of the same 40 commits": lambda _: _log(big, "v0.399.0..main"),
            "`git log` of all commits": lambda _: _log(big, "main"),
            "open the clone, last version, messages since": lambda _: _asked(big),
        },
        RUNS,
    )
    base = next(iter(figures.values()))
    return table(
        ["", "ms", "ratio"], [[name, str(took), ratio(took, base)] for name, took in figures.items()]
    )


def _log(repository: Repository, *words: str) -> None:
    repository.git("log", "--format=%B", *words)


def _asked(repository: Repository) -> None:
    source = Source.open(repository.root)
    head = source.head().id
    last = last_version(source, head, version_tags(source, "v", None))
    assert last is not None
    assert len(list(read_messages(source, head, since=last.commit, paths=["."]))) == 40
    source.close()


def again(_store: Path, room: Path) -> str:
    """A small service released once, then again and again; its images are removed at the end."""
    service = make_service(room / "service")
    try:
        _released(service, 0)
        figures = side_by_side({"again": partial(_released, service)}, 7)
    finally:
        _remove_images(service)
    assert len(service.records()) == 1
    return table(["", "ms"], [["`nox -s release` of a released commit", str(figures["again"])]])


def _released(service: Service, _run: int) -> None:
    ran = service.nox("release")
    assert ran.status == 0, ran.all


def _remove_images(service: Service) -> None:
    label = f"label=org.opencontainers.image.title={service.name}"
    names = output_of(["docker", "images", "--filter", label, "--format", "{{.Repository}}:{{.Tag}}"]).split()
    if names:
        run(Command(inherits=ENGINE, argv=("docker", "rmi", "--force", *names)), check=False)
