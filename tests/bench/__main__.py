"""Measure, print, and write docs/reference/numbers.md."""

from __future__ import annotations

import compileall
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from release.programs.process import output_of
from tests.bench import chains, clusters, doors, machines, proofs, questions, releases, rollbacks, traffic

_STORE: Final = Path(".release/bench").resolve()
_PAGE: Final = Path("docs/reference/numbers.md")

_BEGIN: Final = """\
# Numbers

Written by `nox -s bench`: medians of several runs in milliseconds, in brackets the range of the middle half
of them. What is compared was run in turns, so that a busy minute hits all alike. Ratios travel from machine
to machine; times do not.
"""

_LEDGER: Final = """\
## A ledger that grows

One service, two environments; of ten records one is a release, eight are deployment events, one is a note;
one commit for each. Every run opens the clone and the ledger anew, as a command does. The goal is at most
2.00 for every target and append, the same memory, and for the first page of history less than 500 ms of its
own work: its records lie in as many folders of `records/`, which are larger. A release is appended to the
fullest folder of versions, 2,500 of one major.
"""

_PROOF: Final = """\
## The proof of a ledger

No command reads past a commit of the ledger that it has not proved ([trust](../explanation/trust.md)). The
first proof of a clone reads every commit; later ones read what is new. A rollback's part: open the ledger,
resolve the target, find what runs and the settings, append the start and the end. Goals: at most 2,000 ms for
the first proof, and a ratio of at most 1.20.
"""

_FETCH: Final = """\
## A clone that has just been made

A CI job fetches and proves the newest commits; any other clone fetches and proves the whole ledger
([why](../explanation/house.md#the-first-fetch-of-a-ledger)). Goals for a CI job: 4 s with 100,000 records,
1 s with 10,000.
"""

_VERSIONS: Final = """\
## The next version

16,000 commits, 399 version tags on them. Goal: 100 ms of own work.
"""

_DOORS: Final = """\
## The doors

Goal: at most 50 ms more than with an empty file.
"""

_AGAIN: Final = """\
## A released commit released again

The whole command, `nox -s release`, with a local engine and its own image store. Goal: 1,000 ms.
"""

_CHAIN: Final = """\
## The chain

`examples/api` released to a registry on this machine, its ledger pushed to a bare remote. *Path* is the
chain's own critical path as its record tells it: the build, and the slowest of test, smoke and push. The
script does the same six steps one after the other, and pushes a tag; the plain chain is `docker build &&
docker run … pytest && docker push` and nothing else: one image, which is pushed with the tests in it. Each
has a clone, a registry and a remote of its own, and no build cache in the first row. Ratios are of the same
turn: median and range. Goals: at most 1,000 ms beyond the path; 0.80 of the script cold and 0.90 in the other
rows; of the plain chain 1.10 with a suite of 1 s, less than 1.00 with one of 10 s. Where only code
changed, lock is used again from an earlier run, and where nothing changed lint too: so are their times.
"""

_MACHINES: Final = """\
## A machine that has built nothing

As a job of CI: the builder is emptied and the images of the service are removed before each turn, and only a
source file changes. The engine is one of its own, with its own disk. The chain has its default cache in the
registry. It does all its stages; the scripts are `docker build`, `docker run ... pytest` and `docker push` of
one image with the tests in it, without a cache, and with a cache that was exported once and is only read.
*Result* is when the release is recorded and handed to later jobs; *end* is when the command has also written
the cache. Five turns of each; ratios are of the same turn. Goals: 0.60 and 1.40 for the example, 0.50 and
1.10 for the larger service; 4,000 ms for the release of a tree whose check was signed on another machine.
"""

_ROLLBACK: Final = """\
## A rollback

`examples/api` on one engine, its own host port (stop-first); by hand is `docker stop`, `docker rm`, `docker
run` by digest and waiting for the health check. *Verified healthy* is counted from the start of the command
until it knows that health check and request hold: for the others that is their end; ours says so, removes
the old container, records it and gives the lock back. *Nobody answers* is what somebody sees who asks all
the time. `docker rm -f` kills what runs, with its requests; all others let it finish them. Goal: verified
healthy at most 500 ms later than by hand, and sooner than Compose and Ansible. Measured on an engine that
keeps few records of builds: with many each removal takes longer ([why](../explanation/rollback-time.md)),
which by hand waits for.
"""

