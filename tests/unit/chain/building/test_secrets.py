"""What a build is lent: the words of the command line, files without names, and what is refused."""

from __future__ import annotations

import socket
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from release.chain.building.secrets import (
    SshMount,
    provide_build_secrets,
    refuse_declared_proxies,
    refuse_secrets_in_image,
    secret_options,
)
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.errors import GateFailed
from release.git.source import Source
from release.programs.process import output_of
from release.records import Actor, Run
from tests.unit.chain.test_pipeline import refuse
from tests.unit.chain.test_plan import configured, facts
from tests.unit.repository import Repository

CANARY = "canary-0d9a13f2"
PROXY = "http://ada:canary-proxy@proxy.example:3128"


def ctx(root: Path, environ: Mapping[str, str] | None = None, **build: Any) -> StageContext:
    """A shop whose build has these settings, without engine and ledger."""
    return StageContext(
        plan=make_plan(configured(build=build).service("api"), facts(), Options(), several=False),
        source=Source.open(Repository.init(root).root),
        run_folder=RunFolder.create(root),
        actor=Actor(name="a", email="a@b"),
        run=Run(id="run"),
        emit=lambda event: None,
        open_engine=refuse,
        open_ledger=refuse,
        environ=environ or {},
    )


def paths(options: tuple[str, ...]) -> list[Path]:
    return [Path(word.partition(",src=")[2]) for word in options if ",src=" in word]


def test_the_command_line_holds_ids_paths_and_names() -> None:
    """Compared as data: values are not among what it is made of."""
    ssh = [SshMount(id="default", path=Path("/run/agent")), SshMount(id="mirror", path=Path("/k"))]
    assert secret_options({"b": "/p/2", "a": "/p/1"}, ssh, ["no_proxy", "HTTPS_PROXY"]) == (
        *("--secret", "id=a,src=/p/1", "--secret", "id=b,src=/p/2"),
        *("--ssh", "default=/run/agent", "--ssh", "mirror=/k"),
        *("--build-arg", "HTTPS_PROXY", "--build-arg", "no_proxy"),
    )


def test_a_build_that_is_lent_nothing_has_no_more_options(tmp_path: Path) -> None:
    """Proxies of the environment stay outside unless they are asked for."""
    with provide_build_secrets(ctx(tmp_path, {"HTTPS_PROXY": PROXY}), "build") as options:
        assert options == ()


def test_a_secret_is_a_file_that_another_program_can_read_while_it_is_lent(tmp_path: Path) -> None:
    """Of mode 0600, in no folder, and gone afterwards."""
    place = ctx(tmp_path, {"INDEX": CANARY}, secrets={"index": {"from_env": "INDEX"}})
    with provide_build_secrets(place, "build") as options:
        (file,) = paths(options)
        assert output_of(["cat", str(file)]) == CANARY
        assert output_of(["cat", str(file)]) == CANARY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "memfd:" in str(file.readlink())
    assert not file.exists()


