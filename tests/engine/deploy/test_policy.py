"""What a rollback leaves behind: a release set aside, an environment frozen, and the way back from both."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from release.programs.process import output_of
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import Ended, World


def rolled_back(world: World, *words: str) -> Ended:
    """0.1.0 and 0.2.0 deployed one after the other, and 0.2.0 rolled back."""
    for version in ("0.1.0", "0.2.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    back = world.invoke("rollback", "--yes", "--message", "loses orders", *words)
    assert back.status == 0, back.err
    return back


def undo(said: Ended) -> list[str]:
    """The words of the command that is printed."""
    found = re.search(r"to undo this: invoke (.+)", said.err)
    assert found is not None, said.err
    return [*shlex.split(found[1]), "--yes"]


def test_a_rollback_sets_the_release_aside_and_freezes_the_environment(world: World) -> None:
    """The plan says so beforehand; afterwards deployments are refused with all reasons."""
    back = rolled_back(world)
    assert "0.2.0 is quarantined in production" in back.err
    assert "production is frozen for 1h" in back.err
    refused = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert refused.status == 6
    for part in (
        "2 problems",
        "0.2.0 is quarantined in production",
        "production is frozen until",
        "loses orders",
    ):
        assert part in refused.err
    assert world.answer()["VERSION"] == "0.1.0"
    status = world.invoke("status", "--json").data
    assert "loses orders" in status["freeze"]
    lines = world.invoke("history").out
    assert re.search(r"freeze +production +frozen until", lines)
    assert re.search(r"0\.2\.0 +quarantine +production +set", lines)


def test_a_frozen_environment_takes_a_deployment_that_thaws_it_and_says_why(world: World) -> None:
    """Without `--thaw` status 2, without a message too; then it is deployed and the freeze is over."""
    rolled_back(world)
    world.release("0.3.0")
    frozen = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert frozen.status == 2
    assert "--thaw --message WHY" in frozen.err
    assert world.invoke("deploy", "--to", "0.3.0", "--yes", "--thaw").status == 2
    fixed = world.invoke("deploy", "--to", "0.3.0", "--yes", "--thaw", "--message", "has the fix")
    assert fixed.status == 0, fixed.err
    assert "production is thawed" in fixed.err
    assert world.invoke("status", "--json").data["freeze"] is None
    assert world.answer()["VERSION"] == "0.3.0"


def test_a_rollback_is_never_stopped_by_a_freeze_and_never_ends_one(world: World) -> None:
    """Somebody froze the environment while the wrong release runs: it stays so, after the undoing too."""
    for version in ("0.1.0", "0.2.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    frozen = world.invoke("freeze", "--message", "audit")
    assert frozen.status == 0, frozen.err
    back = world.invoke("rollback", "--yes")
    assert back.status == 0, back.err
    assert "production is frozen until `invoke thaw`: audit" in back.err
    assert world.answer()["VERSION"] == "0.1.0"
    assert world.invoke(*undo(back)).status == 0
    assert world.answer()["VERSION"] == "0.2.0"
    assert "audit" in world.invoke("status", "--json").data["freeze"]


def test_an_environment_is_frozen_and_thawed_by_hand(world: World) -> None:
    """For a while or until it is thawed; a message is needed, and a time with its unit."""
    assert world.invoke("freeze").status == 2
    assert world.invoke("freeze", "--for", "2", "--message", "x").status == 2
    said = world.invoke("freeze", "--for", "2h", "--message", "the fair is on")
    assert re.fullmatch(rf"{world.service} in production is frozen until .*: the fair is on\n", said.out)
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 2
    assert world.invoke("thaw", "--message", "over").status == 0
    assert "is not frozen" in world.invoke("thaw", "--message", "over").out
    assert world.invoke("thaw", "--message", "over", "--json").data is None
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0


def test_the_command_that_undoes_a_rollback_undoes_all_of_it(world: World) -> None:
    """The release runs again with the settings it had, is no longer set aside, and nothing is frozen."""
    world.configure(env='{ GREETING = "hello" }')
    back = rolled_back(world)
    world.configure(env='{ GREETING = "other" }')
    again = world.invoke(*undo(back))
    assert again.status == 0, again.err
    assert world.answer() == {"VERSION": "0.2.0", "GREETING": "hello", "TOKEN": None}
    assert "0.2.0 is no longer quarantined in production" in again.err
    assert world.invoke("status", "--json").data["freeze"] is None
    assert "standing" not in world.invoke("show", "0.2.0").out
    assert "standing" not in world.invoke("show", "0.1.0").out
    # and the rollback of that rollback's rollback
    once_more = world.invoke(*undo(again))
    assert once_more.status == 0, once_more.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_two_rollbacks_go_back_two_releases(world: World) -> None:
    """The first one's release is set aside: the second does not go back to it."""
    world.release("0.3.0")
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    for expected in ("0.2.0", "0.1.0"):
        back = world.invoke("rollback", "--yes")
        assert back.status == 0, back.err
        assert world.answer()["VERSION"] == expected
    assert world.invoke("rollback", "--yes").status == 6


