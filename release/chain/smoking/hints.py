"""Hints for a failed smoke run, from the image, the settings, the container's state and its output.

Nothing is read here. For each hint, a test follows the hint on a real engine.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from release.chain.missing_service import hint_for_missing_service
from release.chain.smoking.listening import hint_for_loopback_address, hint_for_other_port
from release.chain.smoking.sockets import ListeningPorts
from release.config import SmokeRun
from release.images.values import ContainerState, StoredImage
from release.network.probe import Answer
from release.scalars import size_text
from release.tmpfs import Tmpfs
from release.values import Struct

_PATH: Final = re.compile(r"/[^\s'\"\u2018\u2019`:,;()<>]+")
_READ_ONLY: Final = "read-only file system"
"""Messages of the C library, Go and Python for EROFS, in any case."""
_DENIED: Final = "permission denied"
_NOT_PERMITTED: Final = "operation not permitted"
_NO_PROGRAM: Final = (126, 127)
WORKER: Final = (
    'write `smoke.stays_up = "10s"`, or `smoke.check = ["..."]` with a program that asks it, in the place of '
    "`smoke.port`"
)
OWN_OUTPUT: Final = "its own last lines, above, say why; smoke.log has all of them"
NO_OUTPUT: Final = "it wrote no output: let it log why"
_COMMAND: Final = "`environments.<name>.command` (the smoke run takes it from there)"
NEVER_STARTED: Final = "it never started and wrote no output: mend what the engine names, and run this again"


class SmokeFailure(Struct, frozen=True, kw_only=True):
    """The known facts of a failed smoke run."""

    settings: SmokeRun
    image: StoredImage
    target: str | None = None
    """Released stage of the Dockerfile; None: the last stage."""
    state: ContainerState | None = None
    lines: tuple[str, ...] = ()
    """Lines of the container's output."""
    owner: tuple[int, int] = (0, 0)
    """User and group of the program, as numbers."""
    of_environments: bool = False
    """True: the command comes from the environments, not from `smoke`."""

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command that runs."""
        return self.state.argv if self.state is not None else ()


def hint_for_missing_command(seen: SmokeFailure) -> str:
    """Return the hint for an image without CMD and ENTRYPOINT; empty if there is a command."""
    if seen.settings.command is not None or seen.image.command or seen.image.entrypoint:
        return ""
    return f'write CMD in the Dockerfile, or set {_COMMAND}, as ["app"]'


def hint_for_ended_container(seen: SmokeFailure) -> str:
    """Return the hint for a container that ended before it answered."""
    return next(_causes_of_end(seen), hint_for_missing_service(seen.lines) or where_to_read_output(seen))


def hint_for_unstarted_container(seen: SmokeFailure) -> str:
    """Return the hint for a container that the engine did not start."""
    return next(_causes_of_end(seen), NEVER_STARTED)


def where_to_read_output(seen: SmokeFailure) -> str:
    """Return the sentence that says where the output of the container is, or that there is none."""
    return OWN_OUTPUT if seen.lines else NO_OUTPUT


def _causes_of_end(seen: SmokeFailure) -> Iterator[str]:
    state, settings = seen.state, seen.settings
    if state is not None and state.oom_killed:
        more = size_text(2 * settings.memory)
        yield f'it had {size_text(settings.memory)}: raise `smoke.memory`, as "{more}"'
    if state is not None and state.exit_code in _NO_PROGRAM:
        argv = shlex.join(seen.command)
        place = where_command_is_set(seen)
        yield f"a program of `{argv}` is not in the image or cannot be run: correct {place}"
    if settings.read_only:
        yield from _hints_for_read_only_root(seen)
    yield from _hints_for_permission_denied(seen)
    yield from _hints_for_dropped_capabilities(seen)
    if state is not None and state.exit_code == 0:
        last = "" if seen.target else "; or name the stage of the service in `build.target`"
        place = where_command_is_set(seen)
        yield f"`{shlex.join(seen.command)}` ended by itself: give it a command that serves: {place}{last}"


def where_command_is_set(seen: SmokeFailure) -> str:
    """Return where the command is set, with the environments if they set the same command."""
    if seen.of_environments:
        return "`environments.<name>.command`"
    if seen.settings.command is not None:
        return "`smoke.command` and `environments.<name>.command`"
    keep = ', with `entrypoint = "keep"` if the ENTRYPOINT gets it as arguments' * bool(seen.image.entrypoint)
    return f"CMD in the Dockerfile, or {_COMMAND}{keep}"


def _lines_with_words(seen: SmokeFailure, words: str) -> list[str]:
    return [line for line in seen.lines if words in line.lower()]


def _hints_for_read_only_root(seen: SmokeFailure) -> Iterator[str]:
    """Yield hints for EROFS with a read-only root: a tmpfs, unless the program lies in that folder."""
    for line in reversed(_lines_with_words(seen, _READ_ONLY)):
        paths = _PATH.findall(line)
        folder = _parent_folder(paths[-1]) if paths else None
        if folder is None:
            continue
        if _would_hide_program(seen, folder):
            yield (
                f"it writes to {folder}, which holds the program: let it write elsewhere, or set "
                "`smoke.read_only = false`"
            )
        else:
            yield f"its root is read-only: add {_tmpfs_entry(seen, folder)} to `smoke.tmpfs`"
    if _lines_with_words(seen, _READ_ONLY):
        yield "its root is read-only: add the folder that it writes to `smoke.tmpfs`"


def _parent_folder(path: str) -> str | None:
    """Return the folder of a file; a path right below the root is its own folder."""
    known = PurePosixPath(path)
    folder = known if len(known.parts) == 2 else known.parent
    return str(folder) if len(folder.parts) > 1 else None


def _would_hide_program(seen: SmokeFailure, folder: str) -> bool:
    """Return whether a tmpfs at the folder would hide the program or its working folder."""
    paths = [word for word in (*seen.command, seen.image.folder) if word.startswith("/") and word != "/"]
    return any(PurePosixPath(path).is_relative_to(folder) for path in paths)


def _tmpfs_entry(seen: SmokeFailure, folder: str) -> str:
    """Return the tmpfs entry of a folder that the program's user owns."""
    uid, gid = seen.owner
    return f'"{Tmpfs(path=folder, uid=uid, gid=gid)}"' if uid else f'"{folder}"'


