"""The bill of materials, and the packages of the distribution in it."""

from __future__ import annotations

import json
import re

from release.chain.installed.comparing import ImageComparison
from release.chain.installed.contents import merge_layers
from release.chain.installed.listing import package_list_document
from release.chain.installed.sbom import create_sbom
from release.chain.installed.scanning import scan_layer_archive
from release.chain.installed.target import PythonTarget
from release.chain.installed.wanted import LockedPackages
from tests.unit.chain.installed.layers import layer, package

DPKG = """\
Package: libc6
Status: install ok installed
Version: 2.36-9

Package: gone
Status: deinstall ok config-files
Version: 1
"""
FILES = {
    **package("six", "1.17.0", url="https://ada:secret@example.org/six"),
    "var/lib/dpkg/status": DPKG,
    "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.37\n",
    "etc/os-release": 'NAME="Debian"\nID=debian\n',
}


def made() -> dict[str, object]:
    found = merge_layers([scan_layer_archive(layer(FILES))])
    wanted = {"six": frozenset({"1.17.0"})}
    target = PythonTarget(python="3.13", exact_version="3.13.1", platform="linux/amd64")
    compared = ImageComparison(
        contents=found,
        origins=[],
        folders=found.folders,
        wanted=LockedPackages(required=wanted, allowed=wanted),
        target=target,
    ).compare()
    return package_list_document("sha256:aa", target, found.folders, compared, found)


def test_all_packages_are_in_it() -> None:
    """By their package URLs, with where they lie; packages that were removed are not."""
    bom = json.loads(create_sbom(made(), "api", "1.4.2", "2026-01-02T03:04:05.000Z"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert {each["purl"] for each in bom["components"]} == {
        "pkg:pypi/six@1.17.0",
        "pkg:deb/debian/libc6@2.36-9",
        "pkg:apk/debian/musl@1.2.5-r0",
        "pkg:apk/debian/busybox@1.37",
    }
    assert bom["metadata"]["component"]["name"] == "api"


def test_the_same_image_gives_the_same_bytes() -> None:
    """Nothing in it comes from a clock or by chance."""
    moment = "2026-01-02T03:04:05.000Z"
    assert create_sbom(made(), "api", "1.4.2", moment) == create_sbom(made(), "api", "1.4.2", moment)


def test_no_login_is_in_the_list() -> None:
    """An address of a package may hold one."""
    assert re.search("ada|secret", json.dumps(made())) is None
    assert "https://example.org/six" in json.dumps(made())
