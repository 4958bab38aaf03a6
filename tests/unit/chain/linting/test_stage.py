"""The lint gate: what its commands get, and the environment of its tools."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.chain import tools
from release.chain.linting.stage import lint, lint_toolset
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.chain.tools import install_tool_environment
from release.errors import GateFailed
from release.events import Notice
from release.files.hmac_key import ClonesKey
from release.git.source import Source
from release.records import Actor, Run
from release.values import replace
from tests.unit.chain.test_pipeline import refuse
from tests.unit.chain.test_plan import configured, facts
from tests.unit.repository import Repository

SHOWS = "import os; [print(f'{name}={value}') for name, value in sorted(os.environ.items())]"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repository = Repository.init(tmp_path / "here")
    repository.write("show.py", SHOWS)
    repository.commit()
    return repository.root


def ctx(root: Path, **lint: Any) -> StageContext:
    source = Source.open(root)
    plan = make_plan(configured(lint=lint).service("api"), facts(), Options(), several=False)
    return StageContext(
        plan=replace(plan, commit=source.head()),
        source=source,
        run_folder=RunFolder.create(root),
        actor=Actor(name="a", email="a@b"),
        run=Run(id="run"),
        emit=lambda event: None,
        open_engine=refuse,
        open_ledger=refuse,
    )


def made_tools(ctx: StageContext) -> Path:
    """The folder with the programs of the configured tools."""
    return install_tool_environment(ctx, Path(sys.executable), lint_toolset(ctx.plan.service.lint))


@pytest.mark.attack(
    "A lint command of the repository prints all variables that it can see, with the operator's passwords",
    "Lint commands get the basic variables and those that `lint.pass_env` names, and no other",
)
def test_commands_get_the_basics_and_what_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of an index, an engine or an agent."""
    secrets = ("PROD_DATABASE_URL", "UV_INDEX_A_PASSWORD", "DOCKER_AUTH_CONFIG", "SSH_AUTH_SOCK", "AWS_TOKEN")
    for name in (*secrets, "LC_ALL", "FLAVOUR"):
        monkeypatch.setenv(name, "C")
    made = ctx(root, commands=["python3 show.py"], pass_env=["FLAVOUR"])
    lint(made)
    seen = {line.partition("=")[0] for line in made.run_folder.log_path("lint").read_text().splitlines()[1:]}
    assert {"PATH", "LC_ALL", "FLAVOUR"} <= seen
    assert not seen & set(secrets)


def wheel(folder: Path, name: str = "lint-tool") -> None:
    """A package of one program, which says that it is the real one."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    about = f"{module}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}.py", "def main():\n    print('the real one')\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/entry_points.txt", f"[console_scripts]\n{name} = {module}:main\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages instead of an index; without it nothing can be installed."""
    wheel(tmp_path / "packages")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "packages"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "packages"


TOOL = {"tools": ["lint-tool==1.0"], "commands": ["lint-tool"]}


def test_the_tools_are_installed_once(root: Path, packages: Path) -> None:
    """The second run uses them as they are, although they have run: nothing was added to them."""
    lint(ctx(root, **TOOL))
    shutil.rmtree(packages)
    made = ctx(root, **TOOL)
    lint(made)
    assert "the real one" in made.run_folder.log_path("lint").read_text()
    assert "uv" not in made.run_folder.log_path("lint").read_text()


def _replaced(place: Path) -> None:
    (place / "bin" / "tool").write_text("#!/bin/sh\nexit 0\n")


def _added(place: Path) -> None:
    (place / "lib" / "forged.pth").write_text("import os\n")


def _removed(place: Path) -> None:
    (place / "lib" / "module.py").unlink()


def _renamed(place: Path) -> None:
    (place / "lib" / "module.py").rename(place / "lib" / "other.py")


def _with_a_mode(place: Path) -> None:
    (place / "bin" / "tool").chmod(0o755)


def _without_seal(place: Path) -> None:
    (place / "seal").unlink()


def _with_another_link(place: Path) -> None:
    (place / "bin" / "python").unlink()
    (place / "bin" / "python").symlink_to("/elsewhere/python")


def _linked(place: Path) -> None:
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


@pytest.mark.parametrize(
    "forge",
    [_replaced, _added, _removed, _renamed, _with_a_mode, _without_seal, _with_another_link, _linked],
)
def test_a_changed_environment_has_no_seal(tmp_path: Path, forge: Callable[[Path], None]) -> None:
    """One file more or less, another name, byte, mode or link."""
    place, key = tmp_path / "tools", ClonesKey.of(tmp_path)
    (place / "bin").mkdir(parents=True)
    (place / "lib").mkdir()
    (place / "bin" / "tool").write_text("real")
    (place / "bin" / "python").symlink_to("/usr/bin/python3")
    (place / "lib" / "module.py").write_text("")
    tools.seal_environment(place, key)
    assert tools.has_valid_seal(place, key)
    forge(place)
    assert not tools.has_valid_seal(place, key)


@pytest.mark.attack(
    "A cache, a commit or another user puts a changed environment of lint tools into .release/tools",
    "An environment is used only with the seal of this clone over all its files; else it is made again",
)
def test_a_forged_environment_is_made_again(root: Path, packages: Path) -> None:
    """Its program never runs."""
    place = made_tools(ctx(root, **TOOL)).parent
    (place / "bin" / "lint-tool").write_text("#!/bin/sh\necho counterfeit\n")
    made = ctx(root, **TOOL)
    lint(made)
    said = made.run_folder.log_path("lint").read_text()
    assert "the real one" in said
    assert "counterfeit" not in said


def test_an_environment_of_another_clone_is_made_again(root: Path, packages: Path, tmp_path: Path) -> None:
    """As out of a cache that many clones share: where it cannot be made again, the gate fails."""
    made_tools(ctx(root, **TOOL))
    other = Repository.clone(str(root), tmp_path / "other").root
    shutil.copytree(root / ".release", other / ".release", symlinks=True)
    shutil.rmtree(packages)
    with pytest.raises(GateFailed, match="could not be installed"):
        lint(ctx(other, **TOOL))


def test_the_folders_of_the_tools_are_their_owners_alone(root: Path, packages: Path) -> None:
    """Others cannot add a program to them."""
    place = made_tools(ctx(root, **TOOL)).parent
    assert [os.stat(path).st_mode & 0o777 for path in (place.parent, place.parent.parent)] == [0o700] * 2  # noqa: PTH116


@pytest.mark.attack(
    "a commit has a link to a file of the operator's machine, and a linter quotes the lines that it dislikes",
    "lint commands get the committed files without links that lead out of the repository",
)
def test_a_linter_sees_no_file_of_this_machine(root: Path, tmp_path: Path) -> None:
    """A notice names the link; links inside of the commit stay."""
    (tmp_path / "secret.py").write_text("topsecret")
    (root / "out.py").symlink_to(tmp_path / "secret.py")
    (root / "up").symlink_to("..")
    (root / "inside.py").symlink_to("show.py")
    Repository(root).commit()
    events: list[Any] = []
    made = replace(ctx(root, commands=["ls", "cat inside.py"]), emit=events.append)
    lint(made)
    seen = made.run_folder.log_path("lint").read_text()
    assert "inside.py" in seen
    assert "out.py" not in seen
    assert "topsecret" not in seen
    assert [each.text for each in events if isinstance(each, Notice)] == [
        "the lint tools do not see links that lead out of the repository: out.py, up"
    ]
