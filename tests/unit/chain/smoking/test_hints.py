"""Hints of the smoke run that need no engine to be told apart; the others are followed in tests/engine."""

from __future__ import annotations

from typing import Any

import pytest

from release.chain.smoking import hints, stopping
from release.chain.smoking.hints import SmokeFailure
from release.chain.smoking.sockets import ListeningPorts, parse_listening_ports
from release.config import Smoke
from release.images.values import StoredImage
from release.network.probe import Answer
from release.programs.signals import TERM
from release.values import replace
from tests.unit.deploy.fakes import digest, state

IMAGE = StoredImage(
    id=digest("image"), diff_ids=(), references=(), user="", labels={}, size=1, has_healthcheck=False
)


def seen(*lines: str, smoke: dict[str, Any] | None = None, **changes: Any) -> SmokeFailure:
    settings = Smoke.model_validate({"port": 8000, **(smoke or {})})
    ended = state(status="exited", exit_code=1, argv=("python3", "/srv/app.py"))
    return SmokeFailure(**{"settings": settings, "image": IMAGE, "state": ended, "lines": lines, **changes})


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 00000000:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:0 0 0
"""


def test_what_listens_is_read_from_the_kernel() -> None:
    """On all addresses, or on the loopback alone; a connection does not listen."""
    assert parse_listening_ports(TABLE) == ListeningPorts(
        on_all_addresses=frozenset({9000}), on_loopback=frozenset({8000, 22})
    )
    assert parse_listening_ports("") == ListeningPorts(on_all_addresses=frozenset(), on_loopback=frozenset())


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("OSError: [Errno 30] Read-only file system: '/var/lib/app/state.db'", "/var/lib/app"),
        ("sh: /run.sh: line 3: /data/undone: Read-only file system", "/data"),
        ("mkdir: cannot create directory '/data': Read-only file system", "/data"),
        ('nginx: mkdir() "/var/cache/nginx/body" failed (30: Read-only file system)', "/var/cache/nginx"),
        ("open /run/app/x.pid: read-only file system", "/run/app"),
    ],
)
def test_the_folder_of_a_read_only_root_is_read_from_the_output(line: str, folder: str) -> None:
    """As Python, shells, coreutils, nginx and Go write it; not where the root is not read-only."""
    assert (
        hints.hint_for_ended_container(seen(line))
        == f'its root is read-only: add "{folder}" to `smoke.tmpfs`'
    )
    assert hints.hint_for_ended_container(seen(line, smoke={"read_only": False})) == hints.OWN_OUTPUT


def test_nothing_is_guessed_where_nothing_is_known() -> None:
    """The output says why."""
    assert hints.hint_for_ended_container(seen("KeyError: 'DATABASE_URL'")) == hints.OWN_OUTPUT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=400, text="400 Bad Request"), "`smoke.host`"),
        (Answer(status=421, text="421 Misdirected"), "`smoke.host`"),
        (Answer(status=302, text="302 Found", location="/login"), "redirects to /login"),
        (Answer(status=500, text="500 Oh"), "it answers, and fails"),
        (Answer(status=None, text="no answer", spoke=True), "speaks no plain HTTP"),
    ],
)
def test_where_something_answered_the_hint_is_about_the_answer(answer: Answer, words: str) -> None:
    """The port is right then."""
    hint = hints.hint_for_wrong_answer(seen(), answer, None)
    assert words in hint
    assert "0.0.0.0" not in hint  # noqa: S104 - compared


def test_a_port_that_the_image_does_not_expose_is_told() -> None:
    """Where nothing in the container can tell what listens."""
    image = StoredImage(
        id=digest("i"),
        diff_ids=(),
        references=(),
        user="",
        labels={},
        size=1,
        has_healthcheck=False,
        exposed=(9000,),
    )
    silent = Answer(status=None, text="no answer")
    assert "exposes 9000: set `smoke.port`" in hints.hint_for_wrong_answer(seen(image=image), silent, None)


def test_a_command_is_named_where_the_environments_have_it() -> None:
    """A command of the smoke run alone would pass a gate that no deployment passes."""
    assert (
        "set `environments.<name>.command` (the smoke run takes it from there)"
        in hints.hint_for_missing_command(seen(image=IMAGE))
    )
    ends = state(status="exited", exit_code=0, argv=("run.sh", "true"))
    bare = hints.hint_for_ended_container(seen(state=ends))
    assert "CMD in the Dockerfile, or `environments.<name>.command`" in bare
    assert "keep" not in bare
    script = hints.hint_for_ended_container(seen(state=ends, image=replace(IMAGE, entrypoint=("run.sh",))))
    assert 'with `entrypoint = "keep"` if the ENTRYPOINT gets it as arguments' in script


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python app.py", 'as CMD ["python", "app.py"]: a shell'),
        ("python app.py; true", "in the place of `python app.py; true`: a shell"),
        ('gunicorn --bind "0.0.0.0:$PORT" app', 'in the place of `gunicorn --bind "0.0.0.0:$PORT" app`'),
    ],
)
def test_a_shell_form_is_told_in_its_own_words(text: str, words: str) -> None:
    """Words that only a shell understands are not made into a list."""
    shell = state(argv=("/bin/sh", "-c", text))
    hint = stopping.hint_for_ignored_signal(seen(state=shell), TERM, None)
    assert hint.startswith("write CMD in exec form, ")
    assert words in hint


def test_a_shell_is_told_where_it_is_written() -> None:
    """In ENTRYPOINT, or in the settings."""
    argv = ("/bin/sh", "-c", "serve now")
    entrypoint = stopping.hint_for_ignored_signal(
        seen(state=state(argv=argv), image=replace(IMAGE, entrypoint=argv)), TERM, None
    )
    assert 'write ENTRYPOINT in exec form, as ENTRYPOINT ["serve", "now"]' in entrypoint
    ours = stopping.hint_for_ignored_signal(
        seen(state=state(argv=argv), smoke={"command": list(argv)}), TERM, None
    )
    assert "write `smoke.command` and `environments.<name>.command` without a shell" in ours
    assert 'as ["serve", "now"]' in ours


def test_a_command_of_the_settings_is_corrected_where_it_is_written() -> None:
    """In `smoke`, which the environments have to equal, or in the environments."""
    missing = state(status="exited", exit_code=127, argv=("serve",))
    smoke = {"command": ["serve"]}
    ours = hints.hint_for_ended_container(seen(state=missing, smoke=smoke))
    assert ours.endswith("correct `smoke.command` and `environments.<name>.command`")
    theirs = hints.hint_for_ended_container(seen(state=missing, smoke=smoke, of_environments=True))
    assert theirs.endswith("correct `environments.<name>.command`")


def test_lines_that_were_not_written_are_not_pointed_at() -> None:
    """Neither of a container that the engine could not start, nor of one that ended without a word."""
    failed = state(status="created", exit_code=128)
    assert hints.hint_for_unstarted_container(seen(state=failed)) == hints.NEVER_STARTED
    assert hints.hint_for_ended_container(seen()) == hints.NO_OUTPUT
    assert "above" not in stopping.hint_for_exit_status(seen(), TERM)
    assert "above" in stopping.hint_for_exit_status(seen("Traceback"), TERM)


def test_a_program_that_is_not_there_is_still_named_where_nothing_started() -> None:
    """The engine's status says so."""
    missing = state(status="created", exit_code=127, argv=("gunicorn",))
    assert "a program of `gunicorn` is not in the image" in hints.hint_for_unstarted_container(
        seen(state=missing)
    )
