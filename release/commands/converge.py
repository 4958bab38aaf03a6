"""`invoke converge`: a deployment that ended in the middle."""

from __future__ import annotations

from release.commands.change import allowance
from release.commands.door import Door, agree
from release.deploy.converge import Found, Halves, carry_out, examine, look, tidy
from release.deploy.site import Site
from release.deploy.target import Way
from release.errors import UsageError
from release.events import Notice


def converge(door: Door) -> int:
    """Bring a deployment that ended in the middle to an end, or undo it."""
    words = door.words
    if words.finish and words.revert:
        raise UsageError("converge", "both --finish and --revert are given", "give one")
    way: Way | None = "finish" if words.finish else "revert" if words.revert else None
    allowance(words)
    with door.desk() as desk, desk.site(words.environment) as site:
        answers = desk.refresh()
        found = look(site, break_lock=words.break_lock)
        halves = examine(site, found, way=way)
        if halves is None:
            return _nothing_open(door, site, found, answers=answers)
        return _converge(door, halves, answers=answers)


def _nothing_open(door: Door, site: Site, found: Found, *, answers: bool) -> int:
    """Say so; a lock whose deployment ended is removed."""
    if not door.words.plan and tidy(site, found, message=door.words.message, answers=answers):
        door.console.emit(Notice(text="removed a lock whose deployment had ended"))
    if door.words.json:
        door.console.document(None)
    else:
        door.console.result(f"{site.place}: nothing is half done")
    return 0


def _converge(door: Door, halves: Halves, *, answers: bool) -> int:
    words, console = door.words, door.console
    console.hide(halves.secrets)
    if words.plan:
        if words.json:
            console.document(halves.to_json())
        else:
            console.sheet(halves.title, halves.rows)
        return 0
    console.fields(halves.title, halves.rows)
    agree(door, halves.title)
    done = carry_out(halves, message=words.message, answers=answers, interruption=door.interruption)
    if words.json:
        console.document(done.record)
    else:
        console.result(f"{halves.site.place}: {done.end}: {done.evidence}")
    return 0
