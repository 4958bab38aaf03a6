"""The fault matrix: one flat table of faults and stages, from which the tests and the document come."""

from __future__ import annotations

from typing import Final

from tests.engine.faults.case import (
    NOTHING,
    REFUSED,
    RELEASED,
    TAGGED_BY_OTHERS,
    UNTAGGED,
    CacheGone,
    Cell,
    Clock,
    EngineDies,
    EngineDiskFull,
    FullDisk,
    Gone,
    Hook,
    Moved,
    Proxied,
    ReadOnly,
    Silent,
    Taken,
)
from tests.engine.faults.proxy import (
    ALWAYS,
    Action,
    Answer,
    CutDownload,
    CutUpload,
    Damage,
    Expired,
    Fault,
    Forget,
    Header,
    Reset,
    Slow,
)

_UPLOAD: Final = ("POST", "/blobs/uploads/")
_SEND: Final = ("PUT|PATCH", "/blobs/uploads/")
_OFFER: Final = ("PUT", "/manifests/sha-")
_MANIFEST: Final = ("GET", "/manifests/sha-")
_BLOB: Final = ("GET", "/blobs/sha256")
_TAG: Final = ("PUT", "/manifests/0.1.0")


def _fault(where: tuple[str, str], action: Action, *, first: int = 1, times: int = 1) -> Proxied:
    method, path = where
    return Proxied(faults=(Fault(method=method, path=path, action=action, first=first, times=times),))


