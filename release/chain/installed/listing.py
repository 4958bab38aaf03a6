"""The list of packages of an image as a document: evidence, and source of its SBOM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from release.chain.installed.comparing import Compared, Listed
from release.chain.installed.contents import environment_of
from release.chain.installed.target import Target

FORMAT: Final = "1.0"


def listing(image: str, target: Target | None, folders: Iterable[str], compared: Compared) -> dict[str, Any]:
    """Return the document.

    Args:
        image: its digest in the engine.
        target: the Python that the lockfile was evaluated for.
        folders: those that were compared.
        compared: the result.
    """
    python = {"version": target.exact or target.python, "platform": target.platform} if target else None
    return {
        "format": FORMAT,
        "image": image,
        "python": python,
        "environments": sorted({f"/{environment_of(folder)}" for folder in folders}),
        "packages": [_row(each) for each in compared.listed],
        "differences": [
            {
                "name": each.name,
                "kind": each.kind,
                "text": each.text,
                **({"waiver": each.waiver} if each.waiver is not None else {}),
            }
            for each in compared.differences
        ],
    }


def _row(listed: Listed) -> dict[str, Any]:
    package = listed.package
    row: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "folder": f"/{package.folder}",
        "layer": package.layer,
        "from": listed.part,
    }
    if listed.origin.line is not None:
        row["line"] = listed.origin.line
    if package.url:
        row["url"] = package.url
    return row