def test_where_there_are_no_unnamed_files_the_owner_alone_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: a file of mode 0600, removed afterwards."""
    monkeypatch.delattr("os.memfd_create")
    place = ctx(tmp_path, {"INDEX": CANARY}, secrets={"index": {"from_env": "INDEX"}})
    with provide_build_secrets(place, "build") as options:
        (file,) = paths(options)
        assert file.read_text() == CANARY
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.exists()


def test_a_command_is_asked_once_by_all_builds_of_a_run(tmp_path: Path) -> None:
    """Two are made beside each other, and a command may ask a person."""
    script = "echo asked >> asked; sleep 0.3; echo secret"
    place = ctx(tmp_path, secrets={"index": {"from_command": ["sh", "-c", script]}})
    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = pool.map(lambda _: place.build_secrets, range(2))
    assert first is second
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_what_is_lent_is_masked_in_logs_from_then_on(tmp_path: Path) -> None:
    """A RUN step that prints its secret fills the log with stars."""
    place = ctx(tmp_path, {"INDEX": CANARY}, secrets={"index": {"from_env": "INDEX"}})
    with provide_build_secrets(place, "build"):
        place.write_log("build", [f"#5 0.1 token {CANARY}"])
    assert place.run_folder.log_path("build").read_text() == "#5 0.1 token ***\n"


def test_everything_that_is_missing_is_told_at_once_before_the_build(tmp_path: Path) -> None:
    """Each secret that cannot be read, with its reason and without a value."""
    secrets = {"a": {"from_env": "NOT_SET"}, "b": {"from_file": "absent"}}
    with pytest.raises(GateFailed) as caught, provide_build_secrets(ctx(tmp_path, secrets=secrets), "build"):
        pass
    assert "secret a: the variable NOT_SET is not set; secret b: the file " in caught.value.found


def test_a_secret_that_buildkit_would_not_take_is_refused(tmp_path: Path) -> None:
    """It takes 500 KiB."""
    place = ctx(tmp_path, {"BIG": "x" * 512_001}, secrets={"big": {"from_env": "BIG"}})
    with (
        pytest.raises(GateFailed, match="secret big: larger than the 500 KiB"),
        provide_build_secrets(place, "build"),
    ):
        pass


def test_an_agent_that_is_not_there_stops_the_build_before_it_begins(tmp_path: Path) -> None:
    """Not set, no such socket, a socket that nobody listens on, and no such key: four clear words."""
    dead = tmp_path / "agent.1"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(dead))
    absent = str(tmp_path / "absent")
    found = [
        SshMount.parse("default", {}).why_unusable(),
        SshMount.parse("default", {"SSH_AUTH_SOCK": absent}).why_unusable(),
        SshMount.parse("default", {"SSH_AUTH_SOCK": str(dead)}).why_unusable(),
        SshMount.parse(f"mirror={absent}", {}).why_unusable(),
    ]
    assert found == [
        "ssh default: no agent: SSH_AUTH_SOCK is not set",
        f"ssh default: the agent or key {absent} cannot be used: No such file or directory",
        f"ssh default: the agent or key {dead} cannot be used: Connection refused",
        f"ssh mirror: the agent or key {absent} cannot be used: No such file or directory",
    ]
    with (
        pytest.raises(GateFailed, match="SSH_AUTH_SOCK is not set"),
        provide_build_secrets(ctx(tmp_path / "r", ssh=["default"]), "build"),
    ):
        pass


def test_a_key_or_a_living_agent_is_lent(tmp_path: Path) -> None:
    """By path; the home folder is found."""
    key, agent = tmp_path / "key", tmp_path / "agent"
    key.write_text("x")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(agent))
        listening.listen()
        place = ctx(tmp_path / "r", {"SSH_AUTH_SOCK": str(agent)}, ssh=["default", f"mirror={key}"])
        with provide_build_secrets(place, "build") as options:
            assert options == ("--ssh", f"default={agent}", "--ssh", f"mirror={key}")
    assert SshMount.parse("a=~/k", {}).path == Path.home() / "k"


def test_proxies_are_named_and_configured_ones_are_left_alone(tmp_path: Path) -> None:
    """The value is the environment's; an argument of the configuration wins over it."""
    environ = {"HTTPS_PROXY": PROXY, "no_proxy": ".example", "PATH": "/bin"}
    with provide_build_secrets(
        ctx(tmp_path, environ, proxy=True, args={"NO_PROXY": ".corp"}), "build"
    ) as options:
        assert options == ("--build-arg", "HTTPS_PROXY")


@pytest.mark.parametrize("line", ["ARG HTTPS_PROXY", "  arg A=1 HTTPS_PROXY=x B"])
def test_a_declared_proxy_is_refused(tmp_path: Path, line: str) -> None:
    """It would be in the history, and make another digest on another network."""
    place = ctx(tmp_path, {"HTTPS_PROXY": PROXY}, proxy=True)
    with pytest.raises(GateFailed, match="declares ARG HTTPS_PROXY"):
        refuse_declared_proxies(place, f"FROM a\n{line}\nRUN x\n")
    refuse_declared_proxies(place, "FROM a\nARG HTTPS_PROXY_PORT\n# ARG HTTPS_PROXY\n")
    refuse_declared_proxies(ctx(tmp_path / "off", {"HTTPS_PROXY": PROXY}), f"{line}\n")


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (f'{{"Env": ["A={CANARY}"]}}', "the secret index"),
        ("curl -x ada:canary-proxy@", "password of a proxy"),
    ],
)
def test_an_image_that_tells_what_it_was_lent_is_refused(tmp_path: Path, told: str, what: str) -> None:
    """By the secret's id; the value is not shown."""
    environ = {"INDEX": CANARY, "HTTPS_PROXY": PROXY}
    place = ctx(tmp_path, environ, secrets={"index": {"from_env": "INDEX"}}, proxy=True)
    refuse_secrets_in_image(place, '{"Env": ["A=canary"]}')
    with pytest.raises(GateFailed, match=what) as caught:
        refuse_secrets_in_image(place, told)
    assert "canary" not in str(caught.value)


def test_a_line_that_a_secret_has_in_common_with_an_image_is_no_leak(tmp_path: Path) -> None:
    """The whole value, and the password in it, are; a heading of its format is not."""
    conf = "[global]\nindex-url = https://ada:canary@index.example/simple\n"
    place = ctx(tmp_path, {"PIP": conf}, secrets={"pip": {"from_env": "PIP"}})
    refuse_secrets_in_image(place, "RUN printf '[global]' > /etc/pip.conf")
    with pytest.raises(GateFailed, match="the secret pip"):
        refuse_secrets_in_image(place, "RUN curl -u ada:canary https://index.example")
