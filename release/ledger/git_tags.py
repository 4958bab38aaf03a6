"""Git tags, compared with the releases that they name."""

from __future__ import annotations

from collections.abc import Iterator

from release.git.runner import ANSWER_SECONDS, Git
from release.ledger.violations import Violation
from release.records import Record, Release
from release.values import Struct


class Tags(Struct, frozen=True, kw_only=True):
    """Git tags and their commits."""

    here: dict[str, str]
    there: dict[str, str] | None
    """Tags on the remote; None without a remote, or if the remote does not answer."""
    remote: str | None

    def ask(self, commit: str, record: Record[Release]) -> Iterator[Violation]:
        """Yield a violation if a tag contradicts a release. A tag only on the remote is no violation.

        An adopted release has no tag.
        """
        source = record.body.source
        if record.body.adopted is not None:
            return
        places = {"this clone": self.here.get(source.tag)}
        if self.there is not None:
            places[str(self.remote)] = self.there.get(source.tag)
        for place, found in places.items():
            needed = place != "this clone" or self.remote is None
            if found != source.commit and (found is not None or needed):
                yield Violation(
                    kind="tag-moved" if found is not None else "tag-missing",
                    commit=commit,
                    path=f"refs/tags/{source.tag}",
                    found=f"on {found} in {place}" if found is not None else f"not in {place}",
                    expected=f"on {source.commit}",
                )


def read_tags(git: Git, remote: str | None) -> Tags:
    """Return the tags of this clone, and the remote's tags if the remote answers."""
    form = "--format=%(objectname) %(*objectname)%09%(refname)"
    here = git.run("for-each-ref", form, "refs/tags")
    there = None
    if remote is not None:
        answer = git.run("ls-remote", "--tags", remote, timeout=ANSWER_SECONDS)
        there = _commits(answer.text) if answer.status == 0 else None
    return Tags(here=_commits(here.text), there=there, remote=remote)


def _commits(listing: str) -> dict[str, str]:
    """Return the commits of tags, by name. Git lists the commit of an annotated tag after the tag."""
    rows = (line.split("\t") for line in listing.splitlines())
    return {ref.removeprefix("refs/tags/").removesuffix("^{}"): oids.split()[-1] for oids, ref in rows}