def _hints_for_permission_denied(seen: SmokeFailure) -> Iterator[str]:
    """Yield hints for EACCES: a folder of another user, or a root user without capabilities."""
    for line in reversed(_lines_with_words(seen, _DENIED)):
        for path in reversed(_PATH.findall(line)):
            for folder in seen.settings.tmpfs:
                if PurePosixPath(path).is_relative_to(folder.path) and seen.owner[0] and folder.uid is None:
                    yield f"its user may not write there: {_tmpfs_entry(seen, folder.path)} in `smoke.tmpfs`"
    if _lines_with_words(seen, _DENIED) and not seen.owner[0] and "DAC_OVERRIDE" not in seen.settings.cap_add:
        yield (
            "its superuser has no capabilities, and the file belongs to another user: "
            '`smoke.cap_add = ["DAC_OVERRIDE"]`, or give the image a USER that owns the file'
        )


def _hints_for_dropped_capabilities(seen: SmokeFailure) -> Iterator[str]:
    """Yield hints for EPERM if a dropped capability is the cause."""
    lines, had = (
        _lines_with_words(seen, _NOT_PERMITTED),
        {name.removeprefix("CAP_") for name in seen.settings.cap_add},
    )
    if not lines:
        return
    text = " ".join(lines).lower()
    wanted = list(dict.fromkeys(name for words, name in _CAPABILITIES if re.search(words, text)))
    missing = [name for name in wanted if name not in had]
    if missing:
        names = ", ".join(f'"{name}"' for name in (*seen.settings.cap_add, *missing))
        yield f"it runs without capabilities: `smoke.cap_add = [{names}]`, and so in the environments"
    elif not wanted:
        yield "it runs without capabilities: add the one that this needs to `smoke.cap_add` (capabilities(7))"


_CAPABILITIES: Final = (
    (r"chown|change ownership|changing ownership", "CHOWN"),
    (r"chmod|change permissions|changing permissions", "FOWNER"),
    (r"setgid|setgroups|setregid|setresgid|initgroups|gosu|su-exec|switching|setpriv|set groups", "SETGID"),
    (r"setuid|setreuid|setresuid|gosu|su-exec|switching|setpriv|set user", "SETUID"),
)
"""Words of a line with EPERM, and the capability (capabilities(7)). gosu says `failed switching to "app"`."""