_TRAFFIC: Final = """\
## Under load

A small service behind each proxy of `examples/proxies`. Four workers ask all the time: two keep their
connections, two make a new one for each request. They stand for other machines, so they have the processors
before all else (niceness -10, where root measures).

- *Made again*: requests that were repeated, because the kept connection was closed (RFC 9112, section
  9.3.1).
- *Longest gap*: the longest time between two answers to any worker; median, smallest and largest of five
  turns.
- *A container beside it*: another container of the image is run, stopped and removed by hand, and the proxy
  does not know it. This shows what the engine's own work costs.

Goals: no request fails, and a gap of at most 25 ms. Without a proxy, the old container is stopped first.
The last rows give the time without answers, beside the same work by hand.
"""

_CLUSTER: Final = """\
## A rollback in Kubernetes

This compares `invoke rollback` with `kubectl rollout undo` and Helm. Each of them puts back two pods of two
megabytes, one pod at a time (`max_surge` 1), in one namespace of the cluster that KUBECONFIG names.
*Verified* is the end of the command of `kubectl` and Helm. `invoke rollback` has done more by then: it has
proved the ledger, checked the permissions, proved the digest of each pod and sent each a request. It then
records the rollback; *to its end* has that too. No package has the command `helm`, so a program that calls
Helm's library (version 4) takes its place. Measured only by `nox -s bench -- cluster`. Goal: verified at
most 500 ms later than with `kubectl rollout undo` and `kubectl rollout status`.
"""

Measured = Callable[[Path, Path], str]
CHAPTERS: Final[dict[str, tuple[str, Measured]]] = {
    "ledger": (_LEDGER, questions.growth),
    "proof": (_PROOF, proofs.rows),
    "fetch": (_FETCH, questions.fetching),
    "versions": (_VERSIONS, releases.next_version),
    "doors": (_DOORS, doors.listing),
    "again": (_AGAIN, releases.again),
    "chain": (_CHAIN, chains.rows),
    "machines": (_MACHINES, machines.rows),
    "rollback": (_ROLLBACK, rollbacks.rows),
    "traffic": (_TRAFFIC, traffic.rows),
    "cluster": (_CLUSTER, clusters.rows),
}
NAMED: Final = {"cluster"}
"""Chapters that are measured only if they are named: not every machine has what they need."""


def main(names: list[str]) -> None:
    """Measure these chapters, or all of them; print each, and put it in its place on the page."""
    _STORE.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir("release", quiet=1)  # as pip does with what it installs; a checkout may have none
    for name in names or [each for each in CHAPTERS if each not in NAMED]:
        heading, measured = CHAPTERS[name]
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_STORE) as room:
            text = f"{heading}\n{measured(_STORE, Path(room)).rstrip()}\n\nMeasured {_when()}.\n"
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        _PAGE.write_text(with_chapter(_PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


def with_chapter(page: str, text: str) -> str:
    """The page with this chapter in the place of the older one of its title, in the order of the table."""
    parts = [part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE) if part.startswith("## ")]
    known = {_title(part): part.rstrip() + "\n" for part in [*parts, text]}
    titles = [_title(heading) for heading, _ in CHAPTERS.values()]
    return "\n".join([_BEGIN, *(known[title] for title in titles if title in known)])


def _title(chapter: str) -> str:
    return chapter.partition("\n")[0]


def _when() -> str:
    """The day and the machine: chapters are not all measured on the same."""
    return f"{datetime.now(UTC):%Y-%m-%d} on {_machine()}"


def _machine() -> str:
    git = subprocess.run(("git", "--version"), check=True, capture_output=True, text=True).stdout.strip()
    system = f"{platform.system()} {platform.machine()}"
    engine = output_of(["docker", "version", "--format", "Docker Engine {{.Server.Version}}"]).strip()
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}, {git}, {engine}"


if __name__ == "__main__":
    main(sys.argv[1:])
