"""Broken set-ups: the doctor names each, and the mend that it shows mends it.

A case breaks a healthy repository by a script. Its mend is the hint itself, run by a shell, or, if the
hint is a sentence, the commands that somebody types who follows it. Then the doctor is asked again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release.commands import doctor as command
from release.commands.command_line import CommandContext
from release.commands.options import CommandOptions
from release.console import Console
from release.deploy.core.engine_machine import clock_and_disk
from release.deploy.core.finding import Finding, finding
from release.deploy.inspection import doctor as deployments
from release.doctor import builder, releases
from release.init.writing import write_changes
from release.programs.interruption import Interruption
from release.values import replace
from tests.unit.deploy.fakes import INFO, FakeEngine
from tests.unit.images.fake_registry import FakeRegistry, serving
from tests.unit.init.repositories import WITH_UV, repository, set_up
from tests.unit.repository import Repository

CI = {"CI": "true"}
HINT = "the hint"
SAFE = ("receive.denyNonFastForwards", "receive.denyDeletes")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way to break a set-up."""

    name: str
    finding: str
    broken: str
    says: str
    mend: str = HINT


TABLE = "printf '\\n%s\\n' '{}' >> pyproject.toml && git commit -qam 'build: settings'"
SECRET = '[tool.release.{}]\nTOKEN = {{ from_file = "token" }}'

