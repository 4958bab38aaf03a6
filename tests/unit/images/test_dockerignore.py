"""`.dockerignore` by Docker's own rules."""

from __future__ import annotations

from release.images.dockerignore import excluder

RULES = b"# comment\n\ntests\n*.md\n!README.md\n**/*.pyc\n  docs/  \n"


def test_nothing_is_left_out_without_a_file() -> None:
    """An absent file excludes nothing."""
    assert not excluder(None)("tests/test_api.py")


def test_folders_take_what_is_below_them() -> None:
    """A rule for a folder is a rule for its files."""
    excluded = excluder(RULES)
    assert excluded("tests/unit/test_api.py")
    assert excluded("docs/index.rst")
    assert not excluded("app/tests.py")


def test_a_later_exception_wins() -> None:
    """`!` brings a file back."""
    excluded = excluder(RULES)
    assert (excluded("CHANGELOG.md"), excluded("README.md")) == (True, False)


def test_two_stars_cross_folders_and_one_does_not() -> None:
    """`*.md` is for the top folder alone."""
    excluded = excluder(RULES)
    assert (excluded("app/deep/x.pyc"), excluded("app/notes.md")) == (True, False)