def hint_for_wrong_answer(seen: SmokeFailure, answer: Answer, sockets: ListeningPorts | None) -> str:
    """Return the hint for a running container without the right answer."""
    if answer.status is not None:
        return _hint_for_status(seen, answer, answer.status)
    if answer.spoke:
        return f"port {seen.settings.port} speaks no plain HTTP: set `smoke.port` to one that does"
    return _hint_for_no_answer(seen, seen.settings.port, sockets)


def _hint_for_status(seen: SmokeFailure, answer: Answer, status: int) -> str:
    settings = seen.settings
    if status in (400, 403, 404, 421) and settings.host is None:
        return (
            'it answers; if it answers its own host alone, set `smoke.host`, as "api.example"; '
            "else `smoke.path` to what it answers well"
        )
    if 300 <= status < 400:
        leads = answer.location or "another address"
        secure = leads.startswith("https://") and not any(
            name.lower() == "x-forwarded-proto" for name in settings.headers or {}
        )
        if secure:
            return (
                f"it sends plain requests to {leads}: set "
                '`smoke.headers = { X-Forwarded-Proto = "https" }` if a proxy sets it, '
                "or `smoke.path` to a path that answers"
            )
        return f"it answers, and redirects to {leads}: set `smoke.path` to that, or `smoke.status = {status}`"
    if status in (401, 407):
        return "it answers, and wants a login: set `smoke.path` to a path that answers without one"
    if status >= 500:
        return f"it answers, and fails: {where_to_read_output(seen)}; `smoke.env` gives it what it lacks"
    return f"it answers: set `smoke.path` to what gives {settings.status}, or `smoke.status = {status}`"


def hint_for_silent_port(seen: SmokeFailure, port: int, sockets: ListeningPorts | None) -> str:
    """Return the hint for a port of `smoke.tcp` that accepts no connection."""
    text = re.sub(r"`smoke\.port = (\d+)`", r"`smoke.tcp = [\1]`", _hint_for_no_answer(seen, port, sockets))
    return text.replace("`smoke.port`", "`smoke.tcp`")


def hint_for_failed_check(seen: SmokeFailure, key: str, status: int | None) -> str:
    """Return the hint for a program with a status other than 0; None: the program still runs."""
    if status in _NO_PROGRAM:
        return f"the image has no such program, or it cannot be run: correct {key}, or install the program"
    longer = "raise `smoke.timeout` if the service needs longer to start"
    return hint_for_missing_service(seen.lines) or f"its output is above; {longer}, or correct {key}"


def _hint_for_no_answer(seen: SmokeFailure, port: int | None, sockets: ListeningPorts | None) -> str:
    if sockets is not None and port is not None and port in sockets.on_loopback:
        return _hint_for_loopback(seen, port, port)
    if sockets is not None and sockets.on_all_addresses and port not in sockets.on_all_addresses:
        return hint_for_other_port(sockets)
    if (
        sockets is not None
        and port is not None
        and not sockets.on_all_addresses
        and len(sockets.on_loopback) == 1
    ):
        return _hint_for_loopback(seen, min(sockets.on_loopback), port)
    if sockets is not None and not sockets.on_all_addresses and not sockets.on_loopback:
        return hint_for_missing_service(seen.lines) or (
            "nothing in it listens yet: raise `smoke.timeout` if it needs longer to start. If it is a "
            f"worker, which listens nowhere, {WORKER}; {where_to_read_output(seen)}"
        )
    if seen.image.exposed and port not in seen.image.exposed:
        return f"its Dockerfile exposes {', '.join(map(str, seen.image.exposed))}: set `smoke.port` to it"
    return (
        f"it must listen on 0.0.0.0, port {port}; or `smoke.port` is another, or `smoke.timeout` is too short"
    )


def _hint_for_loopback(seen: SmokeFailure, port: int, asked: int) -> str:
    is_cmd = seen.settings.command is None and not seen.image.entrypoint
    return hint_for_loopback_address(seen.command, port, asked, is_cmd=is_cmd)
