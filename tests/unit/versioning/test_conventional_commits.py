"""How far commit messages move a version, and the lines that nearly move it."""

from __future__ import annotations

import pytest

from release.versioning.commit_evaluation import Reading, evaluate_messages
from release.versioning.conventional_commits import Bump, Message, bump_of, reverted_commits

SQUASH = """\
chore: join the branch

Squashed commit of the following:

commit 1111111111111111111111111111111111111111
Author: Ada <ada@example.org>
Date:   Fri Nov 20 10:00:00 2026 +0000

    fix: the first

    BREAKING CHANGE: the key x is gone

commit 2222222222222222222222222222222222222222
Author: Ada <ada@example.org>
Date:   Fri Nov 20 10:00:00 2026 +0000

    docs: words
"""


def reading(*texts: str) -> Reading:
    """What is read from messages, newest first."""
    return evaluate_messages([Message(text=text) for text in texts])


@pytest.mark.parametrize(
    ("message", "bump"),
    [
        ("feat: new", Bump.MINOR),
        ("feat(api): new", Bump.MINOR),
        ("FEAT: new", Bump.MINOR),
        ("fix: old", Bump.PATCH),
        ("perf(db core): faster", Bump.PATCH),
        ("revert: it", Bump.PATCH),
        ('Revert "feat: it"', Bump.PATCH),
        ('Reapply "feat: it"', Bump.PATCH),
        ('Revert "feat: it (#12)" (#13)', Bump.PATCH),
        ("chore: tidy", Bump.NONE),
        ("docs(api): words", Bump.NONE),
        ("feat!: all new", Bump.MAJOR),
        ("chore(api)!: all new", Bump.MAJOR),
        ("i18n!: drop a language", Bump.MAJOR),
        ("Merge branch 'feat: x'", Bump.NONE),
        ("feat : x", Bump.NONE),
        ("feat:x", Bump.NONE),
        ("feature: x", Bump.NONE),
        ("", Bump.NONE),
    ],
)
def test_a_subject_asks_for_a_bump(message: str, bump: Bump) -> None:
    """Conventional Commits 1.0.0; other messages ask for nothing."""
    assert bump_of(message) is bump


