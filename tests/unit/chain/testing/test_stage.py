"""The throw-away layer, and how pytest is asked for its report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from release import config
from release.chain.building.stage import BuiltImage
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.chain.testing import image as stage
from release.chain.testing.layer import dockerfile_of_test_layer
from release.chain.testing.proof import add_report_options
from release.errors import GateFailed
from release.images.engine import StoredImage
from release.records import Actor, Run
from release.reference import Digest, Reference
from tests.unit.chain.test_plan import configured, facts

BASE = Reference.parse("localhost/api:sha-abc")


def test_the_layer_installs_as_root_and_gives_the_user_back() -> None:
    """The tests run as the user that production runs as."""
    text = dockerfile_of_test_layer(
        BASE, "10001", config.Test.model_validate({"install": ["-r requirements-dev.txt"], "copy": ["tests"]})
    )
    lines = text.splitlines()
    assert lines[:2] == ["FROM localhost/api:sha-abc", "USER 0"]
    assert lines[2:4] == ["COPY requirements-dev.txt requirements-dev.txt", "COPY tests tests"]
    assert lines[4].endswith("pip install --no-cache-dir -r requirements-dev.txt")
    assert lines[5] == "USER 10001"


def test_the_installation_is_lent_the_secrets_that_it_names() -> None:
    """Each is mounted for that one step, and a variable says where."""
    config_ = {"install": ["six"], "secrets": {"PIP_CONFIG_FILE": "pip", "NETRC": "netrc"}}
    text = dockerfile_of_test_layer(BASE, "", config.Test.model_validate(config_))
    (run,) = [line for line in text.splitlines() if line.startswith("RUN ")]
    assert run.startswith(
        "RUN --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip,required=true "
        "export NETRC=/run/secrets/netrc PIP_CONFIG_FILE=/run/secrets/pip; "
    )


def test_an_image_that_runs_as_root_keeps_doing_so() -> None:
    """Without a user in the image none is invented."""
    assert "USER 10001" not in dockerfile_of_test_layer(
        BASE, "", config.Test.model_validate({"copy": ["tests"]})
    )


def test_files_named_by_the_installation_are_copied_first() -> None:
    """`-r requirements-dev.txt` needs the file in the layer."""
    text = dockerfile_of_test_layer(
        BASE, "", config.Test.model_validate({"install": ["-r requirements-dev.txt"]})
    )
    assert "COPY requirements-dev.txt requirements-dev.txt" in text


def test_pytest_is_asked_for_a_report() -> None:
    """Other programs are run as they are configured."""
    assert add_report_options(("python", "-m", "pytest"))[-1].startswith("--junitxml=")
    assert add_report_options(("/venv/bin/pytest", "-q"))[-1].startswith("--junitxml=")
    assert add_report_options(("make", "check")) == ("make", "check")
    assert add_report_options(("make", "pytest-all")) == ("make", "pytest-all")


def place(tmp_path: Path, engine: object) -> StageContext:
    """A place to run in whose service has a test stage."""
    service = configured(test={"target": "test"}, build={"target": "runtime"}).service("api")
    return StageContext(
        plan=make_plan(service, facts(), Options(), several=False),
        source=None,  # type: ignore[arg-type]  # the repository is not read
        run_folder=RunFolder.create(tmp_path),
        actor=Actor(name="a", email="a@b"),
        run=Run(id="run"),
        emit=lambda _: None,
        open_engine=lambda: engine,  # type: ignore[arg-type,return-value]  # it refuses what is not expected
        open_ledger=lambda: None,  # type: ignore[arg-type,return-value]  # nor is the ledger
    )


def built(image: StoredImage) -> BuiltImage:
    """A released image."""
    return BuiltImage(
        reference=BASE,
        stored_image=image,
        config_digest=image.id,
        bases=(),
        dockerfile="Dockerfile",
        dockerfile_sha256="",
        buildx="",
    )


def stored(*layers: str) -> StoredImage:
    """An image of these layers."""
    digests = tuple(Digest(f"sha256:{layer * 64}") for layer in layers)
    return StoredImage(
        id=digests[-1], diff_ids=digests, references=(), user="", labels={}, size=1, has_healthcheck=False
    )


@pytest.mark.parametrize(
    ("ahead", "stages"),
    [
        (stored("a", "b"), [None]),
        (stored("c", "b"), [None, {"runtime": BASE}]),
        (None, [None, {"runtime": BASE}]),
    ],
)
def test_what_was_built_ahead_counts_only_on_the_released_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ahead: StoredImage | None, stages: list[object]
) -> None:
    """Two builds at once mostly share their layers; where not, the stage is built on the released image."""
    asked: list[object] = []
    monkeypatch.setattr(stage, "run_build", lambda *_, stages, **__: asked.append(stages))
    monkeypatch.setattr(stage, "prepare_build_context", lambda _: tmp_path)
    engine = SimpleNamespace(inspect=lambda _: ahead, untag=lambda _: None)
    ctx = place(tmp_path, engine)
    with ThreadPoolExecutor() as pool, stage.build_test_image_early(ctx, pool):
        stage._create_stage_image(ctx, built(stored("a")), "test", BASE)
    assert asked == stages


def test_a_second_build_is_said_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody who wonders about the time finds it in the log."""
    monkeypatch.setattr(stage, "run_build", lambda *_, **__: None)
    monkeypatch.setattr(stage, "prepare_build_context", lambda _: tmp_path)
    ctx = place(tmp_path, SimpleNamespace(inspect=lambda _: stored("c"), untag=lambda _: None))
    stage._create_stage_image(ctx, built(stored("a")), "test", BASE)
    log = ctx.run_folder.log_path("test").read_text()
    assert "building the test stage again, FROM the released image" in log
    assert f"layer 1 of 1 is {stored('c').id}, not {stored('a').id}" in log


