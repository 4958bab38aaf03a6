"""The code of earlier commits and today's code work on one ledger and one environment, in turns.

The earlier code runs with the packages that its own lockfile names.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.dying import HOST
from tests.engine.deploy.world import World
from tests.engine.earlier import ONE_PROCESS, ONE_SERVICE, Earlier, Turns, earlier, extract

pytestmark = pytest.mark.xdist_group("earlier commits")

SURE = ("--yes", "--break-lock", "--message", "its machine died")
CODES = ("old", "new")


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    """The last commit that deploys one service at a time."""
    return earlier(ONE_SERVICE, tmp_path_factory)


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    """The last commit for which an environment is one process."""
    return earlier(ONE_PROCESS, tmp_path_factory)


def assert_one_state(turns: Turns, version: str) -> None:
    """Both codes see one running version, which serves, without a lock or anything unfinished."""
    assert turns.world.containers() == {turns.world.container: "running"}
    assert turns.world.answer()["VERSION"] == version
    for code in CODES:
        status = turns.run(code, "status", "--json").data
        assert (status["running"]["version"], status["drift"], status["lock"]) == (version, [], None)
        turns.run(code, "verify", "--ledger")


@pytest.mark.parametrize(
    ("commit", "first", "then"),
    [(ONE_SERVICE, "old", "new"), (ONE_SERVICE, "new", "old"), (ONE_PROCESS, "new", "old")],
)
def test_one_code_deploys_and_the_other_rolls_back(
    make: Make, tmp_path_factory: pytest.TempPathFactory, commit: str, first: str, then: str
) -> None:
    """Digest and settings come back, and both codes read all records of both."""
    world = make()
    turns = Turns(world, earlier(commit, tmp_path_factory))
    world.release("0.1.0")
    world.release("0.2.0")
    world.configure(env='{ GREETING = "hello" }')
    turns.run(first, "deploy", "--to", "0.1.0", "--yes")
    world.configure(env='{ GREETING = "hi" }')
    turns.run(first, "deploy", "--to", "0.2.0", "--yes")

    turns.run(then, "rollback", "--to", "0.1.0", "--yes")
    assert world.answer() == {"VERSION": "0.1.0", "GREETING": "hello", "TOKEN": None}
    turns.run(first, "rollback", "--to", "0.2.0", "--yes", "--allow-quarantined", "--message", "turn")
    assert world.answer() == {"VERSION": "0.2.0", "GREETING": "hi", "TOKEN": None}

    histories = [turns.run(code, "history", "--json").data for code in CODES]
    assert histories[0] == histories[1]
    assert_one_state(turns, "0.2.0")


@pytest.mark.parametrize(("first", "then"), [CODES, CODES[::-1]])
def test_the_other_code_ends_what_a_dead_operator_left(
    world: World, old: Earlier, first: str, then: str
) -> None:
    """The other code respects the lock, names its holder, and finishes or reverts the deployment."""
    turns = Turns(world, old)
    turns.run(first, "deploy", "--to", "0.1.0", "--yes")
    died = turns.die(first, "after", "start", "1", "deploy", "--to", "0.2.0", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    for command in (("deploy", "--to", "0.2.0", "--yes"), ("converge", "--yes")):
        refused = turns.ask(then, *command)
        assert refused.status == 5, refused.err
        assert HOST in refused.err
    assert HOST in turns.run(then, "status", "--json").data["lock"]
    assert turns.run(then, "converge", *SURE, "--json").data["status"] == "healthy"
    assert world.containers() == {world.container: "running"}
    assert world.answer()["VERSION"] == "0.2.0"

    died = turns.die(first, "after", "stop", "1", "deploy", "--to", "0.1.0", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    assert turns.run(then, "converge", *SURE, "--json").data["status"] == "restored"
    assert_one_state(turns, "0.2.0")


def test_the_other_code_publishes_what_waited_for_the_git_server(
    make: Make, bare_remote: Path, old: Earlier
) -> None:
    """Events that one code kept while the server was away reach it with the other code."""
    world = make(remote=bare_remote)
    turns = Turns(world, old)
    world.release("0.1.0")
    world.release("0.2.0")
    turns.run("old", "deploy", "--to", "0.1.0", "--yes")
    for first, then, version in (("old", "new", "0.2.0"), ("new", "old", "0.1.0")):
        away = bare_remote.rename(bare_remote.with_name("away.git"))
        turns.run(first, "deploy", "--to", version, "--yes", "--message", "the server is away")
        away.rename(bare_remote)
        turns.run(then, "sync")
        published = world.git("rev-parse", "release-ledger", cwd=bare_remote)
        assert published == world.git("rev-parse", "refs/remotes/origin/release-ledger")
    assert_one_state(turns, "0.1.0")


def test_the_old_code_takes_over_what_was_deployed_together(
    tmp_path: Path, old: Earlier, engine: Engine
) -> None:
    """It refuses the table of groups by its key; without it, it works on each service alone."""
    pair = [
        World(root=tmp_path / "shop", engine=engine, service=(name := lab.unique(kind)), tags=f"{name}/v")
        for kind in ("api", "web")
    ]
    api, web = pair
    turns = Turns(api, old)
    try:
        for each in pair:
            each.release("0.1.0")
            each.release("0.2.0")
        configure(pair, groups=True)
        for version in ("0.1.0", "0.2.0"):
            turns.run("new", "deploy", "--group", "shop", "--to", version, "--yes")
        refused = turns.ask("old", "rollback", "--service", api.service, "--yes")
        assert refused.status == 2, refused.err
        assert "tool.release.groups" in refused.err
        assert (api.answer()["VERSION"], web.answer()["VERSION"]) == ("0.2.0", "0.2.0")

        configure(pair)
        turns.run("old", "rollback", "--service", api.service, "--yes")
        assert (api.answer()["VERSION"], web.answer()["VERSION"]) == ("0.1.0", "0.2.0")
        histories = [turns.run(code, "history", "--service", api.service, "--json").data for code in CODES]
        assert histories[0] == histories[1]
        assert [record.get("group", {}).get("name") for record in histories[0]].count("shop") == 4

        both = f"{api.service},{web.service}"
        died = turns.die(
            "new", "after", "start", "1", "rollback", "--services", both, "--to", "0.1.0", "--yes"
        )
        assert died.status == -signal.SIGKILL, died.err
        for each in pair:
            turns.run("old", "converge", "--service", each.service, *SURE)
        for status in turns.run("new", "status", "--services", both, "--json").data:
            assert (status["drift"], status["leftovers"], status["lock"], status["unfinished"]) == (
                ([], [], None, None)
            )
        turns.run("new", "verify", "--ledger", "--service", api.service)
    finally:
        for each in pair:
            each.clean()


def configure(pair: list[World], *, groups: bool = False) -> None:
    """Write the tables of both services, and perhaps of their group."""
    lines = ["[tool.release.smoke]", "port = 8000", 'path = "/healthz"']
    for each in pair:
        table = f"tool.release.services.{each.service}"
        lines += [f"[{table}]", f"[{table}.environments.production]"]
        lines += [f"{key} = {value}" for key, value in each.settings.items()]
    if groups:
        lines += ["[tool.release.groups.shop]", f"services = {[each.service for each in pair]!r}"]
    (pair[0].root / "pyproject.toml").write_text("\n".join(lines) + "\n")


def test_the_oldest_code_refuses_what_it_cannot_restore(make: Make, oldest: Earlier) -> None:
    """It puts back no deployment of several processes, changes nothing, and today's code then does."""
    world = make()
    turns = Turns(world, oldest)
    world.release("0.1.0")
    world.release("0.2.0")
    publish = f'publish = ["127.0.0.1:{world.port}:8000"]'
    command = 'command = ["python", "/app.py"]'
    world.configure(publish="", processes=f"{{ web = {{ {command}, {publish} }}, worker = {{ {command} }} }}")
    turns.run("new", "deploy", "--to", "0.1.0", "--yes")
    turns.run("new", "deploy", "--to", "0.2.0", "--yes")
    turns.run("new", "restart", "--yes", "--message", "settings were read again")
    before = world.containers()

    world.configure()
    refused = turns.ask("old", "rollback", "--yes")
    assert refused.status == 6, refused.err
    assert "does not know: processes\n  → upgrade the release library" in refused.err
    refused = turns.ask("old", "deploy", "--to", "0.1.0", "--yes")
    assert refused.status == 2, refused.err
    assert "nothing was touched" in refused.err
    later = turns.ask("old", "verify", "--ledger")
    assert later.status == 1, later.err
    assert "its kind 'operation' is not known here" in later.out
    assert world.containers() == before

    turns.run("new", "rollback", "--yes")
    assert world.answer()["VERSION"] == "0.1.0"
    turns.run("new", "verify", "--ledger")


def test_a_clone_without_the_commit_fails_with_the_command(tmp_path: Path) -> None:
    """A shallow clone lacks it: the message names the commit and how to fetch it."""
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    with pytest.raises(pytest.fail.Exception, match=r"no commit aaf14ad77d4e.*`git fetch --unshallow`"):
        extract(tmp_path, ONE_SERVICE, tmp_path / "earlier")
