"""Missing, extra and different packages."""

from __future__ import annotations

from release.chain.installed.comparing import ComparisonResult, ImageComparison
from release.chain.installed.contents import merge_layers
from release.chain.installed.origins import LayerOrigin
from release.chain.installed.scanning import scan_layer_archive
from release.chain.installed.target import PythonTarget
from release.chain.installed.wanted import LockedPackages
from tests.unit.chain.installed.layers import SITE, layer, package

BASE = LayerOrigin(is_base=True)
LINE = LayerOrigin(is_base=False, line=4, text="RUN pip install it")
VENV = "venv/lib/python3.13/site-packages"


def compare(
    *layers: dict[str, str],
    locked: dict[str, str],
    folders: tuple[str, ...] = (SITE,),
    waivers: dict[str, str] | None = None,
    own: frozenset[str] = frozenset(),
) -> ComparisonResult:
    wanted = {name: frozenset({version}) for name, version in locked.items()}
    return ImageComparison(
        contents=merge_layers([scan_layer_archive(layer(files)) for files in layers]),
        origins=[BASE, *[LINE] * (len(layers) - 1)],
        folders=folders,
        wanted=LockedPackages(required=wanted, allowed=wanted),
        target=PythonTarget(python="3.13", exact_version="3.13.1", platform="linux/amd64"),
        own_names=own,
        waivers=waivers or {},
    ).compare()


def texts(found: ComparisonResult) -> list[str]:
    return [each.text for each in found.open_differences]


def test_what_is_locked_passes() -> None:
    """The packages of the base image stay apart."""
    found = compare(package("pip", "25"), package("six", "1.17.0"), locked={"six": "1.17.0"})
    assert texts(found) == []
    assert [(each.package.name, each.part) for each in found.packages] == [("pip", "base"), ("six", "locked")]


def test_each_difference_is_named_with_its_line() -> None:
    """Missing, different and extra."""
    found = compare(
        {},
        {**package("six", "1.16.0"), **package("extra", "2.0")},
        locked={"six": "1.17.0", "gone": "1.0"},
    )
    assert texts(found) == [
        "gone 1.0 is locked and not installed",
        "extra 2.0 is installed and not locked (Dockerfile line 4: RUN pip install it)",
        "six 1.16.0 is installed, and 1.17.0 is locked (Dockerfile line 4: RUN pip install it)",
    ]
    assert [each.kind for each in found.differences] == ["missing", "extra", "different"]


def test_a_locked_package_of_the_base_image_counts() -> None:
    """It is installed; another version of it is a difference of the base image."""
    assert texts(compare(package("six", "1.17.0"), {}, locked={"six": "1.17.0"})) == []
    found = compare(package("six", "1.0"), package("other", "1"), locked={"six": "1.17.0", "other": "1"})
    assert texts(found) == ["six 1.0 is installed, and 1.17.0 is locked (from the base image)"]


def test_an_isolated_environment_does_not_see_the_base() -> None:
    """A venv without the packages of the system lacks what only the system has."""
    venv = {"venv/pyvenv.cfg": "home = /usr/bin", **package("a", "1", site=VENV)}
    found = compare(package("six", "1"), venv, locked={"six": "1", "a": "1"}, folders=(VENV,))
    assert texts(found) == ["six 1 is locked and not installed"]
    shared = {**venv, "venv/pyvenv.cfg": "include-system-site-packages = true"}
    assert texts(compare(package("six", "1"), shared, locked={"six": "1", "a": "1"}, folders=(VENV,))) == []


def test_own_code_is_not_extra() -> None:
    """By the name of the project, or installed from a folder of the build."""
    files = {**package("mine", "1"), **package("lib", "1", url="file:///app/lib")}
    assert texts(compare({}, files, locked={}, own=frozenset({"mine"}))) == []


def test_a_local_label_is_the_same_version() -> None:
    """torch 2.1.0+cpu satisfies ==2.1.0, and a label that is locked has to be there."""
    assert texts(compare({}, package("torch", "2.1.0+cpu"), locked={"torch": "2.1.0"})) == []
    assert len(texts(compare({}, package("torch", "2.1.0"), locked={"torch": "2.1.0+cpu"}))) == 1


def test_a_waiver_covers_what_the_package_needs() -> None:
    """Poetry in the same environment brings thirty packages."""
    files = {
        **package("poetry", "2", requires="cleo>1;;win; sys_platform == 'win32'"),
        **package("cleo", "1", requires="rapidfuzz"),
        **package("rapidfuzz", "1"),
        **package("other", "1"),
    }
    found = compare({}, files, locked={}, waivers={"poetry": "installs the others"})
    assert [each.name for each in found.open_differences] == ["other"]
    assert found.waivers == {
        "poetry": "installs the others",
        "cleo": "poetry needs it: installs the others",
        "rapidfuzz": "poetry needs it: installs the others",
    }
