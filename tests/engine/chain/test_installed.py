"""Images that do not have what is locked: each is refused with the one right reason, and by its line."""

from __future__ import annotations

import json

import pytest

from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.test_lockfiles import uv
from tests.engine.chain.wheels import wheel
from tests.engine.service import DOCKERFILE as SERVICE
from tests.engine.service import Ran, Service

WHEELS = [wheel("alpha", "1.0", ("beta",)), wheel("alpha", "2.0", ("beta",)), wheel("beta", "1.0")]
WHEELS += [wheel("gamma", "1.0", ("delta",)), wheel("delta", "1.0")]
LOCKED = "alpha==2.0\nbeta==1.0\nwindows==1 ; sys_platform == 'win32'\n"
DOCKERFILE = f"""\
FROM {lab.SMALL_IMAGE} AS runtime
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_ROOT_USER_ACTION=ignore PIP_NO_COMPILE=1
COPY own wheels /wheels/
COPY requirements.txt /
RUN pip install -r /requirements.txt
"""
OFFLINE = {"UV_OFFLINE": "1"}
"""The lock gate has no index with these packages; `lock.allow_unchecked` lets it pass."""


@pytest.fixture
def service(make: Make) -> Service:
    """A service whose packages are wheels of its own."""
    made = make(
        files={"requirements.in": "", "requirements.txt": LOCKED, "Dockerfile": DOCKERFILE},
        lock={"allow_unchecked": True},
        installed={"check": "fail"},
    )
    (made.folder / "wheels").mkdir()
    for name, content in WHEELS:
        (made.folder / "wheels" / name).write_bytes(content)
    made.commit("feat: bring wheels")
    return made


def check(service: Service, *lines: str, **installed: object) -> Ran:
    """The gate, after further lines in the Dockerfile."""
    service.configure(lock={"allow_unchecked": True}, installed={"check": "fail", **installed})
    service.commit("feat: change it", {"Dockerfile": DOCKERFILE + "".join(f"{line}\n" for line in lines)})
    return service.nox("installed", **OFFLINE)


def test_what_is_installed_is_what_is_locked(service: Service) -> None:
    """The image passes; pip is the base image's. Every bad one is refused, and a waiver is recorded."""
    ran = check(service)
    assert ran.status == 0, ran.all
    assert "✓ installed" in ran.err
    assert "2 packages, as requirements.txt locks them" in ran.err
    listed = packages(service)
    assert {each["name"]: each["from"] for each in listed["packages"]} == {
        "pip": "base",
        "alpha": "locked",
        "beta": "locked",
    }
    assert {each["line"] for each in listed["packages"] if each["from"] == "locked"} == {5}

    bad = ("RUN pip install gamma", "RUN pip install alpha==1.0", "RUN pip uninstall --yes beta")
    ran = check(service, *bad)
    assert ran.status == 1, ran.all
    for words in (
        "beta 1.0 is locked and not installed",
        "alpha 1.0 is installed, and 2.0 is locked (Dockerfile line 7: RUN pip install alpha==1.0)",
        "delta 1.0 is installed and not locked (Dockerfile line 6: RUN pip install gamma)",
        "gamma 1.0 is installed and not locked (Dockerfile line 6: RUN pip install gamma)",
        'installed.waivers = { beta = "..." }',
    ):
        assert words in ran.err, ran.err

    ran = check(service, *bad[:2], check="warn", waivers={"gamma": "a tool of the operators"})
    assert ran.status == 0, ran.all
    assert "1 differ from requirements.txt, 2 waived" in ran.err
    waived = {each["name"]: each.get("waiver") for each in packages(service)["differences"]}
    assert waived == {
        "alpha": None,
        "gamma": "a tool of the operators",
        "delta": "gamma needs it: a tool of the operators",
    }


def packages(service: Service) -> dict[str, list[dict[str, object]]]:
    """The list of packages of the last run."""
    last = max((service.folder / ".release" / "runs").iterdir(), key=lambda path: path.name)
    found: dict[str, list[dict[str, object]]] = json.loads((last / "packages.json").read_text())
    return found


AUDITOR = """\
import json, sys
lines = [line.strip().split("==") for line in open(sys.argv[1])]
assert json.load(open(sys.argv[2]))["bomFormat"] == "CycloneDX"
found = [{"id": "X-1", "package": n, "version": v, "fixed": ["3"]} for n, v in lines if n == "alpha"]
json.dump(found, open(sys.argv[3], "w"))
sys.exit(len(found))
"""


