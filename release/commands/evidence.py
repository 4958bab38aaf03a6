"""Evidence of releases: list, fetch and compare files, each checked against the hash in the record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from release.commands.command_line import CommandContext
from release.errors import ReleaseError
from release.files import private
from release.files.private import HOME
from release.images.evidence import read_evidence
from release.ledger.release_diff import Difference, changed_values
from release.parsing import jsontext
from release.records import Record, Release
from release.scalars import size_text
from release.values import replace

_PACKAGES = "packages.json"
_BOUNDS = jsontext.Bounds(size=8 * 1024 * 1024, depth=16)


def show_evidence(cmd: CommandContext, root: Path, release: Record[Release]) -> None:
    """Fetch the files of a release into `.release/evidence/`, and list them. Raises ReleaseError."""
    body = release.body
    files = body.evidence.files if body.evidence is not None else {}
    place = f"{release.envelope.service}-{body.version}"
    rows: list[dict[str, Any]] = []
    for name, content in sorted(read_evidence(body, root / HOME)):
        path = private.ensure_owned_subfolder(root / HOME, "evidence", place) / name
        private.write(path, content)
        rows.append({"name": name, "digest": files[name].digest, "size": len(content), "path": str(path)})
    if cmd.options.json:
        cmd.console.print_json(rows)
        return
    table = [(row["name"], size_text(row["size"]), row["digest"], row["path"]) for row in rows]
    cmd.console.print_table(("file", "size", "hash", "path"), table)


def add_package_difference(found: Difference, before: Release, after: Release, root: Path) -> Difference:
    """Return the comparison with changed packages of the images, if both have a package list."""
    if before.evidence is None or after.evidence is None:
        return found
    try:
        old, new = (_package_versions(each, root) for each in (before, after))
    except (ReleaseError, ValueError, LookupError, TypeError) as error:
        return replace(found, notes=(*found.notes, f"packages of the images are not compared: {error}"))
    return replace(found, installed=changed_values(old, new))


def _package_versions(release: Release, root: Path) -> Mapping[str, str]:
    """Return versions by package name; system packages have their kind in front, as "deb:libc6"."""
    content = dict(read_evidence(release, root / HOME)).get(_PACKAGES)
    if content is None:
        raise ReleaseError(
            f"compare the packages of {release.version}",
            f"the evidence of this release has no file {_PACKAGES}",
            f"`invoke show {release.version} --evidence` lists the files that it has",
        )
    document = jsontext.read(content, _BOUNDS)
    found: dict[str, set[str]] = {}
    for row in document["packages"]:
        found.setdefault(str(row["name"]), set()).add(str(row["version"]))
    for row in document.get("system", ()):
        found.setdefault(f"{row['kind']}:{row['name']}", set()).add(str(row["version"]))
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
