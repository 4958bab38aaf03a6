"""Release of this library: version and changelog from its commits, a wheel from the committed tree.

nox -s package                 build the wheel and the source archive of HEAD into dist/
nox -s package -- --prepare    commit the next version with its changelog, and tag it

A commit has a trailer for each entry:

    Changelog-Added: `invoke report` writes a page about a service.

The trailers are Changelog-Breaking, Changelog-Added, Changelog-Changed and Changelog-Fixed.
Source of the form: git-interpret-trailers(1). Source of the headings: Keep a Changelog 1.1.0.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from semver import Version

from release.versioning.commit_evaluation import Reading
from release.versioning.conventional_commits import Bump
from release.versioning.version import Request, next_version, tag_prefix, versions_in

NAME: Final = "nox-release"
PREFIX: Final = tag_prefix(NAME, several=True)
BUMPS: Final = {"Breaking": Bump.MAJOR, "Added": Bump.MINOR, "Changed": Bump.PATCH, "Fixed": Bump.PATCH}
"""Headings of the changelog in their order, and the step that an entry asks for."""
UNRELEASED: Final = "## Unreleased\n"
SECTION: Final = re.compile(r"(?m)^## (\d+\.\d+\.\d+\S*)")
VERSION: Final = re.compile(r'(?m)^__version__ = "(.*)"$')


class Refused(Exception):
    """The repository is in no state to be packaged."""


def git(root: Path, *words: str) -> str:
    """Return what git prints. Raises Refused with git's own words."""
    ran = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(f"git {' '.join(words)}: {ran.stderr.strip()}")
    return ran.stdout


def must_be_clean(root: Path) -> None:
    """Raise Refused if a file differs from the commit."""
    if changed := git(root, "status", "--porcelain").splitlines():
        raise Refused(f"{changed[0].split()[-1]} is not committed: commit or remove it first")


def build(root: Path, into: Path) -> list[Path]:
    """Build wheel and source archive from the files of HEAD; the bytes depend on the commit alone.

    Times in the archives are the commit's (SOURCE_DATE_EPOCH). Raises Refused.
    """
    must_be_clean(root)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=root, capture_output=True, check=True).stdout
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        environ = {**os.environ, "SOURCE_DATE_EPOCH": git(root, "show", "-s", "--format=%ct", "HEAD").strip()}
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(into.absolute())]
        ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Refused(f"hatchling: {ran.stderr.strip()}")
    version = found_version(root)
    return sorted(into.glob(f"nox_release-{version}*"))


def found_version(root: Path) -> str:
    """Return the version that the package says. Raises Refused."""
    text = (root / "release/__init__.py").read_text(encoding="utf-8")
    if (found := VERSION.search(text)) is None:
        raise Refused("release/__init__.py has no __version__")
    return found[1]


def entries(root: Path, since: str | None) -> dict[str, list[str]]:
    """Return the entries of the commits after a tag by heading, oldest first."""
    form = "%x00".join(f"%(trailers:key=Changelog-{name},valueonly,unfold,separator=%x01)" for name in BUMPS)
    span = f"{since}..HEAD" if since is not None else "HEAD"
    found: dict[str, list[str]] = {name: [] for name in BUMPS}
    for line in git(root, "log", "--reverse", f"--format={form}", span).splitlines():
        for name, values in zip(BUMPS, line.split("\0"), strict=True):
            found[name] += [value.strip() for value in values.split("\1") if value.strip()]
    return found


def written(changelog: str) -> dict[str, list[str]]:
    """Return the entries that stand under "Unreleased" by heading. Raises Refused."""
    _, heading, rest = changelog.partition(UNRELEASED)
    if not heading:
        raise Refused(f"CHANGELOG.md has no line {UNRELEASED.strip()!r}")
    found: dict[str, list[str]] = {name: [] for name in BUMPS}
    current: list[str] | None = None
    for line in rest.partition("\n## ")[0].splitlines():
        if line.startswith("### "):
            current = found.get(line.removeprefix("### ").strip())
            if current is None:
                raise Refused(f"CHANGELOG.md: {line!r} is not one of {', '.join(BUMPS)}")
        elif line.startswith("- ") and current is not None:
            current.append(line.removeprefix("- "))
        elif line.strip():
            raise Refused(f"CHANGELOG.md: {line!r} is no entry of one line below a heading")
    return found


def section(version: Version, found: Mapping[str, Sequence[str]], day: str) -> str:
    """Return the text of a version's section."""
    parts = [f"## {version} - {day}\n"]
    for name, lines in found.items():
        if lines:
            parts += [f"\n### {name}\n\n", *(f"- {line}\n" for line in lines)]
    return "".join(parts)


def prepare(root: Path) -> Version:
    """Commit and tag the next version, with its changelog. Raises Refused, VersionTaken."""
    must_be_clean(root)
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    described = [Version.parse(text) for text in SECTION.findall(changelog)]
    tagged = versions_in(git(root, "tag", "--list", f"{PREFIX}*").split(), PREFIX)
    merged = versions_in(git(root, "tag", "--list", f"{PREFIX}*", "--merged", "HEAD").split(), PREFIX)
    existing, last = sorted({*tagged, *described}), max([*merged, *described], default=None)
    mentioned = entries(root, f"{PREFIX}{last}" if last in merged else None)
    found = {name: lines + mentioned[name] for name, lines in written(changelog).items()}
    bump = max((BUMPS[name] for name, lines in found.items() if lines), default=Bump.NONE)
    if bump is Bump.NONE:
        raise Refused("no entry for users since the last version: nothing to release")
    version = next_version(request=Request(), last=last, existing=existing, reading=Reading(bump=bump))
    write(root, version, changelog, found)
    git(root, "commit", "--quiet", "--all", "-m", f"release: set version {version}")
    git(root, "tag", "--annotate", "-m", f"{NAME} {version}", f"{PREFIX}{version}")
    return version


def write(root: Path, version: Version, changelog: str, found: Mapping[str, Sequence[str]]) -> None:
    """Write the version and the section of the changelog."""
    day = git(root, "show", "-s", "--format=%cs", "HEAD").strip()
    before, _, rest = changelog.partition(UNRELEASED)
    _, mark, older = rest.partition("\n## ")
    text = f"{before}{UNRELEASED}\n{section(version, found, day)}{mark}{older}"
    (root / "CHANGELOG.md").write_text(text, encoding="utf-8")
    module = root / "release/__init__.py"
    named = VERSION.sub(f'__version__ = "{version}"', module.read_text(encoding="utf-8"))
    module.write_text(named, encoding="utf-8")


def main(words: Sequence[str]) -> int:
    """Run the chore and return its exit code."""
    root = Path(__file__).parents[1]
    try:
        if "--prepare" in words:
            print(f"{PREFIX}{prepare(root)}")
        for file in build(root, root / "dist"):
            print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  dist/{file.name}")
    except Refused as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
