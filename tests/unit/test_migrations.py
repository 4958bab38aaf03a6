"""Which files are migrations, and what lies between two releases."""

from __future__ import annotations

import pytest

from release.migrations import (
    Crossing,
    matching_files,
    migrations_between,
    summarise_migrations,
    unmatched_pattern_warnings,
)

FILES = {
    "README.md": "1",
    "migrations/versions/0001_users.py": "2",
    "migrations/versions/0002_orders.py": "3",
    "migrations/versions/old/0000_start.py": "4",
    "shop/migrations/0001_initial.py": "5",
    "shop/migrations/__init__.py": "6",
    "sql/1.sql": "7",
}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (
            "migrations/versions/*",
            ["migrations/versions/0001_users.py", "migrations/versions/0002_orders.py"],
        ),
        ("**/migrations/0*.py", ["shop/migrations/0001_initial.py"]),
        ("migrations/**/*.py", [path for path in FILES if path.startswith("migrations/")]),
        ("sql/?.sql", ["sql/1.sql"]),
        ("sql/1xsql", []),
        ("README.md", ["README.md"]),
    ],
)
def test_a_pattern_says_which_files_are_migrations(pattern: str, found: list[str]) -> None:
    """`*` and `?` stay in one folder, `**/` is any number of them, a dot is a dot."""
    assert list(matching_files(FILES, [pattern])) == sorted(found)


def test_going_back_is_to_lack_what_the_other_has() -> None:
    """Added ones need nothing; an edited one is the same migration."""
    old, new = {"m/1.py": "a"}, {"m/1.py": "b", "m/2.py": "c"}
    assert migrations_between(old, new) == Crossing(added=("m/2.py",), head="m/2.py")
    assert not migrations_between(old, new).goes_back
    assert migrations_between(new, old) == Crossing(undone=("m/2.py",), head="m/1.py")
    assert migrations_between(new, old).goes_back


def test_what_nobody_knows_counts_as_going_back() -> None:
    """With the reason as its text."""
    unknown = Crossing(unknown="the commit is not here")
    assert unknown.goes_back
    assert str(unknown) == "the commit is not here"


def test_a_down_command_is_told_how_many_and_what_stays() -> None:
    """In any word; other braces are left alone."""
    crossing = Crossing(undone=("m/2_b.py", "m/3_c.py"), head="m/1_a.py")
    words = ("alembic", "downgrade", "-{count}", "to={head}", "{other}")
    assert crossing.command(words, None) == ("alembic", "downgrade", "-2", "to=1_a", "{other}")


def test_a_summary_tells_any_difference() -> None:
    """Of paths, contents and their number; the order in which they come is none."""
    files = {"m/1.py": "a", "m/2.py": "b"}
    known = summarise_migrations(files)
    assert (known.count, known.head) == (2, "m/2.py")
    assert summarise_migrations(dict(reversed(files.items()))) == known
    assert summarise_migrations({**files, "m/2.py": "c"}).sha256 != known.sha256
    assert summarise_migrations({}).count == 0


def test_where_no_migration_stays_the_configured_word_stands_for_it() -> None:
    """Without one the mark stays, so that nobody runs a command with an empty word."""
    crossing = Crossing(undone=("m/1_a.py",), head="")
    words = ("migrate", "shop", "{head}")
    assert crossing.command(words, "zero") == ("migrate", "shop", "zero")
    assert crossing.command(words, None) == words


def test_a_pattern_that_matches_nothing_is_told() -> None:
    """Each by itself: one that is mistyped beside one that is right."""
    (said,) = unmatched_pattern_warnings(FILES, ["migrations/versions/*.py", "migration/versions/*.py"])
    assert (
        said == "migrations.paths: 'migration/versions/*.py' matches no file,"
        " so it protects no migration; correct the pattern"
    )
    assert unmatched_pattern_warnings(FILES, ["**/migrations/0*.py"]) == ()
