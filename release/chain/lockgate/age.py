"""The age of the lockfile and of pinned base images: the time since the commit that changed them last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from release.chain.building.dockerfile import parse_stages
from release.errors import GateFailed
from release.events import Warned
from release.git.commit_files import read_linked
from release.git.history import is_shallow
from release.scalars import duration_text
from release.values import Struct

if TYPE_CHECKING:
    from release.chain.stage_context import StageContext

REFRESHED: Final = "Lock-Refreshed"
"""Git trailer of a commit that looked for updates of a lockfile, with or without result."""

_DIGEST: Final = re.compile(r"@(sha256:[0-9a-f]{64})")
_DAY: Final = 86_400_000


class DatedItem(Struct, frozen=True, kw_only=True):
    """A file or image, and the last commit that changed it."""

    what: str
    """Name of the file or image, as "uv.lock" or "the base image python@sha256:…"."""
    limit: int
    """Allowed age in milliseconds."""
    changed: datetime | None
    """Time of the last change; None if the history of this clone is too short."""
    next_step: str


def check_age(ctx: StageContext, lockfile: str) -> None:
    """Warn about a lockfile or base image that is too old, or refuse it. Raises GateFailed.

    `lockfile` is its path from the root of the repository.
    """
    config, now = ctx.plan.service.lock, datetime.now(UTC)
    if config.too_old == "off":
        return
    for each in _dated_items(ctx, lockfile, now):
        text = _describe_old_item(each, now)
        if not text:
            continue
        if config.too_old == "fail":
            raise GateFailed("lock", text, each.next_step if each.changed else "git fetch --unshallow")
        if each.changed is not None:
            ctx.emit(Warned(text=f"{text}. {each.next_step}"))


def _describe_old_item(each: DatedItem, now: datetime) -> str:
    """Return what is wrong with an age; empty for an allowed age."""
    if each.changed is None:
        return f"the age of {each.what} is not known, because this clone has only the end of the history"
    age = now - each.changed
    if age <= timedelta(milliseconds=each.limit):
        return ""
    return f"{each.what} was changed {age.days} days ago; the limit is {duration_text(each.limit)}"


def _dated_items(ctx: StageContext, lockfile: str, now: datetime) -> Iterator[DatedItem]:
    config, shallow = ctx.plan.service.lock, is_shallow(ctx.source)
    if config.max_age is not None:
        refreshed = _last_refresh_time(ctx, lockfile, now - timedelta(milliseconds=config.max_age))
        yield DatedItem(
            what=lockfile,
            limit=config.max_age,
            changed=refreshed or _last_change_time(ctx, lockfile, shallow=shallow),
            next_step="update it: nox -s refresh",
        )
    if config.max_base_age is not None:
        path = (PurePosixPath(ctx.plan.service.context) / ctx.plan.service.build.dockerfile).as_posix()
        dockerfile = (
            read_linked(ctx.source, ctx.plan.commit.id, path) or b""
        )  # the build says that it is missing
        for base, digest in sorted(parse_pinned_bases(dockerfile.decode("utf-8", "replace"))):
            yield DatedItem(
                what=f"the base image {base}",
                limit=config.max_base_age,
                changed=_last_change_time(ctx, path, f"-S{digest}", shallow=shallow),
                next_step=f"write its newer digest into {path}",
            )


def parse_pinned_bases(dockerfile: str) -> set[tuple[str, str]]:
    """Return the base images with a digest: the name without the digest, and the digest."""
    found = ((stage.base, _DIGEST.search(stage.base)) for stage in parse_stages(dockerfile))
    return {(base.partition("@")[0], match[1]) for base, match in found if match is not None}


def _last_change_time(ctx: StageContext, path: str, *options: str, shallow: bool) -> datetime | None:
    """Return the time of the last commit that changed a file; None if the history is too short."""
    words = ("log", "-1", "--no-show-signature", "--format=%ct %P", *options, ctx.plan.commit.id, "--", path)
    answer = ctx.source.git.run(*words)
    stamp, _, parents = answer.text.strip().partition(" ")
    if answer.status != 0 or not stamp.isdigit() or (shallow and not parents):
        return None
    return datetime.fromtimestamp(int(stamp), UTC)


def _last_refresh_time(ctx: StageContext, lockfile: str, since: datetime) -> datetime | None:
    """Return the time of the last later commit that looked for updates; None if there is none."""
    words = (
        *("log", "-1", "--no-show-signature", "--format=%ct", "--fixed-strings"),
        *(f"--grep={REFRESHED}: {lockfile}", f"--since={int(since.timestamp())}", ctx.plan.commit.id),
    )
    stamp = ctx.source.git.run(*words).text.strip()
    return datetime.fromtimestamp(int(stamp), UTC) if stamp.isdigit() else None