def _answer(status: int, code: str = "UNKNOWN", **headers: str) -> Answer:
    return Answer(status=status, code=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


UPLOADS: Final = (
    Cell(
        fault="429 with Retry-After, once",
        stage="push: upload",
        trouble=_fault(_UPLOAD, _answer(429, "TOOMANYREQUESTS", Retry_After="1")),
        happened="",
        retried="the request, by the engine itself",
        state=RELEASED,
    ),
    Cell(
        fault="429 that stays, without Retry-After",
        stage="push: upload",
        trouble=_fault(_UPLOAD, _answer(429, "TOOMANYREQUESTS"), times=ALWAYS),
        happened="the registry answers 429",
        retried="the request, 4 times",
        again=4,
        state=NOTHING,
        hint="wait and run it again",
    ),
    Cell(
        fault="quota: 429 with Retry-After of 6 hours",
        stage="push: upload",
        trouble=_fault(_UPLOAD, _answer(429, "TOOMANYREQUESTS", Retry_After="21600"), times=ALWAYS),
        happened="the registry answers 429",
        state=NOTHING,
        hint="wait 360 min",
    ),
    *(
        Cell(
            fault=f"{status}, once",
            stage="push: upload",
            trouble=_fault(_UPLOAD, _answer(status)),
            happened="the registry accepts uploads, so uploading again",
            retried="the upload, once",
            again=1,
            state=RELEASED,
            is_long=status != 500,
        )
        for status in (500, 502, 503)
    ),
    Cell(
        fault="503 that stays",
        stage="push: upload",
        trouble=_fault(_UPLOAD, _answer(503), times=ALWAYS),
        happened="the registry answers 503",
        retried="the request, 4 times",
        again=4,
        state=NOTHING,
        hint="run it again",
        is_long=True,
    ),
    Cell(
        fault="connection reset, once",
        stage="push: upload",
        trouble=_fault(_UPLOAD, Reset()),
        happened="the registry accepts uploads, so uploading again",
        retried="the upload, once",
        again=1,
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="cut in the middle of a blob, once",
        stage="push: upload",
        trouble=_fault(_SEND, CutUpload(after=100)),
        happened="the registry accepts uploads, so uploading again",
        retried="the upload, once",
        again=1,
        state=RELEASED,
    ),
    Cell(
        fault="cut in the middle of a blob, every time",
        stage="push: upload",
        trouble=_fault(_SEND, CutUpload(after=100), times=ALWAYS),
        happened="the registry accepts uploads, so uploading again",
        retried="the upload, 3 times",
        again=3,
        state=NOTHING,
        hint="the registry accepts uploads: run it again",
    ),
    Cell(
        fault="413 for blobs alone, as of a proxy on the way",
        stage="push: upload",
        trouble=_fault(_SEND, _answer(413), times=ALWAYS),
        happened="the registry accepts uploads, so uploading again",
        retried="the upload, 3 times",
        again=3,
        state=NOTHING,
        hint="check the size limit of a proxy before it",
        is_long=True,
    ),
    Cell(
        fault="stands still",
        stage="push: upload",
        trouble=_fault(_UPLOAD, Slow(seconds=12)),
        happened="no data came for too long",
        retried="the upload, once",
        again=1,
        state=RELEASED,
        stalled=4000,
    ),
    Cell(
        fault="slow",
        stage="push: upload",
        trouble=_fault(_UPLOAD, Slow(seconds=1)),
        happened="",
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="403",
        stage="push: upload",
        trouble=_fault(_UPLOAD, _answer(403, "DENIED"), times=ALWAYS),
        happened="the registry answers 403: DENIED",
        state=NOTHING,
        hint="docker login",
    ),
    Cell(
        fault="403 for the manifest alone",
        stage="push: upload",
        trouble=_fault(("PUT", "/manifests/"), _answer(403, "DENIED"), times=ALWAYS),
        happened="the registry answers 403: DENIED",
        state=NOTHING,
        hint="docker login",
    ),
    *(
        Cell(
            fault=f"quota: {status}",
            stage="push: upload",
            trouble=_fault(_UPLOAD, _answer(status, "DENIED"), times=ALWAYS),
            happened=f"the registry answers {status}",
            state=NOTHING,
            hint="raise the quota",
            is_long=status != 413,
        )
        for status in (413, 507)
    ),
    Cell(
        fault="read-only registry: 405",
        stage="push: upload",
        trouble=ReadOnly(),
        happened="the registry answers 405",
        state=NOTHING,
        hint="check if it is read-only",
    ),
    Cell(
        fault="no program listens",
        stage="push: upload",
        trouble=Gone(),
        happened="no program listens there",
        retried="the request, 4 times",
        again=4,
        state=NOTHING,
        hint="check that the registry runs",
    ),
    Cell(
        fault="our image is there already",
        stage="push: upload",
        trouble=Taken(tag="candidate", ours=True),
        happened="",
        retried="nothing is sent",
        state=RELEASED,
        sends=False,
    ),
    Cell(
        fault="all layers are there already",
        stage="push: upload",
        trouble=Taken(tag="another", ours=True),
        happened="",
        retried="no layer is sent",
        state=RELEASED,
        sends=False,
    ),
    Cell(
        fault="another image under the candidate's name",
        stage="push: upload",
        trouble=Taken(tag="candidate", ours=False),
        happened="from a build that was not released; it is replaced",
        state=RELEASED,
    ),
    Cell(
        fault="the version's tag is another image",
        stage="push: upload",
        trouble=Taken(tag="version", ours=False),
        happened="which no release in the ledger has",
        state=REFUSED,
        hint="a version's tag is never moved",
    ),
)
"""While the engine sends the image."""

READS: Final = (
    *(
        Cell(
            fault=f"{status}, once",
            stage="push: read back",
            trouble=_fault(_BLOB, _answer(status)),
            happened=f"the registry answers {status}; trying again",
            retried="the request, once",
            again=1,
            state=RELEASED,
            is_long=status != 500,
        )
        for status in (429, 500, 502, 503)
    ),
    Cell(
        fault="429 with Retry-After as a date",
        stage="push: read back",
        trouble=_fault(
            _MANIFEST, _answer(429, "TOOMANYREQUESTS", Retry_After="Mon, 01 Jan 2024 00:00:00 GMT"), first=2
        ),
        happened="the registry answers 429; trying again",
        retried="the request, once",
        again=1,
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="429 with Retry-After of a second",
        stage="push: read back",
        trouble=_fault(_MANIFEST, _answer(429, "TOOMANYREQUESTS", Retry_After="1"), first=2),
        happened="the registry answers 429; trying again in 1 s",
        retried="the request, once",
        again=1,
        state=RELEASED,
    ),
    Cell(
        fault="connection reset, once",
        stage="push: read back",
        trouble=_fault(_BLOB, Reset()),
        happened="it closed the connection; trying again",
        retried="the request, once",
        again=1,
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="cut in the middle of a blob, once",
        stage="push: read back",
        trouble=_fault(_BLOB, CutDownload(after=100), first=2),
        happened="it closed the connection; trying again",
        retried="the rest of the blob, once",
        again=1,
        state=RELEASED,
    ),
    Cell(
        fault="cut in the middle of a blob, every time",
        stage="push: read back",
        trouble=_fault(_BLOB, CutDownload(after=100), times=ALWAYS),
        happened="it closed the connection",
        retried="the rest of the blob, 4 times",
        again=4,
        state=NOTHING,
        hint="check that the registry runs",
    ),
    Cell(
        fault="other bytes in a layer",
        stage="push: read back",
        trouble=_fault(_BLOB, Damage(), first=2),
        happened="its bytes hash to",
        state=NOTHING,
        hint="the registry or a proxy is damaged",
    ),
    Cell(
        fault="other bytes in the manifest",
        stage="push: read back",
        trouble=_fault(_MANIFEST, Damage(), first=2),
        happened="its bytes hash to",
        state=NOTHING,
        hint="the registry or a proxy is damaged",
    ),
    Cell(
        fault="another digest in the header",
        stage="push: read back",
        trouble=_fault(_MANIFEST, Header(name="Docker-Content-Digest", value=f"sha256:{'0' * 64}"), first=2),
        happened=f"not to sha256:{'0' * 64}",
        state=NOTHING,
        hint="the registry or a proxy is damaged",
    ),
    Cell(
        fault="manifest taken, but not readable",
        stage="push: read back",
        trouble=_fault(_MANIFEST, _answer(404, "MANIFEST_UNKNOWN"), times=ALWAYS),
        happened="has no manifest under that name",
        state=NOTHING,
        hint="run `nox -s release` again",
    ),
    Cell(
        fault="401: the token has ended",
        stage="push: read back",
        trouble=_fault(_BLOB, Expired()),
        happened="",
        retried="the request, with a new token",
        state=RELEASED,
    ),
    Cell(
        fault="403",
        stage="push: read back",
        trouble=_fault(_BLOB, _answer(403, "DENIED")),
        happened="the registry answers 403",
        state=NOTHING,
        hint="docker login",
        is_long=True,
    ),
    Cell(
        fault="slow",
        stage="push: read back",
        trouble=_fault(_BLOB, Slow(seconds=1)),
        happened="",
        state=RELEASED,
        is_long=True,
    ),
)
"""While what was pushed is read back."""

TAGS: Final = (
    Cell(
        fault="503, once",
        stage="promote",
        trouble=_fault(_TAG, _answer(503)),
        happened="the registry answers 503; trying again",
        retried="the request, once",
        again=1,
        state=RELEASED,
    ),
    Cell(
        fault="connection reset, once",
        stage="promote",
        trouble=_fault(_TAG, Reset()),
        happened="it closed the connection; trying again",
        retried="the request, once",
        again=1,
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="401: the token has ended",
        stage="promote",
        trouble=_fault(_TAG, Expired()),
        happened="",
        retried="the request, with a new token",
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="503 that stays",
        stage="promote",
        trouble=_fault(_TAG, _answer(503), times=ALWAYS),
        happened="the registry answers 503",
        retried="the request, 4 times",
        again=4,
        state=UNTAGGED,
        hint="run it again",
    ),
    Cell(
        fault="403",
        stage="promote",
        trouble=_fault(_TAG, _answer(403, "DENIED"), times=ALWAYS),
        happened="the registry answers 403",
        state=UNTAGGED,
        hint="docker login",
        is_long=True,
    ),
    Cell(
        fault="taken, but not readable",
        stage="promote",
        trouble=_fault(_TAG, Forget()),
        happened="the registry accepted it, but does not have it",
        state=UNTAGGED,
    ),
    Cell(
        fault="the version's tag appears as another image",
        stage="promote",
        trouble=Taken(tag="version", ours=False, after="record"),
        happened="the tag exists with another digest",
        state=TAGGED_BY_OTHERS,
        hint="a released tag is never moved",
    ),
)
"""While the version's tag is put."""

_NO: Final = 'echo "protected by policy" >&2; exit 1'
_REFUSE: Final = 'case "$1" in {ref}) ' + _NO + ";; esac"

GIT: Final = (
    Cell(
        fault="the repository is gone",
        stage="plan",
        trouble=Moved(),
        happened="the git remote does not answer",
        state=NOTHING,
        hint="run it again when the remote answers",
    ),
    Cell(
        fault="the server is silent",
        stage="plan",
        trouble=Silent(),
        happened="the git remote does not answer",
        state=NOTHING,
        hint="run it again when the remote answers",
    ),
    Cell(
        fault="the repository goes away",
        stage="record",
        trouble=Moved(before="record"),
        happened="cannot ask the git remote origin",
        state=NOTHING,
        hint="git ls-remote origin",
    ),
    Cell(
        fault="the server falls silent",
        stage="record",
        trouble=Silent(before="record"),
        happened="no answer within",
        state=NOTHING,
        hint="git ls-remote origin",
    ),
    Cell(
        fault="a hook refuses",
        stage="record",
        trouble=Hook(name="pre-receive", script=_NO),
        happened="protected by policy",
        state=NOTHING,
    ),
    Cell(
        fault="the ledger's branch is protected",
        stage="record",
        trouble=Hook(name="update", script=_REFUSE.format(ref="refs/heads/release-ledger")),
        happened="protected by policy",
        state=NOTHING,
        is_long=True,
    ),
    Cell(
        fault="version tags are protected",
        stage="record",
        trouble=Hook(name="update", script=_REFUSE.format(ref="refs/tags/*")),
        happened="protected by policy",
        state=NOTHING,
    ),
    Cell(
        fault="slow",
        stage="record",
        trouble=Hook(name="pre-receive", script="sleep 1"),
        happened="",
        state=RELEASED,
        is_long=True,
    ),
    Cell(
        fault="dies after it took the push",
        stage="record",
        trouble=Hook(name="post-receive", script="kill -9 $PPID"),
        happened="",
        state=RELEASED,
    ),
)
"""While the ledger is read and written."""

MACHINE: Final = (
    Cell(
        fault="disk full: the run's folder",
        stage="build",
        trouble=FullDisk(size=16 * 1024),
        happened="No space left on device",
        state=NOTHING,
        hint="free disk space for",
    ),
    Cell(
        fault="the clock jumps a day back",
        stage="push",
        trouble=Clock(hours=-24, before="push"),
        happened="",
        state=RELEASED,
    ),
    Cell(
        fault="the clock jumps a year ahead",
        stage="record",
        trouble=Clock(hours=24 * 365, before="record"),
        happened="",
        state=RELEASED,
        is_long=True,
    ),
)
"""Of the machine that releases."""

ENGINE: Final = (
    *(
        Cell(
            fault="the engine dies",
            stage=stage,
            trouble=EngineDies(during=stage),
            happened="on the engine at unix://",
            state=NOTHING,
            hint="start Docker there",
            is_long=stage != "build",
        )
        for stage in ("build", "test", "smoke", "push")
    ),
    Cell(
        fault="the engine restarts",
        stage="test",
        trouble=EngineDies(during="test", returns=True),
        happened="on the engine at unix://",
        state=NOTHING,
        hint="start Docker there",
        is_long=True,
    ),
    Cell(
        fault="disk full: the engine's",
        stage="build",
        trouble=EngineDiskFull(),
        happened="the image could not be built",
        state=NOTHING,
        hint="build.log",
    ),
    Cell(
        fault="build cache and image are gone",
        stage="build",
        trouble=CacheGone(),
        happened="",
        retried="the build, with the same bytes as result",
        state=RELEASED,
    ),
)
"""Of the engine that builds, tests and sends."""

CELLS: Final = (*UPLOADS, *READS, *TAGS, *GIT, *MACHINE, *ENGINE)
