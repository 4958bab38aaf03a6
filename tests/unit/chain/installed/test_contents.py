"""Packages of an image, from its layers on top of each other."""

from __future__ import annotations

import io

import pytest

from release.chain.installed.contents import ImagePackages, environment_of, is_pypy, merge_layers, python_of
from release.chain.installed.scanning import LayerScan, UnreadableLayer, scan_layer_archive
from tests.unit.chain.installed.layers import SITE, layer, package


def of(*layers: dict[str, str], path: tuple[str, ...] = ()) -> ImagePackages:
    return merge_layers([scan_layer_archive(layer(files)) for files in layers], path)


def names(found: ImagePackages) -> dict[str, str]:
    return {each.name: each.version for each in found.packages}


def test_the_metadata_of_each_layer_is_read() -> None:
    """Name, version and layer; the description is not taken for a header."""
    found = of(package("pip", "25.1"), package("Foo.Bar", "1.0", requires="six>=1"))
    assert [(each.name, each.version, each.layer, each.requirements) for each in found.packages] == [
        ("pip", "25.1", 0, ()),
        ("foo-bar", "1.0", 1, ("six>=1",)),
    ]


def test_a_compressed_layer_is_read_as_well() -> None:
    """gzip, as registries and engines keep it."""
    assert scan_layer_archive(layer(package("six", "1.0"), compressed=True)) == scan_layer_archive(
        layer(package("six", "1.0"))
    )


def test_a_layer_in_another_compression_is_named() -> None:
    """Nothing is concluded from what cannot be read."""
    with pytest.raises(UnreadableLayer):
        scan_layer_archive(io.BytesIO(b"(\xb5/\xfd" + b"0" * 600))


@pytest.mark.parametrize(
    "removed",
    [f"{SITE}/.wh.six-1.0.dist-info", f"{SITE}/.wh..wh..opq", "usr/.wh.local", "usr/local/.wh..wh..opq"],
)
def test_a_whiteout_removes_what_lies_below(removed: str) -> None:
    """A file, a folder, and all that a folder held."""
    assert names(of(package("six", "1.0"), {removed: ""})) == {}


def test_a_whiteout_keeps_what_its_own_layer_brings() -> None:
    """An upgrade removes the old metadata and writes the new."""
    upgrade = {f"{SITE}/.wh.six-1.0.dist-info": "", **package("six", "2.0")}
    assert names(of(package("six", "1.0"), upgrade)) == {"six": "2.0"}


def test_copies_inside_of_packages_do_not_count() -> None:
    """setuptools and pip carry packages of their own, which no program imports by name."""
    assert names(of(package("wheel", "1.0", site=f"{SITE}/setuptools/_vendor"))) == {}


def test_a_folder_of_pythonpath_counts() -> None:
    """`pip install --target` writes to any folder."""
    files = package("six", "1.0", site="app/deps")
    assert names(of(files)) == {}
    assert names(of(files, path=("app/deps",))) == {"six": "1.0"}


def test_the_version_that_a_new_environment_is_given_is_marked() -> None:
    """ensurepip has the wheel of its pip."""
    bundled = {"usr/lib/python3.13/ensurepip/_bundled/pip-25.1-py3-none-any.whl": ""}
    found = of(bundled, package("pip", "25.1", site="venv/lib/python3.13/site-packages"))
    assert found.packages[0].is_bundled
    assert not of(bundled, package("pip", "26.0")).packages[0].is_bundled


def test_a_package_of_a_folder_is_marked() -> None:
    """`pip install .` writes the address (PEP 610)."""
    found = of(package("mine", "1.0", url="file:///app")).packages[0]
    assert (found.is_folder, found.url) == (True, "file:///app")


def test_interpreters_and_environments_are_known() -> None:
    """Short and whole versions, and which environments see no packages but their own."""
    found = of(
        {
            "usr/local/bin/python3.13": "",
            "usr/local/include/python3.13/patchlevel.h": '#define PY_VERSION "3.13.5+"\n',
            "app/.venv/pyvenv.cfg": "home = /usr/bin\nversion_info = 3.12.1\n",
            "tools/pyvenv.cfg": "include-system-site-packages = true\n",
        }
    )
    assert found.pythons == {"usr/local": "3.13"}
    assert found.exact == {"3.13": "3.13.5", "3.12": "3.12.1"}
    assert found.isolated == {"app/.venv"}


@pytest.mark.parametrize(
    ("folder", "environment", "python"),
    [
        (SITE, "usr/local", "3.13"),
        ("app/.venv/lib64/python3.12/site-packages", "app/.venv", "3.12"),
        ("usr/lib/python3/dist-packages", "usr", None),
        ("opt/pypy/lib/pypy3.10/site-packages", "opt/pypy", "3.10"),
        ("app/deps", "app/deps", None),
    ],
)
def test_a_folder_tells_its_environment(folder: str, environment: str, python: str | None) -> None:
    """Also the one of Debian, which is for every Python 3."""
    assert (environment_of(folder), python_of(folder)) == (environment, python)
    assert is_pypy(folder) == ("pypy3" in folder)


def test_a_scan_is_the_same_after_it_was_kept() -> None:
    """As JSON in `.release/layers`."""
    found = scan_layer_archive(layer({**package("six", "1.0"), "a/.wh.b": "", "c/.wh..wh..opq": ""}))
    assert LayerScan.from_json(found.to_json()) == found