CASES = [
    Case(
        name="no git repository",
        finding="configuration",
        broken="rm -rf .git",
        says="there is no git repository",
        mend="git init -q",
    ),
    Case(
        name="nothing is committed",
        finding="git",
        broken="git update-ref -d HEAD",
        says="nothing is committed yet",
    ),
    Case(
        name="git knows no person",
        finding="git",
        broken="git config --remove-section user && git config user.useConfigOnly true",
        says="git has no name and address",
    ),
    Case(
        name="no settings",
        finding="configuration",
        broken="printf '[project]\\nname = \"x\"\\n' > pyproject.toml",
        says="the table is missing",
    ),
    Case(
        name="a misspelt key",
        finding="configuration",
        broken="sed -i 's/^port = 8000/prot = 8000/' pyproject.toml",
        says="did you mean 'port'",
        mend="sed -i 's/^prot/port/' pyproject.toml",
    ),
    Case(
        name="settings that are not committed",
        finding="settings",
        broken="git rm -q --cached pyproject.toml && git commit -qm 'build: forget'",
        says="is committed",
    ),
    Case(
        name="changed files",
        finding="working copy",
        broken="echo '# more' >> app/main.py",
        says="not committed: app/main.py",
    ),
    Case(
        name="no noxfile.py",
        finding="noxfile.py",
        broken="git rm -q noxfile.py && git commit -qm 'build: remove'",
        says="it is missing",
    ),
    Case(
        name="a tasks.py without our tasks",
        finding="tasks.py",
        broken="echo 'x = 1' > tasks.py && git commit -qam 'build: change'",
        says="does not call release.namespace(...)",
    ),
    Case(
        name="no Dockerfile",
        finding="Dockerfile",
        broken="git rm -q Dockerfile && git commit -qm 'build: remove'",
        says="it is missing",
    ),
    Case(
        name="a Dockerfile that is not committed",
        finding="Dockerfile",
        broken="git rm -q --cached Dockerfile && git commit -qm 'build: forget'",
        says="it is not committed",
    ),
    Case(
        name="a stage that does not exist",
        finding="Dockerfile",
        broken=TABLE.format('[tool.release.build]\ntarget = "runtim"'),
        says="no stage runtim; it has: locked, packages, source, runtime",
        mend="sed -i 's/runtim\"/runtime\"/' pyproject.toml && git commit -qam 'build: correct'",
    ),
    Case(
        name="a stage of tests that would be released",
        finding="Dockerfile",
        broken="printf 'FROM runtime AS test\\nCMD [\"pytest\"]\\n' >> Dockerfile && git commit -qam test",
        says="would be released",
        mend=TABLE.format('[tool.release.build]\ntarget = "runtime"'),
    ),
    Case(
        name="no lockfile",
        finding="lockfile",
        broken="git rm -q uv.lock && git commit -qm 'build: remove'",
        says="no lockfile",
        mend="git checkout -q HEAD~ -- uv.lock && git commit -qm 'build: lock'",
    ),
    Case(
        name="a lockfile of no known kind",
        finding="lockfile",
        broken=TABLE.format('[tool.release.lock]\npath = "uv.lock.bak"')
        + " && git mv uv.lock uv.lock.bak && git commit -qm x",
        says="its name says no kind",
        mend="sed -i 's/^path = .uv.*/&\\nkind = \"uv.lock\"/' pyproject.toml && git commit -qam kind",
    ),
    Case(
        name="no remote for the ledger",
        finding="ledger",
        broken="git remote remove origin",
        says="origin",
        mend="git remote add origin ../server.git",
    ),
    Case(
        name="a remote that does not answer",
        finding="ledger",
        broken="git remote set-url origin ../gone.git",
        says="gone.git",
        mend="git remote set-url origin ../server.git",
    ),
    Case(
        name="a remote that is pushed to another repository",
        finding="ledger",
        broken="git init -q --bare ../fork.git && git config remote.origin.pushurl ../fork.git",
        says="different repositories",
        mend="git config --unset-all remote.origin.pushurl",
    ),
    Case(
        name="a branch of another purpose",
        finding="ledger",
        broken="git push -q origin HEAD:refs/heads/release-ledger",
        says="release-ledger",
        mend="sed -i 's/^remote = .*/&\\nbranch = \"releases\"/' pyproject.toml && git commit -qam move",
    ),
    Case(
        name="no right to push",
        finding="ledger: push",
        broken="git config remote.origin.receivepack false",
        says="cannot push the ledger and tags",
        mend="git config --unset remote.origin.receivepack",
    ),
    Case(
        name="a server that accepts forced pushes",
        finding="ledger: protection",
        broken="git -C ../server.git config receive.denyNonFastForwards false",
        says="accepts forced pushes",
    ),
    Case(
        name="a secret of an environment",
        finding="production: secrets",
        broken=TABLE.format(SECRET.format("environments.production.secrets")),
        says="TOKEN",
        mend="echo 12345678 > token",
    ),
    Case(
        name="a secret of the build",
        finding="build: secrets",
        broken=TABLE.format(SECRET.format("build.secrets")),
        says="TOKEN",
        mend="echo 12345678 > token",
    ),
    Case(
        name="a pattern of migrations that matches nothing",
        finding="migrations",
        broken=TABLE.format('[tool.release.migrations]\npaths = ["db/*.py"]'),
        says="db/*.py",
        mend="sed -i 's#db/#app/#' pyproject.toml && git commit -qam 'build: correct'",
    ),
]


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository that `init` has set up, with a remote; no engine is asked."""
    server = Repository.init(tmp_path / "server.git", bare=True)
    for key in SAFE:
        server.git("config", key, "true")
    made = repository(tmp_path / "service", WITH_UV)
    made.git("remote", "add", "origin", "../server.git")
    write_changes(made.root, set_up(made).changes)
    made.write(".gitignore", "token\n")
    made.commit("build: release with nox")
    monkeypatch.setattr(releases, "builder_findings", lambda _workspace: iter(()))
    monkeypatch.setattr(deployments, "_place", lambda _workspace, _name: iter(()))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(made.root)
    return made


def findings() -> dict[str, Finding]:
    """Return what the doctor finds in the current folder."""
    with Console(environ=CI) as console:
        cmd = CommandContext(options=CommandOptions(), console=console, interruption=Interruption())
        return {each.name: each for each in command._collect_findings(cmd, command.AREAS)}


def sh(script: str) -> None:
    """Run a script in the current folder."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def command_in(hint: str) -> str:
    """Return the command of a hint, without the words before it."""
    return hint.partition(": ")[2] if hint.startswith("commit the files: ") else hint


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_set_up_is_named_and_mended(healthy: Repository, case: Case) -> None:
    """Not ok with the words of the case, exit status 1; after the mend it is ok."""
    sh(case.broken)
    found = findings()[case.finding]
    assert found.state == "not ok"
    assert case.says in found.found
    assert found.hint
    sh(command_in(found.hint) if case.mend == HINT else case.mend)
    assert findings()[case.finding].state == "ok"


def test_a_healthy_set_up_has_nothing_to_mend(healthy: Repository) -> None:
    """Every line is ok."""
    assert {name: each.found for name, each in findings().items() if each.state != "ok"} == {}


def test_there_are_at_least_twenty() -> None:
    """Each with a name of its own."""
    assert len({case.name for case in CASES}) == len(CASES) >= 20


def configured(host: str) -> None:
    sh(f"sed -i 's#^service = .*#&\\nregistry = \"{host}/acme\"#; s/greeter-api/api/' pyproject.toml")
    sh("git commit -qam 'build: registry'")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry that wants a login, and Docker's settings without one."""
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with serving(FakeRegistry(auth="basic")) as running:
        yield running


def log_in(registry: FakeRegistry) -> None:
    """Do as `docker login` does."""
    auth = b64encode(":".join(registry.user).encode()).decode()
    settings = {"auths": {registry.host: {"auth": auth}}}
    Path(os.environ["DOCKER_CONFIG"], "config.json").write_text(json.dumps(settings))


