"""The list of packages of an image as a JSON document: evidence of the gate, and source of the SBOM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from release.chain.installed.comparing import ClassifiedPackage, ComparisonResult
from release.chain.installed.contents import ImagePackages, environment_of
from release.chain.installed.system import SystemPackage
from release.chain.installed.target import PythonTarget

FORMAT: Final = "1.0"


def package_list_document(
    image: str,
    target: PythonTarget | None,
    folders: Iterable[str],
    compared: ComparisonResult,
    contents: ImagePackages,
) -> dict[str, Any]:
    """Return the list of packages as a document.

    Args:
        image: the image's digest in the engine.
        target: the Python that the lockfile was evaluated for.
        folders: the compared package folders.
        compared: the result of the comparison.
        contents: the packages of the image.
    """
    python = (
        {"version": target.exact_version or target.python, "platform": target.platform} if target else None
    )
    return {
        "format": FORMAT,
        "image": image,
        "python": python,
        "environments": sorted({f"/{environment_of(folder)}" for folder in folders}),
        "packages": [_package_row(each) for each in compared.packages],
        "system": [_system_package_row(each, contents.distribution) for each in contents.system],
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


def _package_row(listed: ClassifiedPackage) -> dict[str, Any]:
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
    if package.changelog:
        row["changelog"] = package.changelog
    if package.url:
        row["url"] = _without_login(package.url)
    return row


def _system_package_row(package: SystemPackage, distribution: str) -> dict[str, str]:
    row = {"kind": package.kind, "name": package.name, "version": package.version}
    return {**row, "distribution": distribution} if distribution else row


def _without_login(url: str) -> str:
    """Return a URL without user and password: the list is stored beside the image."""
    start, has_host, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{start}{has_host}{host.rpartition('@')[2]}{slash}{path}"
