"""Whether the last releases could be put back now, through the real `invoke` program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release.programs.cancellation import Cancellation
from release.programs.process import output_of
from release.reference import Digest, Reference
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import Ended, World


def verdicts(ended: Ended) -> dict[str, Any]:
    """By version, of the only environment."""
    (environment,) = ended.data
    return {verdict["version"]: verdict for verdict in environment["verdicts"]}


def deployed(world: World, *versions: str) -> None:
    """Deploy them one after the other."""
    for version in versions:
        done = world.invoke("deploy", "--to", version, "--yes")
        assert done.status == 0, done.err


def blob(running: lab.RunningRegistry, digest: Digest) -> Path:
    """A blob in the storage of a registry."""
    digits = digest.text.removeprefix("sha256:")
    return running.storage / "docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"


def layers(world: World, digest: str) -> list[Digest]:
    """The layers of a recorded release, base first."""
    records = world.invoke("history", "--json", "--limit", "100").data
    (image,) = [each["image"] for each in records if each.get("image", {}).get("digest") == digest]
    return [Digest(layer["digest"]) for layer in image["layers"]]


def test_what_could_be_put_back_is_proven_and_recorded_where_that_is_asked_for(world: World) -> None:
    """Exit status 0 and a line for each release; `--record` puts it into the ledger; what is gone is 6."""
    network = lab.unique("net")
    output_of(["docker", "network", "create", network])
    try:
        world.configure(networks=f'["{network}"]', secrets='{ TOKEN = { from_env = "READY_TOKEN" } }')
        for version in ("0.1.0", "0.2.0"):
            done = world.invoke("deploy", "--to", version, "--yes", READY_TOKEN="swordfish")
            assert done.status == 0, done.err
        plain = world.invoke("verify", READY_TOKEN="swordfish")
        assert plain.status == 0, plain.out
        assert plain.out.splitlines()[-1] == (
            f"{world.service} production  ready  2 of 2 releases are ready for a rollback"
        )
        kinds = [record["kind"] for record in world.invoke("history", "--json").data]
        assert "verification" not in kinds

        rotated = world.invoke("verify", "--deep", "--json", READY_TOKEN="tuna")
        assert rotated.status == 0, rotated.out
        assert "TOKEN" in verdicts(rotated)["0.1.0"]["notes"][0]
        assert "tuna" not in rotated.out + rotated.err
        assert verdicts(rotated)["0.1.0"]["bytes"] == ["engine"]

        unread = world.invoke("verify", "--json")
        assert unread.status == 6
        assert "READY_TOKEN is not set" in verdicts(unread)["0.2.0"]["problems"][0]
        elsewhere = world.invoke("verify", "--json", "--secrets-elsewhere")
        assert elsewhere.status == 0
        assert "READY_TOKEN is not set" in verdicts(elsewhere)["0.2.0"]["unchecked"][0]
    finally:
        for name in list(world.containers()):
            world.engine.remove(name)
        output_of(["docker", "network", "rm", network])
    world.engine.untag(Reference.parse(world.images[0]))
    gone = world.invoke("verify", "--json", "--record", "--secrets-elsewhere")
    assert gone.status == 6
    problems = verdicts(gone)["0.1.0"]["problems"]
    assert any("does not have it" in problem for problem in problems)
    assert any(f"no network {network}" in problem for problem in problems)
    assert verdicts(gone)["0.2.0"]["bytes"] == ["engine"]
    record = world.invoke("history", "--json").data[0]
    assert (record["kind"], record["what"], record["result"]) == ("verification", "readiness", "failed")
    assert [each["result"] for each in record["releases"]] == ["failed", "failed"]
    assert "readiness" in world.invoke("history").out


def test_a_release_that_is_set_aside_is_passed_over_and_not_counted(world: World) -> None:
    """`--last 1` goes on to the next one that a rollback would choose."""
    deployed(world, "0.1.0", "0.2.0")
    assert world.invoke("quarantine", "0.2.0", "--message", "leaks").status == 0
    found = verdicts(world.invoke("verify", "--last", "1", "--json"))
    assert [found[version]["result"] for version in ("0.2.0", "0.1.0")] == ["quarantined", "ready"]
    assert "leaks" in found["0.2.0"]["problems"][0]
    assert world.invoke("verify", "--last", "none").status == 2


def test_both_places_of_the_bytes_are_looked_at(make: Make, running_registry: lab.RunningRegistry) -> None:
    """What only the engine has is told; a damaged layer is found by `--deep`, a missing one always."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"{running_registry.host}/{name}")
    digests = {version: world.release(version) for version in ("0.1.0", "0.2.0")}
    for image in world.images:
        world.engine.push(Reference.parse(image), cancellation=Cancellation())
    deployed(world, "0.1.0", "0.2.0")
    whole = world.invoke("verify", "--json", "--deep")
    assert whole.status == 0, whole.out
    assert {tuple(found["bytes"]) for found in verdicts(whole).values()} == {("engine", "registry")}

    own = blob(running_registry, layers(world, digests["0.1.0"])[-1])
    kept = own.read_bytes()
    own.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert verdicts(world.invoke("verify", "--json"))["0.1.0"]["bytes"] == ["engine", "registry"]
    deep = world.invoke("verify", "--json", "--deep")
    assert deep.status == 0
    assert verdicts(deep)["0.1.0"]["bytes"] == ["engine"]
    assert "only the engine has it" in verdicts(deep)["0.1.0"]["notes"][0]

    own.unlink()
    world.engine.untag(Reference.parse(world.images[0]))
    lost = world.invoke("verify", "--json")
    assert lost.status == 6
    assert "is missing" in verdicts(lost)["0.1.0"]["problems"][0]
    blind = world.invoke("verify", "--json", "--no-engine")
    assert blind.status == 6
    assert verdicts(blind)["0.1.0"]["unchecked"][0].startswith("the engine: ")


def test_what_does_not_answer_is_told_and_decides_only_where_it_has_to(make: Make) -> None:
    """A registry that is away takes nothing from an image on the engine; an engine takes everything."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"127.0.0.1:{lab.free_port()}/{name}")
    world.release("0.1.0")
    deployed(world, "0.1.0")
    found = world.invoke("verify", "--json")
    assert found.status == 0, found.err
    verdict = verdicts(found)["0.1.0"]
    assert verdict["bytes"] == ["engine"]
    assert verdict["unchecked"][0].startswith("the registry: ")
    world.configure(host='"unix:///no/such/docker.sock"')
    away = world.invoke("verify", "--json")
    assert away.status == 6
    assert "/no/such/docker.sock" in verdicts(away)["0.1.0"]["problems"][0]
