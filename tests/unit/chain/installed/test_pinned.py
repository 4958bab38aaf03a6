"""Lines of `pip install --require-hashes`, from each kind of lockfile."""

from __future__ import annotations

import json

import pytest

from release.chain.installed.pinned import pins_of

UV = """
version = 1
[[package]]
name = "hello"
version = "1"
source = { virtual = "." }
[[package]]
name = "Six"
version = "1.17.0"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://index.example/six.tar.gz", hash = "sha256:aa" }
wheels = [{ url = "https://index.example/six.whl", hash = "sha256:bb" }]
[[package]]
name = "mine"
version = "0.1"
source = { git = "https://example.org/mine?subdirectory=lib&rev=main#0123abc" }
[[package]]
name = "far"
version = "2"
source = { url = "https://example.org/far-2.tar.gz" }
sdist = { hash = "sha256:cc" }
"""
POETRY = """
[[package]]
name = "six"
version = "1.17.0"
files = [{ file = "six.whl", hash = "sha256:aa" }, { file = "six.tar.gz", hash = "sha256:bb" }]
[[package]]
name = "mine"
version = "0.1"
files = []
[package.source]
type = "git"
url = "https://example.org/mine"
reference = "main"
resolved_reference = "0123abc"
[[package]]
name = "beside"
version = "0"
files = []
[package.source]
type = "directory"
url = "../beside"
[[package]]
name = "far"
version = "2"
files = [{ file = "far-2.tar.gz", hash = "sha256:cc" }]
[package.source]
type = "url"
url = "https://example.org/far-2.tar.gz"
"""
PDM = """
[[package]]
name = "six"
version = "1.17.0"
files = [{ file = "six.whl", hash = "sha256:aa" }]
[[package]]
name = "mine"
version = "0.1"
git = "https://example.org/mine"
revision = "0123abc"
[[package]]
name = "beside"
version = "0"
path = "./beside"
"""
PIPENV = json.dumps(
    {
        "_meta": {"hash": {"sha256": "x"}},
        "default": {"six": {"version": "==1.17.0", "hashes": ["sha256:aa"]}},
        "develop": {"mine": {"git": "https://example.org/mine", "ref": "0123abc"}},
    }
)
PYLOCK = """
lock-version = "1.0"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{ url = "https://index.example/six.whl", hashes = { sha256 = "aa", md5 = "00" } }]
[[packages]]
name = "mine"
vcs = { type = "git", url = "https://example.org/mine", commit-id = "0123abc" }
"""


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("uv.lock", UV),
        ("poetry.lock", POETRY),
        ("pdm.lock", PDM),
        ("Pipfile.lock", PIPENV),
        ("pylock.toml", PYLOCK),
    ],
)
def test_each_package_has_its_locked_hashes(kind: str, content: str) -> None:
    """Of all its files: pip chooses one for the image. A commit of a repository has no hash."""
    pins = pins_of(kind, content)
    assert pins["six", "1.17.0"].text == "six==1.17.0"
    assert " --hash=sha256:aa" in pins["six", "1.17.0"].line
    folder = "#subdirectory=lib" if kind == "uv.lock" else ""
    assert pins["mine", ""].line == f"mine @ git+https://example.org/mine@0123abc{folder}"
    assert not any(name == "beside" for name, _ in pins)


@pytest.mark.parametrize(("kind", "content"), [("uv.lock", UV), ("poetry.lock", POETRY)])
def test_a_package_of_a_url_keeps_the_url(kind: str, content: str) -> None:
    """With its hash."""
    line = "far @ https://example.org/far-2.tar.gz --hash=sha256:cc"
    assert pins_of(kind, content)["far", ""].line == line