@pytest.mark.parametrize(
    "body",
    [
        "BREAKING CHANGE: all of it",
        "BREAKING CHANGE: all of it\n",
        "BREAKING CHANGE:\nall of it",
        "BREAKING CHANGE: \n  all of it",
        "BREAKING CHANGE:\n\n- one\n- two",
        "BREAKING CHANGE:\nconfig: the key x is gone",
        "BREAKING CHANGE #12 is gone",
        "BREAKING-CHANGE: all",
        "BREAKING-CHANGE:\n all",
        "BREAKING CHANGE:all",
        "body\n\nReviewed-by: Z\nBREAKING-CHANGE: all",
        "body\n\nReviewed-by: Z\nRefs: #1\nBREAKING CHANGE: all\n of it\nSigned-off-by: A <a@b>",
        "BREAKING CHANGE: all\n\nlast line of the body",
        "* fix: one\n\nBREAKING CHANGE: all\n\n* fix: two",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("subject", ["fix: x", "Add accounts (#12)", "Merge branch 'accounts'"])
def test_a_footer_of_a_breaking_change_is_read(subject: str, body: str, end: str) -> None:
    """Its text may begin on the next line; it may stand after other trailers, and in any message."""
    assert bump_of(f"{subject}\n\n{body}".replace("\n", end)) is Bump.MAJOR


@pytest.mark.parametrize(
    "body",
    [
        "breaking change: not a footer",
        "this is no BREAKING CHANGE: at all",
        "BREAKING CHANGES: all",
        "BREAKING CHANGE:",
        "BREAKING CHANGE:\n\n",
        "BREAKING CHANGE:\nSigned-off-by: A <a@b>",
        "BREAKING CHANGE is what this is not",
    ],
)
def test_other_lines_are_no_footer(body: str) -> None:
    """The words are in capitals, and have a text."""
    assert bump_of(f"fix: x\n\n{body}") is Bump.PATCH


def test_squashed_commits_are_read_one_by_one() -> None:
    """As `git merge --squash` writes them: indented below their ids."""
    assert bump_of(SQUASH) is Bump.MAJOR
    assert bump_of(SQUASH.replace("BREAKING CHANGE", "Note")) is Bump.PATCH
    assert bump_of(SQUASH.replace("BREAKING CHANGE", "Note").replace("fix:", "feat:")) is Bump.MINOR


# lines that are nearly right


@pytest.mark.parametrize(
    ("line", "instead", "bump"),
    [
        ("feat:x", "feat: x", "minor"),
        ("feat(api):x", "feat(api): x", "minor"),
        ("feat : x", "feat: x", "minor"),
        ("feat (api): x", "feat(api): x", "minor"),
        ("feat[api]: x", "feat(api): x", "minor"),
        ("feat(a(b)): x", "feat(a b): x", "minor"),
        ("fix((a)): x (y): z", "fix(a): x (y): z", "patch"),
        ("feat(a)(b)!: x", "feat(a b)!: x", "major"),
        ("✨ feat: x", "feat: x", "minor"),
        ("✨feat: x", "feat: x", "minor"),
        (":sparkles: feat: x", "feat: x", "minor"),
        ("[API-12] fix: x", "fix: x", "patch"),
        ("API-12 fix: x", "fix: x", "patch"),
        ("API-12: fix(db): x", "fix(db): x", "patch"),
        ("#12 fix: x", "fix: x", "patch"),
        ("[feat] x", "feat: x", "minor"),
        ("feature: x", "feat: x", "minor"),
        ("Feature(api): x", "feat(api): x", "minor"),
        ("bugfix: x", "fix: x", "patch"),
        ("hotfix(api): x", "fix(api): x", "patch"),
        ("faet: x", "feat: x", "minor"),
        ("feat x", "feat: x", "minor"),
        ("feat - x", "feat: x", "minor"),
        ("feat\uff1ax", "feat: x", "minor"),
        ("feat:", "feat: description", "minor"),
        ("feat!:x", "feat!: x", "major"),
        ("feat!(api): x", "feat(api)!: x", "major"),
        ("feat !: x", "feat!: x", "major"),
        ("breaking: x", "feat!: x", "major"),
        ("BREAKING CHANGE: x", "feat!: x", "major"),
        ("💥 chore!: x", "chore!: x", "major"),
    ],
)
def test_a_subject_that_is_nearly_one_is_told_with_what_would_be_read(
    line: str, instead: str, bump: str
) -> None:
    """It asks for nothing; one line, its right form, and what that would ask for."""
    found = reading(line)
    assert found.bump is Bump.NONE
    assert [str(near) for near in found.near] == [f"`{line}` (write `{instead}` for a {bump} version)"]
    assert str(found.near[0]) in found.warnings[0]
    assert bump_of(instead).name.lower() == bump


@pytest.mark.parametrize(
    ("line", "instead", "difference"),
    [
        ("feat:\xa0x", "feat: x", "without the invisible U+00A0"),
        ("\ufefffeat: x", "feat: x", "without the invisible U+FEFF"),
        ("fe\u200bat\u200b: x", "feat: x", "without the invisible U+200B"),
        ("  feat: x", "feat: x", "at the beginning of its line"),
        ("chore: y\n\n    BREAKING CHANGE: x", "BREAKING CHANGE: x", "at the beginning of its line"),
        ("chore: y\n\n\u200bBREAKING CHANGE: x", "BREAKING CHANGE: x", "without the invisible U+200B"),
        ("chore: y\n\nBREAKING\xa0CHANGE: x", "BREAKING CHANGE: x", "without the invisible U+00A0"),
    ],
)
def test_the_difference_of_two_lines_that_look_alike_is_told(
    line: str, instead: str, difference: str
) -> None:
    """Else the warning shows the same text twice."""
    (near,) = reading(line).near
    assert near.instead == instead
    assert f"(write `{instead}` {difference} for a " in str(near)


def test_a_name_with_a_joiner_is_nothing_to_tell() -> None:
    """What counts all the same is left alone."""
    assert reading("fix: \U0001f468\u200d\U0001f4bb x\n\nBREAKING CHANGE: a\xa0b").near == ()
    assert reading("Update the \u200bwords").near == ()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Breaking change: all", "all"),
        ("breaking-change: all", "all"),
        ("BREAKING CHANGES: all", "all"),
        ("BREAKING CHANGES:\nall", "all"),
        ("Breaking Change - all", "all"),
        ("**BREAKING CHANGE**: all", "all"),
        ("**BREAKING CHANGE:** all", "all"),
        ("  BREAKING CHANGE: all", "all"),
        ("* BREAKING CHANGE: all", "all"),
        ("> BREAKING CHANGE: all", "all"),
        ("## Breaking changes\n\nall", "all"),
        ("BREAKING_CHANGE: all", "all"),
        ("BREAKINGCHANGE: all", "all"),
        ("BREAKING CHANGE(api): all", "all"),
        ("BREAKING CHANGE!: all", "all"),
        ("BREAKING: all", "all"),
        ("BREAKING CHANGE all", "all"),
        ("BREAKING\nCHANGE: all", "all"),
        ("BREAKING\r\nCHANGE: all", "all"),
        ("BREAKING\n\nCHANGE: all", "all"),
        ("breaking\nchanges: all", "all"),
        ("this is a BREAKING\nCHANGE: all", "all"),
        ("BREAKING-\nCHANGE: all", "all"),
        ("BREAKING CHANGE:", "description"),
        ("* feat!: all", "all"),
        ("- chore(api)!: all", "all"),
    ],
)
def test_a_footer_that_is_nearly_one_is_told_with_what_would_be_read(line: str, text: str) -> None:
    """It does not count, and the release says so."""
    found = reading(f"fix: x\n\n{line}\n")
    assert found.bump is Bump.PATCH
    assert [(near.instead, near.bump) for near in found.near] == [(f"BREAKING CHANGE: {text}", Bump.MAJOR)]
    assert bump_of(f"fix: x\n\n{found.near[0].instead}") is Bump.MAJOR


