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

`nox -s bench` measures and writes this page. A number is the median of several runs in milliseconds. The
brackets have the range of the middle half of the runs. Programs that are compared ran in turns, so that a
busy minute affects all of them. Compare ratios between machines, not times.
"""

_LEDGER: Final = """\
## A ledger that grows

The ledger has one service and two environments. Of ten records, one is a release, eight are deployment events
and one is a note. Each has its own commit. Every run opens the clone and the ledger again, as a command does.
A release is appended to the folder with the most versions: 2,500 of one major version.

Goals: a ratio of at most 2.00 for every target and append, and the same memory. The first page of history may
take 500 ms of its own work, because each of its records is in another folder, and these folders grow.
"""

_PROOF: Final = """\
## The proof of a ledger

No command reads past a commit of the ledger that it has not proved ([trust](../explanation/trust.md)). The
first proof of a clone reads every commit; later proofs read only new ones. *A rollback's part* is the work of
a rollback on the ledger: open it, find the target, the current release and the settings, and append start
and end. Goals: at most 2,000 ms for the first proof, and a ratio of at most 1.20.
"""

_FETCH: Final = """\
## A clone that has just been made

A CI job fetches and proves the newest commits; any other clone fetches and proves the whole ledger
([why](../explanation/house.md#the-first-fetch-of-a-ledger)). Goals for a CI job: 4 s with 100,000 records,
1 s with 10,000.
"""

_VERSIONS: Final = """\
## The next version

The repository has 16,000 commits with 399 version tags. Goal: at most 100 ms beside the work of git.
"""

_DOORS: Final = """\
## The start of nox and invoke

The time to list all sessions or tasks. Goal: at most 50 ms more than with an empty file.
"""

_AGAIN: Final = """\
## A released commit released again

The whole command, `nox -s release`, with a local engine and its own image store. Goal: 1,000 ms.
"""

_CHAIN: Final = """\
## The chain

This measures a release of `examples/api` to a registry on this machine. Its ledger goes to a bare remote.

- *Path* is the critical path of the chain, from its record: the build, then the slowest of test, smoke and
  push.
- *The script* does the same six steps one after the other, and pushes a tag.
- *The plain chain* is only `docker build && docker run … pytest && docker push`, with one image that has the
  tests in it.

Each has its own clone, registry and remote. The first row has no build cache. A ratio compares runs of the
same turn; the table has the median and the range. If only code changed, the chain reuses the result of lock
and its time; if nothing changed, also those of lint.

Goals: at most 1,000 ms longer than the path. Compared with the script, 0.80 without a cache and 0.90 in the
other rows. Compared with the plain chain, 1.10 with a suite of 1 s, and less than 1.00 with one of 10 s.
"""

_MACHINES: Final = """\
## A machine that has built nothing

This measures a release on a new machine, as a job of CI. Before each turn, the builder is emptied and the
images of the service are removed. Only a source file changes. The engine has its own disk.

- *The chain* runs all its stages, with its default cache in the registry.
- *The scripts* are `docker build`, `docker run ... pytest` and `docker push` of one image with the tests in
  it: one script without a cache, one that reads a cache which was exported once.
- *Result* is the time until the release is recorded and handed to later jobs. *End* is the time until the
  cache is written too.

There are five turns of each, and a ratio compares runs of the same turn. Goals for the ratio to the script
without and with a cache: 0.60 and 1.40 for the example, 0.50 and 1.10 for the larger service. Goal for a
release of a tree whose check was signed on another machine: 4,000 ms.
"""

_ROLLBACK: Final = """\
## A rollback

This measures a rollback of `examples/api` on one engine, with a port of the machine (stop-first).

- *By hand* is `docker stop`, `docker rm`, `docker run` by digest, and a wait for the health check.
- *Verified healthy* is the time from the start of the command until it knows that the health check and the
  request succeed. The other tools end then. `invoke rollback` also removes the old container, records the
  rollback and frees the lock.
- *Nobody answers* is the time without answers for a client that asks all the time.
- `docker rm -f` kills the service with its open requests. All others let the service finish them.

Goal: verified healthy at most 500 ms later than by hand, and sooner than Compose and Ansible. The engine
keeps few records of builds. With many, each removal takes longer ([why](../explanation/rollback-time.md)),
also by hand.
"""

_TRAFFIC: Final = """\
## Under load

A small service behind each proxy of `examples/proxies`. Four workers ask all the time: two keep their
connections, two make a new one for each request. They represent clients on other machines, so they have
priority on the processors (niceness -10, if root measures).

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
records the rollback; *to its end* includes that. No package has the command `helm`, so a program that calls
Helm's library (version 4) replaces it. Only `nox -s bench -- cluster` measures this. Goal: verified at
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