def test_a_rollback_to_earlier_settings_of_the_same_release_can_be_undone(world: World) -> None:
    """By the deployment's id: the version alone would mean the settings that it has now."""
    for greeting in ("first", "second"):
        world.configure(env=f'{{ GREETING = "{greeting}" }}')
        assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    healthy = [each for each in world.invoke("history", "--json").data if each.get("status") == "healthy"]
    back = world.invoke("rollback", "--to", healthy[-1]["deployment"], "--yes")
    assert back.status == 0, back.err
    assert world.answer()["GREETING"] == "first"
    again = world.invoke(*undo(back))
    assert again.status == 0, again.err
    assert world.answer()["GREETING"] == "second"


def test_no_freeze_follows_where_none_is_configured(make: Make) -> None:
    """`freeze_after_rollback = "0s"`."""
    world = make()
    world.configure(freeze_after_rollback='"0s"')
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        world.release(version)
    assert "frozen" not in rolled_back(world).err
    assert world.invoke("deploy", "--to", "0.3.0", "--yes").status == 0


def test_a_freeze_of_another_clone_stops_a_deployment_that_was_being_prepared(
    make: Make, bare_remote: Path, tmp_path: Path
) -> None:
    """It is published while the plan is made: the deployment ends with status 2, and nothing was changed."""
    world = make(remote=bare_remote)
    world.release("0.1.0")
    elsewhere = tmp_path / "elsewhere"
    output_of(["git", "clone", "--quiet", str(bare_remote), str(elsewhere)])
    world.git("config", "user.name", "Grace", cwd=elsewhere)
    world.git("config", "user.email", "grace@example.org", cwd=elsewhere)
    for name in ("pyproject.toml", "tasks.py"):
        (elsewhere / name).write_text((world.root / name).read_text())
    freeze = shlex.join(
        ["sh", "-c", f"cd {elsewhere} && {shlex.join(world.argv('freeze', '--message', 'audit'))}"]
    )
    world.configure(secrets=f'{{ TOKEN = {{ from_command = ["sh", "-c", "{freeze_command(freeze)}"] }} }}')
    refused = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert refused.status == 2, refused.err
    assert "production is frozen" in refused.err
    assert world.containers() == {}
    assert world.statuses() == ["started", "failed"]


def test_a_release_set_aside_while_a_rollback_to_it_is_prepared_is_not_put_back(
    make: Make, tmp_path: Path
) -> None:
    """A word of the last moment holds: nothing was changed, and both ends of the attempt are recorded."""
    world = make()
    script = tmp_path / "token.sh"
    script.write_text("echo token\n")
    world.configure(secrets=f'{{ TOKEN = {{ from_command = ["sh", "{script}"] }} }}')
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    before = world.containers()
    quarantine = shlex.join(world.argv("quarantine", "0.1.0", "--message", "loses orders"))
    script.write_text(f"cd {world.root} && {quarantine} >&2\necho token\n")
    refused = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert refused.status == 6, refused.err
    assert "loses orders" in refused.err
    assert world.containers() == before
    assert world.statuses() == ["started", "healthy"] * 2 + ["started", "failed"]


def freeze_command(words: str) -> str:
    """Inside of a TOML text."""
    return words.replace("\\", "\\\\").replace('"', '\\"') + " >&2; echo token"


def test_what_is_kept_while_the_server_is_away_holds_and_is_published_later(
    make: Make, bare_remote: Path
) -> None:
    """Freeze and quarantine of an offline rollback: known here at once, everywhere after `invoke sync`."""
    world = make(remote=bare_remote)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
        assert world.invoke("deploy", "--to", version, "--yes").status == 0
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    assert world.invoke("rollback", "--yes").status == 0
    status = world.invoke("status", "--json").data
    assert (status["unsynced"], status["freeze"] is not None) == (4, True)
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 6
    away.rename(bare_remote)
    assert world.invoke("sync", "--json").data == {"published": 4, "unsynced": 0}
    assert world.invoke("status", "--json").data["freeze"] is not None
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 6
