"""Pruning an engine: what a rollback may need stays, what is nowhere else stays, and what is others'."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from release.deploy.core.lock import LOCK, Holder
from release.deploy.core.lock_store import EngineLockStore
from release.deploy.core.place import Place
from release.programs.cancellation import Cancellation
from release.programs.process import output_of
from release.reference import Digest, Reference
from tests.engine import lab
from tests.engine.deploy.conftest import Make
from tests.engine.deploy.world import World
from tests.unit.deploy.fakes import lock_labels

LITTLE = '\n[tool.release.retention]\nreleases = 2\nwindow = "1ms"\n'


def keep_little(world: World, more: str = "") -> None:
    """Two releases, and no time beside them."""
    with (world.root / "pyproject.toml").open("a") as file:
        file.write(LITTLE + more)


def deployed(world: World, *versions: str) -> None:
    for version in versions:
        done = world.invoke("deploy", "--to", version, "--yes")
        assert done.status == 0, done.err


def there(world: World) -> list[str]:
    """Versions whose images the engine has, by the order of their releases."""
    names = [Reference.parse(name) for name in world.images]
    return [f"0.{number}.0" for number, name in enumerate(names, 1) if world.engine.inspect(name) is not None]


def test_what_a_rollback_may_need_stays_and_the_rest_goes(world: World) -> None:
    """The only copy only when that is said; foreign names, foreign images and strangers are left alone."""
    for version in ("0.3.0", "0.4.0", "0.5.0"):
        world.release(version)
    deployed(world, "0.1.0", "0.2.0", "0.3.0")
    repository = Reference.parse(world.images[0]).repository
    base = world.engine.inspect(Reference.parse(lab.BASE_IMAGE))
    assert base is not None
    stranger, elsewhere = repository.tagged("stranger"), Reference.parse(f"localhost/{lab.unique('other')}:1")
    world.engine.tag(base.id, stranger)
    world.images.append(str(stranger))
    fifth = world.engine.inspect(Reference.parse(world.images[4]))
    assert fifth is not None
    world.engine.tag(fifth.id, elsewhere)
    try:
        within = world.invoke("prune", "--plan", "--json").data[0]
        assert within["removals"] == []
        keep_little(world)
        careful = world.invoke("prune", "--plan", "--json").data[0]
        assert careful["removals"] == []
        assert "only copy" in str(careful["kept"])

        asked = world.invoke("prune", "--last-copies")
        assert asked.status == 2
        assert "add --yes" in asked.err
        assert there(world)[:5] == ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0"]

        pruned = world.invoke("prune", "--last-copies", "--yes", "--json")
        assert pruned.status == 0, pruned.err
        (told,) = pruned.data
        assert {each["version"] for each in told["removed"]} == {"0.1.0", "0.4.0"}
        assert told["freed"] >= 0
        assert told["unknown"] == [str(stranger)] or str(stranger) in told["unknown"]
        reasons = {each["version"]: "; ".join(each["reasons"]) for each in told["kept"]}
        assert reasons.keys() == {"0.2.0", "0.3.0", "0.5.0"}
        assert "used by the container" in reasons["0.3.0"]
        assert "healthy in production, number 2 from now" in reasons["0.2.0"]
        assert f"it also has the names {elsewhere}" in reasons["0.5.0"]
        assert world.engine.inspect(stranger) is not None
        assert world.engine.inspect(Reference.parse(lab.BASE_IMAGE)) is not None
        assert world.containers() == {world.container: "running"}

        assert world.invoke("verify").status == 0
        assert world.invoke("rollback", "--yes").status == 0
        assert world.answer()["VERSION"] == "0.2.0"
        assert "0 images" in world.invoke("prune", "--last-copies", "--yes").out
    finally:
        world.engine.untag(elsewhere)


def test_an_image_without_tags_goes_and_comes_back_from_the_registry(
    make: Make, running_registry: lab.RunningRegistry
) -> None:
    """What the registry has whole may go, and a rollback to it pulls it; what it lacks is kept."""
    name = lab.unique("rt")
    world = make(service=name, repository=f"{running_registry.host}/{name}")
    digests = [world.release(f"0.{number}.0") for number in (1, 2, 3, 4)]
    for image in world.images:
        world.engine.push(Reference.parse(image), cancellation=Cancellation())
    deployed(world, "0.1.0", "0.2.0", "0.3.0", "0.4.0")
    by_digest = Reference.parse(world.images[0]).repository.at(Digest(digests[0]))
    world.engine.untag(Reference.parse(world.images[0]))
    output_of(["docker", "pull", "--quiet", str(by_digest)])
    url = f"http://{running_registry.host}/v2/{name}/manifests/{digests[1]}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()
    keep_little(world)
    pruned = world.invoke("prune", "--yes", "--json")
    assert pruned.status == 0, pruned.err
    (told,) = pruned.data
    assert [each["version"] for each in told["removed"]] == ["0.1.0"]
    reasons = {each["version"]: "; ".join(each["reasons"]) for each in told["kept"]}
    assert "the only known copy" in reasons["0.2.0"]
    assert world.engine.inspect(by_digest) is None
    back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert world.answer()["VERSION"] == "0.1.0"


def test_a_deployment_that_is_under_way_is_not_disturbed(world: World) -> None:
    """Exit status 5, and nothing goes."""
    deployed(world, "0.1.0")
    world.release("0.3.0")
    keep_little(world)
    image = world.engine.inspect(Reference.parse(world.images[0]))
    assert image is not None
    place = Place(service=world.service, environment="production")
    other = Holder.here(who="Grace Hopper", url=None, deployment="1" * 12, milliseconds=60_000)
    held = {**place.labels(LOCK), **lock_labels(other), "release.lock.host": "elsewhere"}
    EngineLockStore(engine=world.engine, image=image.id).put(place.lock, held, "")
    refused = world.invoke("prune", "--last-copies", "--yes")
    assert refused.status == 5
    assert "Grace Hopper" in refused.err
    assert there(world) == ["0.1.0", "0.2.0", "0.3.0"]


def test_an_unknown_ledger_prunes_nothing_and_a_deployment_goes_on(make: Make, bare_remote: Path) -> None:
    """Exit status 6, but `--offline`; after a deployment it only warns, and else it prunes by itself."""
    world = make(remote=bare_remote)
    for number in (1, 2, 3):
        world.release(f"0.{number}.0")
    keep_little(world, "prune_after_deploy = true\nlast_copies = true\n")
    away = bare_remote.rename(bare_remote.with_name("away.git"))
    assert world.invoke("prune", "--yes").status == 6
    first = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert first.status == 0, first.err
    assert "no image was removed" in first.err
    assert there(world) == ["0.1.0", "0.2.0", "0.3.0"]
    plan = world.invoke("prune", "--offline", "--plan", "--json").data[0]
    assert {each["version"] for each in plan["removals"]} == {"0.1.0", "0.3.0"}
    away.rename(bare_remote)
    second = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert second.status == 0, second.err
    assert "1 images (0.1.0)" in second.err
    assert there(world) == ["0.2.0", "0.3.0"]
