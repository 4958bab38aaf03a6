"""`invoke verify --ledger` and signed records, through the real program, engine and git."""

from __future__ import annotations

import subprocess

from release.reference import Digest, Reference
from tests.engine.deploy.world import World
from tests.unit.ledger import intruder
from tests.unit.repository import Repository

STRICT = '\n[tool.release.ledger]\nallowed_signers = ".release-signers"\nrequire_signed = true\n'


def test_a_ledger_is_verified_with_its_tags(world: World) -> None:
    """Clean is 0 and one line; a moved git tag and a moved image tag are 1 and a line each."""
    clean = world.invoke("verify", "--ledger")
    assert (clean.status, clean.err) == (0, ""), clean.err
    assert "release-ledger  clean  2 commits, 2 records, 2 releases" in clean.out
    tag = world.git("rev-parse", "v0.1.0^{}")
    world.git("tag", "-f", "v0.2.0", tag)
    moved = f"{world.repository}:0.1.0"
    image = world.invoke("show", "0.2.0", "--json").data["image"]["digest"]
    world.engine.tag(Digest(image), Reference.parse(moved))
    world.images.append(moved)

    found = world.invoke("verify", "--ledger")
    assert found.status == 1
    assert {line.partition("  ")[0] for line in found.out.splitlines() if "expected" in line} == {
        "image-tag-moved",
        "tag-moved",
    }
    (report,) = world.invoke("verify", "--ledger", "--json").data
    assert {violation["path"] for violation in report["violations"]} == {moved, "refs/tags/v0.2.0"}
    assert all(violation["commit"] for violation in report["violations"])


def _require_signatures(world: World) -> None:
    """Let git sign with a key of the operator's, the only one that is allowed."""
    key = world.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    (world.root / ".release-signers").write_text(f"ada@example.org {public}", encoding="utf-8")
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
        world.git("config", name, value)
    with (world.root / "pyproject.toml").open("a") as file:
        file.write(STRICT)


def test_an_unsigned_ledger_is_refused_until_somebody_vouches_for_it(world: World) -> None:
    """Deploy and rollback end with 1, name the commit, and touch nothing; a checkpoint makes it good."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    _require_signatures(world)
    before = world.containers()
    for words in (("rollback", "--yes"), ("deploy", "--to", "0.1.0", "--yes")):
        refused = world.invoke(*words)
        assert (refused.status, refused.out) == (1, ""), refused.err
        assert "it is not signed" in refused.err
        assert "invoke ledger-checkpoint" in refused.err
    assert world.containers() == before
    vouched = world.invoke("ledger-checkpoint", "--yes", "--message", "from before we signed")
    assert vouched.status == 0, vouched.err
    back = world.invoke("rollback", "--yes")
    assert (back.status, world.answer()["VERSION"]) == (0, "0.1.0"), back.err
    report = world.invoke("verify", "--ledger")
    assert report.status == 0, report.out
    assert "a later signer vouches for the commits" in report.out


def test_a_rollback_goes_by_the_verified_head(world: World) -> None:
    """A malformed record after it refuses deployments and appends, and ends no command as a defect."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    good = world.git("rev-parse", "release-ledger").strip()
    commit = intruder.commit(Repository(world.root), {"records/00/" + "0" * 64 + ".json": b'{"seq":1e999}'})
    for words, status in (
        (("status",), 0),
        (("status", "--exit-code"), 1),
        (("history",), 0),
        (("rollback", "--plan"), 0),
        (("show", "0.2.0"), 0),
        (("doctor",), 1),
    ):
        shown = world.invoke(*words)
        assert shown.status == status, shown.err
        assert commit in shown.err
    refused = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert (refused.status, "defect" in refused.err) == (1, False), refused.err
    report = world.invoke("verify", "--ledger")
    assert (report.status, "record-name" in report.out, "defect" in report.err) == (1, True, False)
    back = world.invoke("rollback", "--yes")
    assert (back.status, world.answer()["VERSION"]) == (0, "0.1.0"), back.err
    waits = world.invoke("sync")
    assert (waits.status, commit in waits.err) == (1, True), waits.err
    world.git("update-ref", "refs/heads/release-ledger", good)
    mended = world.invoke("sync")
    assert (mended.status, mended.out) == (0, "4 events published, 0 waiting\n"), mended.err
    assert world.invoke("verify", "--ledger").status == 0


def test_a_rollback_goes_by_the_clone_where_the_server_was_rewound(world: World) -> None:
    """One forced push stops no rollback; deployments are refused, and what happened waits."""
    server = world.root.parent / "server.git"
    subprocess.run(["git", "init", "-q", "--bare", str(server)], check=True)
    world.git("remote", "add", "origin", str(server))
    with (world.root / "pyproject.toml").open("a") as file:
        file.write('\n[tool.release.ledger]\nremote = "origin"\n')
    for version in ("0.1.0", "0.2.0"):
        done = world.invoke("deploy", "--to", version, "--yes")
        assert done.status == 0, done.err
    seen = world.git("rev-parse", "refs/release/origin/release-ledger").strip()
    server_git = ("git", "-C", str(server), "update-ref", "refs/heads/release-ledger")
    subprocess.run([*server_git, "release-ledger~2"], check=True)
    refused = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert (refused.status, seen in refused.err) == (1, True), refused.err
    back = world.invoke("rollback", "--yes")
    assert (back.status, world.answer()["VERSION"]) == (0, "0.1.0"), back.err
    assert f"git push origin {seen}:refs/heads/release-ledger" in back.err
    world.git("push", "-q", "origin", f"{seen}:refs/heads/release-ledger")
    assert world.invoke("sync").out == "4 events published, 0 waiting\n"