@pytest.mark.parametrize(
    "message",
    [
        "fix: x\n\nThis is a breaking change of the tests.",
        "fix: x\n\n## Breaking changes\n\nNone.\n",
        "fix: x\n\n## Breaking changes\n\n## Checklist\n",
        "fix: x\n\nBreaking changes: no",
        "fix: x\n\nBREAKING\nCHANGE: none",
        "fix: x\n\nThis stops the build from breaking\nchange: x",
        "docs: fix: x",
        "tests: x",
        "Merge pull request #1 from a/feat:x",
        "fixup! feat: x",
        'Revert "feat:x"',
        "Update the words",
        "Release notes: all",
        "i18n: x",
    ],
)
def test_what_is_not_nearly_one_is_not_told(message: str) -> None:
    """Prose, templates with the answer no, and types of the team's own."""
    assert reading(message).near == ()


def test_a_footer_on_two_lines_is_shown_on_one() -> None:
    """With a mark of the line's end: on one line without it, it would be right."""
    (near,) = reading("fix: x\n\nBREAKING\nCHANGE: all").near
    assert near.line == r"BREAKING\nCHANGE: all"


def test_what_needs_no_action_is_a_notice() -> None:
    """Capital letters count; subjects without a convention do not."""
    found = reading("Feat: a", "Add b", "Merge branch 'c'", "Change d", "chore: e")
    assert found.bump is Bump.MINOR
    assert found.warnings == ()
    assert found.notices == (
        "a type in capital letters counts as in lower case: `Feat: a`",
        "these subjects follow no convention and do not count: `Add b`, `Change d`",
    )