def test_a_registry_without_a_login(healthy: Repository, registry: FakeRegistry) -> None:
    """The hint is `docker login` with its host."""
    configured(registry.host)
    found = findings()
    assert found["registry"].state == found["registry: rights"].state == "not ok"
    assert found["registry: rights"].hint.startswith(f"docker login {registry.host}")
    log_in(registry)
    found = findings()
    assert found["registry"].state == found["registry: rights"].state == "ok"
    assert registry.manifests == {}


def test_a_registry_at_another_address(healthy: Repository, registry: FakeRegistry) -> None:
    """Nothing answers there."""
    log_in(registry)
    configured("127.0.0.1:9")
    assert findings()["registry"].state == "not ok"
    sh(f"sed -i 's/127.0.0.1:9/{registry.host}/' pyproject.toml && git commit -qam 'build: correct'")
    assert findings()["registry"].state == "ok"


def test_a_login_that_may_not_push(healthy: Repository, registry: FakeRegistry) -> None:
    """The registry answers, and a pull works; only the pushed scratch tag shows what is missing."""
    log_in(registry)
    configured(registry.host)
    registry.reads_only = True
    found = findings()
    assert (found["registry"].state, found["registry: rights"].state) == ("ok", "not ok")
    assert "denied" in found["registry: rights"].found
    assert found["registry: rights"].hint
    registry.reads_only = False
    assert findings()["registry: rights"].state == "ok"


def test_a_docker_command_without_buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the package; the plugin mends it."""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command\" >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = finding("builder", builder._check_buildx)
    assert (found.state, "docker-buildx" in found.hint) == ("not ok", True)
    program.write_text("#!/bin/sh\necho github.com/docker/buildx 0.13.1\n")
    assert finding("builder", builder._check_buildx).state == "ok"


def test_clocks_that_are_apart() -> None:
    """Records would have wrong times; a time server mends it."""
    ahead, well = (FakeEngine(info=replace(INFO, ahead_ms=each)) for each in (90_000, 0))
    (clock, _) = clock_and_disk("builder", ahead)
    assert (clock.name, clock.state, "NTP" in clock.hint) == ("builder: clock", "not ok", True)
    assert next(iter(clock_and_disk("builder", well))).state == "ok"


def test_the_exit_status_and_the_data_say_the_same(
    healthy: Repository, capfd: pytest.CaptureFixture[str]
) -> None:
    """0 if every line is ok, else 1; `--json` has name, state, finding and mend of each line."""
    for script, status, state in ((":", 0, "ok"), ("git rm -q noxfile.py && git commit -qm x", 1, "not ok")):
        sh(script)
        with Console(environ=CI) as console:
            options = CommandOptions(json=True)
            cmd = CommandContext(options=options, console=console, interruption=Interruption())
            assert command.doctor(cmd) == status
        lines = {each["name"]: each for each in json.loads(capfd.readouterr().out)}
        assert lines["noxfile.py"]["state"] == state
        assert bool(lines["noxfile.py"]["hint"]) == (state != "ok")
        assert {each["well"] for each in lines.values()} == ({True} if status == 0 else {True, False})


def test_a_scratch_tag_that_is_an_image_of_somebody(healthy: Repository, registry: FakeRegistry) -> None:
    """It is never moved nor removed."""
    log_in(registry)
    configured(registry.host)
    registry.add(b'{"schemaVersion": 2}', "release-doctor")
    found = findings()["registry: rights"]
    assert (found.state, "Remove the tag" in found.hint) == ("not ok", True)
    assert "release-doctor" in registry.manifests
    registry.manifests.clear()
    assert findings()["registry: rights"].state == "ok"


def test_a_registry_that_deletes_nothing(healthy: Repository, registry: FakeRegistry) -> None:
    """One small tag stays, and that is said; the next time it is used again."""
    log_in(registry)
    configured(registry.host)
    registry.deletes = False
    for _ in range(2):
        found = findings()["registry: rights"]
        assert found.state == "ok"
        assert "stays" in found.found


def test_a_full_disk(healthy: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than half a gigabyte is not ok."""
    monkeypatch.setattr(releases, "LEAST_FREE_BYTES", 1 << 60)
    assert findings()["clone: disk"].state == "not ok"
    monkeypatch.undo()
    assert "are free" in releases.free_space_text(healthy.root)


def test_protection_of_a_hosted_branch_is_unknown(healthy: Repository) -> None:
    """git does not say it; that is no reason for an exit status of 1."""
    from release.doctor.remote import branch_protection_finding
    from release.git.source import Source

    healthy.git("remote", "set-url", "origin", "git@github.com:acme/api.git")
    found = branch_protection_finding(Source.open(healthy.root), "origin", "release-ledger")
    assert (found.state, found.well) == ("unknown", True)
    assert found.hint.startswith("gh api")
