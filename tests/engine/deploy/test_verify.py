"""`invoke verify --ledger` and signed records, through the real program, engine and git."""

from __future__ import annotations

import subprocess

from release.reference import Digest, Reference
from tests.engine.deploy.world import World

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


def test_unsigned_releases_are_refused_where_signatures_are_required(world: World) -> None:
    """Deploy and rollback end with 1, name the commit, and touch nothing."""
    assert world.invoke("deploy", "--to", "0.1.0", "--yes").status == 0
    assert world.invoke("deploy", "--to", "0.2.0", "--yes").status == 0
    key = world.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (world.root / ".release-signers").write_text(
        f"ada@example.org {key.with_suffix('.pub').read_text()}", encoding="utf-8"
    )
    with (world.root / "pyproject.toml").open("a") as file:
        file.write(STRICT)
    before = world.containers()
    for words in (("rollback", "--yes"), ("deploy", "--to", "0.1.0", "--yes")):
        refused = world.invoke(*words)
        assert (refused.status, refused.out) == (1, "")
        assert "is not signed" in refused.err
        assert "git log --show-signature" in refused.err
    assert world.containers() == before
    assert world.answer()["VERSION"] == "0.2.0"