def test_only_some_lines_are_shown_and_long_ones_are_cut() -> None:
    """A repository without a convention gets one line."""
    found = reading(*(f"Add {number} {'x' * 100}" for number in range(5)))
    (notice,) = found.notices
    assert notice.endswith("…` and 2 more")
    assert len(notice) < 400


# reverts

ID = "1234567890abcdef1234567890abcdef12345678"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f'Revert "feat: bad"\n\nThis reverts commit {ID}.', (ID,)),
        (f"revert: feat: bad\n\nThis reverts commit {ID[:7]}.", (ID[:7],)),
        ("revert: feat: bad\n\nRefs: 676104e, a215868", ("676104e", "a215868")),
        ("revert(api): feat: bad\n\nRefs 676104e", ()),
        ("revert: feat: bad\n\nRefs: #12", ()),
        (f'Revert "Merge x"\n\nThis reverts commit {ID}, reversing\nchanges made to {ID[::-1]}.', (ID,)),
        (f"fix: x\n\nThis reverts commit {ID}.", ()),
    ],
)
def test_a_revert_names_commits(text: str, named: tuple[str, ...]) -> None:
    """In the words of git, or by `Refs`, as the convention recommends."""
    assert reverted_commits(text) == named


@pytest.mark.parametrize(
    ("messages", "bump"),
    [
        (('Revert "feat: bad"',), Bump.PATCH),
        (("revert: feat: bad",), Bump.PATCH),
        (('Revert "feat: bad"', "feat: bad"), Bump.NONE),
        (("revert: feat: bad", "feat: bad"), Bump.NONE),
        (("Revert: feat: bad", "feat: bad"), Bump.NONE),
        (('Revert "feat!: bad"', "docs: x", "feat!: bad"), Bump.NONE),
        (('Revert "feat: bad"', "fix: good", "feat: bad"), Bump.PATCH),
        (("feat: bad", 'Revert "feat: bad"', "feat: bad"), Bump.MINOR),
        (('Revert "Revert "feat: bad""', 'Revert "feat: bad"', "feat: bad"), Bump.MINOR),
        (('Reapply "feat: bad"', 'Revert "feat: bad"', "feat: bad"), Bump.MINOR),
        (('Revert "Revert "feat: bad""', 'Revert "feat: bad"'), Bump.NONE),
        (('Revert "Revert "feat: bad""',), Bump.PATCH),
        (('Revert "feat: bad"', 'Revert "feat: bad"', "feat: bad", "feat: bad"), Bump.NONE),
        (('Revert "feat: bad"', 'Revert "feat: bad"', "feat: bad"), Bump.PATCH),
    ],
)
def test_an_unreleased_commit_and_its_revert_cancel_out(messages: tuple[str, ...], bump: Bump) -> None:
    """A revert of something released is a patch."""
    assert reading(*messages).bump is bump


def test_ids_go_before_subjects() -> None:
    """Two commits of one subject are told apart, and an abbreviated subject does not matter."""
    pair = (
        Message(text='Revert "feat: b…"', id="c", undone=("b",)),
        Message(text="feat: bad", id="b"),
        Message(text="fix: x", id="a"),
    )
    assert evaluate_messages(pair).bump is Bump.PATCH
    assert evaluate_messages(pair).cancelled == 2
    released = (Message(text='Revert "feat: bad"', id="b", released=True), Message(text="feat: bad", id="a"))
    assert evaluate_messages(released).bump is Bump.MINOR


def test_time_of_a_hostile_subject_is_linear() -> None:
    """Messages are the words of others: a long one must not take long."""
    for piece in ("#1", "1", ":a:", "[", "a(", "* ", "BREAKING CHANGE", "\n", "ABC-1", "!:", " "):
        text = "x" + piece * 20_000
        reading(text[1:], text, f"fix: x\n\n{text[1:]}", f"feat {text}")