def test_a_known_vulnerability_stops_the_release_until_it_is_waived(service: Service) -> None:
    """The command gets the packages of the image. One that writes nothing is no evidence."""
    (service.folder / ".git" / "auditor.py").write_text(AUDITOR)
    auditor = str(service.folder / ".git" / "auditor.py")
    command = ["python3", auditor, "{packages}", "{sbom}", "{output}"]

    def audit(**more: object) -> Ran:
        service.configure(
            lock={"allow_unchecked": True}, installed={"check": "fail"}, audit={"command": command, **more}
        )
        service.commit("feat: audit it")
        return service.nox("audit", **OFFLINE)

    ran = audit()
    assert ran.status == 1, ran.all
    assert "alpha 2.0 has X-1; fixed in 3" in ran.err
    ran = audit(waivers={"X-1": {"reason": "not reachable", "until": "2999-12-31"}})
    assert ran.status == 0, ran.all
    assert "no known vulnerability without a waiver, 1 waived" in ran.err
    skipping = (
        "import json, sys; lines = open(sys.argv[1]).read().split(); rows = [{'name': line.split('==')[0], "
        "'skip_reason': 'not found'} for line in lines]; "
        "json.dump({'dependencies': rows}, open(sys.argv[2], 'w'))"
    )
    ran = audit(command=["python3", "-c", skipping, "{packages}", "{output}"])
    assert ran.status == 1, ran.all
    assert "known vulnerabilities could not be looked up: none of the 3 packages was looked up" in ran.err
    ran = audit(command=["true", "{output}"])
    assert ran.status == 1, ran.all
    assert "known vulnerabilities could not be looked up: the command wrote no {output}" in ran.err


def test_pip_audit_without_its_service_passes_nothing(service: Service) -> None:
    """The real one: it cannot look anything up here, and the gate says so."""
    words = ["pip-audit", "--no-deps", "--disable-pip", "-s", "osv", "-r", "{packages}"]
    audit = {
        "tools": ["pip-audit==2.10.1"],
        "command": [*words, "-f", "json", "-o", "{output}"],
        "pass_env": ["HTTPS_PROXY"],
    }
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", **OFFLINE}
    tables = {"lock": {"allow_unchecked": True}, "installed": {"check": "fail"}}
    service.configure(**tables, audit={**audit, "check": "fail"})
    service.commit("feat: audit it")
    assert service.nox("lint").status == 0
    ran = service.nox("audit", **nowhere)
    assert ran.status == 1, ran.all
    assert "known vulnerabilities could not be looked up" in ran.err
    service.configure(**tables, audit={**audit, "check": "fail", "allow_unchecked": True})
    service.commit("feat: let it pass")
    ran = service.nox("audit", **nowhere)
    assert ran.status == 0, ran.all
    assert "could not be looked up" in ran.err


def test_a_uv_lock_is_selected_by_uv(make: Make) -> None:
    """With the options of the Dockerfile's own command: development packages must not be there."""
    service = make(files={"requirements.in": "", "requirements.txt": ""}, installed={"check": "fail"})
    project = '[project]\nname = "hello"\nversion = "1"\nrequires-python = ">=3.11"\n'
    project += 'dependencies = ["six==1.16.0"]\n[dependency-groups]\ndev = ["iniconfig==2.0.0"]\n'
    settings = (service.folder / "pyproject.toml").read_text()
    (service.folder / "pyproject.toml").write_text(f"{settings}\n{project}")
    uv(service.folder, "lock", "--quiet")

    def installs(line: str) -> Ran:
        service.commit(
            "feat: lock", {"Dockerfile": SERVICE.replace("USER 10001", f"RUN true || {line}\nUSER 10001")}
        )
        return service.nox("installed")

    ran = installs("uv sync --frozen --no-dev")
    assert ran.status == 1, ran.all
    assert "the image does not have what uv.lock locks: six 1.16.0 is locked and not installed" in ran.err
    assert "iniconfig" not in ran.err
    ran = installs("uv sync")
    assert "iniconfig 2.0.0 is locked and not installed; six 1.16.0 is locked and not installed" in ran.err
