"""The rules of an ignore file; a test with an engine compares them with the builder's own answers."""

from __future__ import annotations

import pytest

from release.images.dockerignore import BadPattern, Ignore, Kept

FILES = (
    *(
        "Dockerfile",
        "README.md",
        "a",
        "b.py",
        "ab",
        "(p)|{q}$",
        "new\nline.py",
        "é.md",
        "trail ",
        "#odd",
        "!odd",
    ),
    *("secrets/key.pem", "app/secrets/key.pem", "app/secrets.py", "app/a.py", "app/b/c.py", "foo", "xfoo"),
)


def kept(rules: str | bytes, *submodules: str) -> Kept:
    content = rules.encode() if isinstance(rules, str) else rules
    return Ignore(content).kept(FILES, submodules)


def ignored(rules: str | bytes) -> set[str]:
    return set(FILES) - kept(rules).files


def test_nothing_is_ignored_without_a_file() -> None:
    """An absent file and an empty one say the same."""
    assert Ignore(None).kept(FILES).files == Ignore(b"").kept(FILES).files == set(FILES)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("**/secrets", {"secrets/key.pem", "app/secrets/key.pem"}),
        ("secrets", {"secrets/key.pem"}),
        ("/secrets/", {"secrets/key.pem"}),
        ("readme.md", set()),
        ("[^a]", set()),
        ("[^b]", {"a"}),
        ("**foo", {"foo", "xfoo"}),
        ("**/foo", {"foo"}),
        ("new*", {"new\nline.py"}),
        ("app/*\n!app/b", {"app/secrets/key.pem", "app/secrets.py", "app/a.py"}),
        ("app\n!app/b/c.py", {"app/secrets/key.pem", "app/secrets.py", "app/a.py"}),
        ("#odd", set()),
        (" #odd", {"#odd"}),
        (r"\!odd", {"!odd"}),
        ("trail ", set()),
        (b"\xef\xbb\xbfa\r\n", {"a"}),
        (b"\n\xef\xbb\xbfa\n", set()),
        ("[[:alpha:]]", {"a"}),
        (r"\w", {"a"}),
        (".", set()),
        ("/", set()),
        ("app/../foo", {"foo"}),
        ("(p)|{q}$/*", {"(p)|{q}$"}),
    ],
)
def test_a_rule_ignores(rules: str | bytes, found: set[str]) -> None:
    """As the builder does: the last line is a slip of its own, which it has for years."""
    assert ignored(rules) == found


@pytest.mark.parametrize(
    "rule", ["!", "! ", "!/", "[", "[]", "[a-]", "a\\", "*[[:none:]]", "*{2}", "a\tb", "x" * 65536]
)
def test_what_the_builder_refuses_is_refused(rule: str) -> None:
    """The message names the file, the line, and what is wrong with it."""
    with pytest.raises(BadPattern) as caught:
        Ignore(f"b\n{rule}\n".encode(), "docker/api.dockerignore").kept(FILES)
    assert "docker/api.dockerignore" in str(caught.value)
    assert repr(rule.strip() if len(rule) < 20 else "x" * 20)[:-1] in caught.value.found


@pytest.mark.parametrize("rule", ["a[-]b", "a[x-]b", "a[--]b"])
def test_a_dash_at_the_end_of_a_class_is_named(rule: str) -> None:
    """Other tools take it for itself."""
    with pytest.raises(BadPattern, match='a "-" without a character on both sides'):
        Ignore(rule.encode()).kept(FILES)


def test_folders_stay_without_their_files() -> None:
    """The builder sends a folder whose content alone is ignored."""
    assert kept("secrets/*").folders == {"secrets", "app", "app/secrets", "app/b"}
    assert kept("secrets").folders == {"app", "app/secrets", "app/b"}


@pytest.mark.parametrize(
    ("rules", "is_kept"),
    [
        ("", True),
        ("vendor", False),
        ("*\n!app", False),
        ("vendor\n!*.md", False),
        ("vendor/*", False),
        ("vendor\n!vendor/lib/README.md", True),
        ("**\n!**/*.py", True),
        ("*\n!app/**", False),
    ],
)
def test_a_submodule_is_ignored_unless_something_in_it_may_not_be(rules: str, is_kept: bool) -> None:
    """Its files are unknown: an exception that reaches into it counts."""
    assert bool(kept(rules, "vendor/lib").submodules) is is_kept


def test_a_pattern_of_many_stars_is_quick() -> None:
    """Repeated stars mean what one does."""
    assert Ignore(b"**/" * 40 + b"***x\n").kept(["/".join("y" * 60)]).files