def test_other_layers_after_that_fail_the_gate_by_name() -> None:
    """Each that differs, and each that is missing."""
    with pytest.raises(GateFailed) as caught:
        stage.refuse_other_layers(stored("a", "c"), stored("a", "b", "d"))
    _, b, c, d = (stored(each).id for each in "abcd")
    assert f"layer 2 of 3 is {c}, not {b}; layer 3 of 3 is missing, not {d}" in caught.value.found


def test_a_test_stage_that_cannot_be_built_fails_the_gate_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What went wrong ahead is told when the tests would begin; it is not tried again."""
    asked: list[str] = []

    def fails(_shop: object, name: str, *_: object, **__: object) -> None:
        asked.append(name)
        raise GateFailed("test", "the image could not be built")

    monkeypatch.setattr(stage, "run_build", fails)
    monkeypatch.setattr(stage, "prepare_build_context", lambda _: tmp_path)
    ctx = place(tmp_path, SimpleNamespace(untag=lambda _: None))
    with (
        pytest.raises(GateFailed),
        ThreadPoolExecutor() as pool,
        stage.build_test_image_early(ctx, pool),
    ):
        stage._create_stage_image(ctx, built(stored("a")), "test", BASE)
    assert asked == ["test"]


class Names:
    """An engine that keeps names of images."""

    def __init__(self, **named: StoredImage) -> None:
        self.named = named

    def inspect(self, reference: Reference) -> StoredImage | None:
        return self.named.get(reference.tag or "")

    def tag(self, image: Digest, reference: Reference) -> None:
        self.named[reference.tag or ""] = next(each for each in self.named.values() if each.id == image)

    def untag(self, reference: Reference) -> None:
        self.named.pop(reference.tag or "", None)


def test_the_image_of_the_last_tests_can_be_looked_into(tmp_path: Path) -> None:
    """It is found under a name of its own; the run's name is gone."""
    ctx = place(tmp_path, engine := Names())
    engine.named[ctx.run_folder.id] = stored("a", "b")
    stage._rename_to_last(ctx, stage._test_image_name(ctx))
    assert engine.named == {"last": stored("a", "b")}


def test_the_last_image_of_another_clone_keeps_its_name(tmp_path: Path) -> None:
    """A name that moved would leave an image without any."""
    ctx = place(tmp_path, engine := Names(last=stored("c")))
    engine.named[ctx.run_folder.id] = stored("a", "b")
    stage._rename_to_last(ctx, stage._test_image_name(ctx))
    assert engine.named == {"last": stored("c")}
