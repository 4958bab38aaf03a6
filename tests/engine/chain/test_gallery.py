"""A gallery of bad images: `nox -s check` refuses each one with one reason, which is the right one.

The policies that are off or warn by default are switched on: `smoke.non_root`, `smoke.startup_line`,
`limits`, `lint.dockerfile.check` and `installed.check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.wheels import wheel
from tests.engine.service import APP, SETTINGS, Ran, Service
from tests.soak.rows import ALL

LOCKED: Final = "alpha==2.0\n"
WHEELS: Final = (wheel("alpha", "1.0"), wheel("alpha", "2.0"), wheel("gamma", "1.0"))
TOKEN: Final = "tok-9f31c7d2a4b8"
DOCKERFILE: Final = f"""\
FROM {lab.SMALL_IMAGE} AS runtime
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
COPY own wheels /wheels/
RUN pip install alpha==2.0
COPY app.py /srv/app.py
USER 10001
CMD ["python3", "/srv/app.py"]
ARG VERSION
ARG COMMIT
ENV APP_VERSION=$VERSION APP_COMMIT=$COMMIT

FROM runtime AS test
COPY test.py /test.py
"""
SAYS: Final = APP.replace(
    "    http.server.Threading",
    '    print(os.environ["APP_VERSION"], os.environ["APP_COMMIT"], flush=True)\n    http.server.Threading',
)
STRICT: Final[Mapping[str, Any]] = {
    "lock": {"allow_unchecked": True},
    "lint": {"commands": ["git --version"], "dockerfile": {"check": "fail"}},
    "installed": {"check": "fail"},
    "smoke": {**SETTINGS["smoke"], "timeout": "5s", "non_root": True, "startup_line": True, "memory": "64m"},
    "limits": {"max_size": "500m"},
}
SERVES: Final = 'if __name__ == "__main__":\n'


class Bad:
    """One bad image: what is changed, the stage that refuses it, and its words."""

    def __init__(
        self, stage: str, words: str, *edits: tuple[str, str], app: str = SAYS, **settings: Any
    ) -> None:
        self.stage, self.words, self.edits, self.app, self.settings = stage, words, edits, app, settings

    @property
    def dockerfile(self) -> str:
        """The Dockerfile with the changes."""
        text = DOCKERFILE
        for old, new in self.edits:
            assert old in text
            text = text.replace(old, new, 1)
        return text


def before_serving(line: str) -> str:
    """The application with one more line before it serves."""
    return SAYS.replace(SERVES, f"{SERVES}    {line}\n")


BY_LINT: Final[Mapping[str, Any]] = {"lint": {"commands": ["git --version"], "dockerfile": {"check": "warn"}}}

GALLERY: Final = {
    "root": Bad("smoke", r"the container runs as root \(USER root\)", ("10001", "root"), **BY_LINT),
    "root, by its Dockerfile": Bad(
        "lint",
        "Dockerfile:6: root-user: the service runs as root",
        ("10001", "root"),
        smoke={**STRICT["smoke"], "non_root": False},
    ),
    "shell form": Bad(
        "lint", "Dockerfile:7: shell-form", ('["python3", "/srv/app.py"]', "python3 /srv/app.py")
    ),
    "writes to root": Bad(
        "smoke",
        "the container ended with status 1(.|\\n)*its root is read-only: add",
        app=before_serving('open("/state", "w")'),
    ),
    "never healthy": Bad(
        "smoke", "gave 503 Service Unavailable", app=SAYS.replace("send_response(200)", "send_response(503)")
    ),
    "out of memory": Bad(
        "smoke", "needed more memory than `smoke.memory`", app=before_serving("held = b'x' * 200_000_000")
    ),
    "secret in a layer": Bad(
        "installed",
        r"/tmp/token holds the build secret token \(Dockerfile line 4: RUN .*\)",
        (
            "RUN pip",
            "RUN --mount=type=secret,id=token cp /run/secrets/token /tmp/token\nRUN rm /tmp/token; pip",
        ),
        build={"target": "runtime", "secrets": {"token": {"from_env": "THE_TOKEN"}}},
    ),
    "extra package": Bad(
        "installed",
        r"gamma 1.0 is installed and not locked \(Dockerfile line 4",
        ("alpha==2.0", "alpha==2.0 gamma"),
    ),
    "downgraded package": Bad(
        "installed",
        r"alpha 1.0 is installed, and 2.0 is locked \(Dockerfile line 5",
        ("COPY app", "RUN pip install alpha==1.0\nCOPY app"),
    ),
    "no version line": Bad("smoke", "no line of its output has the version 0.1.0 and the commit", app=APP),
    "too large": Bad("smoke", "the image has .* MB; limits.max_size is 10m", limits={"max_size": "10m"}),
}

ALWAYS: Final = ("root", "secret in a layer", "downgraded package", "too large")


def check(make: Make, bad: Bad) -> tuple[Service, Ran]:
    settings = {**STRICT, **bad.settings}
    files = {
        "requirements.in": "",
        "requirements.txt": LOCKED,
        "Dockerfile": bad.dockerfile,
        "app.py": bad.app,
    }
    service = make(files=files, **settings)
    (service.folder / "wheels").mkdir()
    for name, content in WHEELS:
        (service.folder / "wheels" / name).write_bytes(content)
    service.commit("feat: bring wheels")
    return service, service.nox("check", UV_OFFLINE="1", THE_TOKEN=TOKEN)


def failed(ran: Ran) -> list[str]:
    """The stages that failed."""
    return re.findall(r"^✗ (\w+)  [0-9.]+ s  failed", ran.err, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in GALLERY if ALL or name in ALWAYS])
def test_a_bad_image_is_refused_with_its_reason(make: Make, name: str) -> None:
    """One gate fails; a secret is never printed."""
    bad = GALLERY[name]
    _, ran = check(make, bad)
    assert ran.status == 1, ran.all
    assert failed(ran) == [bad.stage], ran.err
    assert re.search(bad.words, ran.err), ran.err
    assert TOKEN not in ran.all


def test_a_good_image_passes_all_of_them(make: Make) -> None:
    """So each reason is that of the one change."""
    _, ran = check(make, Bad("", ""))
    assert ran.status == 0, ran.all
