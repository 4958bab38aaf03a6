"""The decisions of the door `dev`: what a session needs, what .venv is made from, what apt is told."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BOOKWORM = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}
TRIXIE = {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
NOBLE = {"ID": "ubuntu", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}
DEB822 = """\
Types: deb deb-src
# URIs: http://commented-out.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://commented-out.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/archive.gpg] http://mirror.example/debian bookworm main
"""


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The door as a module, with its folders in a place of the test's own."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = spec_from_loader("dev", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    for name, folder in {"ROOT": ".", "VENV": ".venv", "LOGS": "logs", "STATE": "state"}.items():
        monkeypatch.setattr(module, name, tmp_path / folder)
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "requirements.txt").write_text("nox==1\n")
    return module


class Commands:
    """Stands where the door runs commands: it notes them, and does what a test says that they do."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.argv: dict[str, list[str]] = {}
        self.effects: dict[str, Callable[[], object]] = {}

    def __call__(self, what: str, argv: list[str], fix: str = "", **env: str) -> None:
        self.ran.append(what)
        self.argv[what] = argv
        self.effects.get(what, lambda: None)()


@pytest.fixture
def commands(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A machine on which making a .venv works at once."""
    noted = Commands()
    noted.effects["make .venv"] = lambda: make_python(dev.VENV)
    monkeypatch.setattr(dev, "run", noted)
    return noted


def make_python(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)


# --- what a session needs


def test_the_release_chain_needs_an_engine_and_the_base_image(dev: ModuleType) -> None:
    """No registry program: a release goes to the registry that is configured, or to none."""
    assert dev.needs(["release"]) == ["engine", "base"]


def test_the_project_s_own_tests_need_a_registry_program_too(dev: ModuleType) -> None:
    """They push to one that they start themselves."""
    assert dev.needs(["tests"])[:3] == ["engine", "base", "registry"]


def test_the_project_s_own_tests_need_real_proxies(dev: ModuleType) -> None:
    """They stand on the base image, so it comes before."""
    assert dev.needs(["tests"]).index("base") < dev.needs(["tests"]).index("proxies")


def test_a_swarm_of_several_machines_needs_namespaces(dev: ModuleType) -> None:
    """The tests run a sample of what the long runs do."""
    assert "lab" in dev.needs(["tests"])
    assert dev.needs(["soak"]) == ["engine", "base", "registry", "proxies", "lab"]


def recipe(dev: ModuleType, monkeypatch: pytest.MonkeyPatch, *, label: str) -> None:
    """A recipe, and an engine that has the image with this label."""
    (dev.ROOT / "examples/proxies").mkdir(parents=True)
    (dev.ROOT / "examples/proxies/Dockerfile").write_text("FROM base\n")
    monkeypatch.setattr(dev, "ask", lambda *argv, **_: subprocess.CompletedProcess(argv, 0, f"{label}\n", ""))


def test_proxies_are_built_once_for_each_recipe(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image says which recipe it was made from; another recipe makes it anew."""
    recipe(dev, monkeypatch, label="of another day")
    dev.proxies()
    assert commands.ran == ["build the image with proxies for the tests"]


def test_proxies_that_are_there_are_used(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built."""
    recipe(dev, monkeypatch, label=hashlib.sha256(b"FROM base\n").hexdigest()[:16])
    dev.proxies()
    assert commands.ran == []


def test_an_sshd_is_installed_and_kept_from_starting_where_systemd_would(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tests want the program; nobody wants this machine open to the network."""
    installed: list[str] = []
    monkeypatch.setattr(dev, "SSHD", tmp_path / "absent")
    monkeypatch.setattr(dev, "SYSTEMD", tmp_path)
    monkeypatch.setattr(dev, "install", lambda *programs: installed.extend(programs))
    dev.sshd()
    assert commands.ran == ["keep the package's own sshd from starting"]
    assert installed == ["sshd"]


def test_an_sshd_that_is_there_is_left_alone(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is masked that somebody uses."""
    monkeypatch.setattr(dev, "SSHD", tmp_path)
    dev.sshd()
    assert commands.ran == []


@pytest.mark.parametrize("words", [[], ["lint"], ["lock"], ["docs"], ["no-such-session"]])
def test_other_sessions_need_nothing_but_venv(dev: ModuleType, words: list[str]) -> None:
    """A name that is in no table is nox's to report."""
    assert dev.needs(words) == []


def test_the_needs_of_several_sessions_are_set_up_once_and_in_order(dev: ModuleType) -> None:
    """The base image is loaded into the engine, so the engine comes first."""
    needed = ["engine", "base", "registry", "rivals", "proxies"]
    assert dev.needs(["bench", "lint", "release"]) == needed


def test_a_session_is_recognised_behind_nox_s_own_option(dev: ModuleType) -> None:
    """`./dev -s tests` means `./dev tests`."""
    assert dev.needs(["-s", "build"]) == ["engine", "base"]


def test_what_follows_two_dashes_is_no_session(dev: ModuleType) -> None:
    """`./dev lint -- tests` hands a word to the linter."""
    assert dev.needs(["lint", "--", "tests"]) == []


# --- what nox is told


def test_leading_words_are_sessions_and_the_rest_is_passed_on(dev: ModuleType) -> None:
    """The door adds nothing but the option that nox wants in front of names."""
    assert dev.nox(["lint", "tests", "-v", "--", "-k", "x"])[1:] == [
        "--session", "lint", "tests", "-v", "--", "-k", "x",
    ]  # fmt: skip


def test_options_alone_are_passed_on_as_they_are(dev: ModuleType) -> None:
    """`./dev -l` is `nox -l`."""
    assert dev.nox(["-l"])[1:] == ["-l"]


def test_without_words_the_sessions_are_listed(dev: ModuleType) -> None:
    """A newcomer sees what there is; nothing runs."""
    assert dev.nox([])[1:] == ["--list"]


# --- .venv


def test_venv_is_made_once(dev: ModuleType, commands: Commands) -> None:
    """The second call finds everything in place and runs nothing."""
    dev.venv()
    dev.venv()
    assert commands.ran == ["make .venv", "install the locked requirements"]


def test_venv_imports_the_library_from_the_checkout(dev: ModuleType, commands: Commands) -> None:
    """A path file does it: no build backend is needed."""
    dev.venv()
    assert (dev.VENV / "lib/python3.11/site-packages/release.pth").read_text() == f"{dev.ROOT}\n"


def test_changed_requirements_make_venv_anew(dev: ModuleType, commands: Commands) -> None:
    """What is no longer required must not linger, so the old one goes."""
    dev.venv()
    (dev.VENV / "lingers").touch()
    (dev.ROOT / "requirements.txt").write_text("nox==2\n")
    dev.venv()
    assert commands.ran.count("make .venv") == 2
    assert not (dev.VENV / "lingers").exists()


def test_another_python_makes_venv_anew(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels are of one Python."""
    dev.venv()
    monkeypatch.setattr(dev.sys, "version_info", (3, 99, 0))
    dev.venv()
    assert commands.ran.count("make .venv") == 2


def test_a_venv_that_was_killed_midway_is_made_anew(dev: ModuleType, commands: Commands) -> None:
    """The stamp is written last, so a folder without it is half of one."""

    def killed() -> None:
        raise KeyboardInterrupt

    commands.effects["install the locked requirements"] = killed
    with pytest.raises(KeyboardInterrupt):
        dev.venv()
    del commands.effects["install the locked requirements"]
    dev.venv()
    assert commands.ran.count("make .venv") == 2


def test_a_venv_whose_python_is_gone_is_made_anew(dev: ModuleType, commands: Commands) -> None:
    """An upgrade of the system can take away the interpreter that .venv links to."""
    dev.venv()
    python = dev.VENV / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    dev.venv()
    assert commands.ran.count("make .venv") == 2


def test_a_venv_is_made_anew_by_a_python_that_outlives_it(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where .venv is active its python runs this door, and goes with the folder."""
    dev.venv()
    python, system = dev.VENV / "bin" / "python", Path(sys.executable).resolve()
    python.unlink()
    python.symlink_to(system)
    monkeypatch.setattr(dev.sys, "executable", str(python))
    (dev.ROOT / "requirements.txt").write_text("nox==2\n")
    dev.venv()
    assert commands.argv["make .venv"][0] == str(system)


# --- packages


@pytest.mark.parametrize("sources", [DEB822, ONE_LINE], ids=["deb822", "one line"])
def test_the_mirror_is_read_from_the_machine_s_own_sources(dev: ModuleType, sources: str) -> None:
    """In both formats, with its keyring, and neither a comment nor the security archive in its place."""
    assert dev.mirror(sources, "bookworm") == (
        "http://mirror.example/debian",
        "/usr/share/keyrings/archive.gpg",
    )


def test_sources_without_the_release_name_no_mirror(dev: ModuleType) -> None:
    """The door then says so; it does not guess a host."""
    assert dev.mirror(DEB822, "sid") == ("", "")


def test_an_older_debian_is_offered_the_newer_engine_and_nothing_else_of_it(dev: ModuleType) -> None:
    """Everything of the newer suite is pinned below what is installed, the four packages above."""
    assert dev.suite_files("http://mirror.example/debian", "/archive.gpg") == {
        "sources.list.d/release.sources": (
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n"
            "Signed-By: /archive.gpg\n"
        ),
        "preferences.d/release": (
            "Package: *\nPin: release n=trixie\nPin-Priority: 50\n\n"
            "Package: docker-buildx docker-cli docker-compose docker-registry docker.io\n"
            "Pin: release n=trixie\nPin-Priority: 990\n"
        ),
    }


def test_debian_12_takes_the_engine_from_the_newer_suite(dev: ModuleType) -> None:
    """Its own is from before BuildKit."""
    assert dev.packages(("dockerd", "iptables"), BOOKWORM) == ({"docker.io", "iptables"}, True)


def test_debian_12_takes_other_packages_from_its_own_suite(dev: ModuleType) -> None:
    """No source is added where none is needed."""
    assert dev.packages(("mmdebstrap", "ensurepip"), BOOKWORM) == ({"mmdebstrap", "python3-venv"}, False)


def test_debian_13_takes_its_own_engine(dev: ModuleType) -> None:
    """Its own is new enough."""
    assert dev.packages(("docker", "dockerd"), TRIXIE) == ({"docker-cli", "docker.io"}, False)


def test_ubuntu_has_the_client_in_the_engine_s_package(dev: ModuleType) -> None:
    """There is no docker-cli there."""
    assert dev.packages(("docker", "dockerd", "docker-buildx"), NOBLE) == (
        {"docker.io", "docker-buildx"},
        False,
    )


def test_another_system_is_told_what_to_install(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door touches nothing that it does not know."""
    monkeypatch.setattr(dev, "os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora Linux 44"})
    with pytest.raises(SystemExit, match=r"cannot install dockerd(?s:.*)Fedora Linux 44"):
        dev.install("dockerd")


def test_a_user_who_is_not_root_is_told_the_command(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words again, with sudo in front."""
    monkeypatch.setattr(dev, "os_release", lambda: TRIXIE)
    monkeypatch.setattr(dev.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(dev.sys, "argv", ["./dev", "tests", "--", "-k", "a b"])
    with pytest.raises(SystemExit, match=r"not root(?s:.*)sudo \./dev tests -- -k 'a b'"):
        dev.install("mmdebstrap")


# --- engine


@pytest.mark.parametrize(("api", "old"), [("1.24", True), ("1.43", True), ("1.44", False), ("1.100", False)])
def test_an_api_from_before_the_needed_buildkit_is_too_old(dev: ModuleType, api: str, old: bool) -> None:
    """Versions are compared as numbers."""
    assert dev.too_old(api) is old


def test_an_engine_that_is_too_old_is_named_and_left_alone(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is somebody's: the door says what it found and how to get another."""
    monkeypatch.setattr(dev, "server", lambda: ("1.41", "20.10.24"))
    with pytest.raises(SystemExit, match=r"Engine 20\.10\.24 with API 1\.41(?s:.*)apt-get remove docker\.io"):
        dev.engine()
    assert commands.ran == []


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced(
    dev: ModuleType, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who points to an engine means that one."""
    answers = {"version": (1, "", "connection refused"), "context": (0, "tcp://prod.example:2376\n", "")}
    monkeypatch.setattr(dev, "ask", lambda *argv, **_: subprocess.CompletedProcess(argv, *answers[argv[1]]))
    with pytest.raises(SystemExit, match=r"tcp://prod\.example:2376(?s:.*)connection refused"):
        dev.engine()
    assert commands.ran == []


def test_only_the_engine_that_the_door_started_is_stopped(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pid of the record may be another process by now: its program and its start must be those noted."""
    (dev.STATE / "dockerd").write_text("4242 1000\n")
    monkeypatch.setattr(dev, "process", lambda _: ("dockerd", "2000"))
    monkeypatch.setattr(dev.os, "kill", lambda *_: pytest.fail("killed a stranger"))
    dev.stop()
    assert "no engine that this door started is running" in capsys.readouterr().err


def test_a_process_is_known_by_its_program_and_its_start(dev: ModuleType) -> None:
    """The start stays the same for as long as it runs."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        name, ticks = dev.process(f"{sleeper.pid}\n")
        sleeper.kill()
    assert name == "sleep"
    assert ticks.isdigit()


def test_a_zombie_runs_nothing(dev: ModuleType) -> None:
    """A killed engine whose parent has not noticed yet must not count as one that runs."""
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        sleeper.kill()
        assert dev.wait(lambda: dev.process(str(sleeper.pid)) == ("", ""), 5)


@pytest.mark.parametrize("pid", ["", "garbage", "999999999"])
def test_a_pid_that_is_no_process_runs_nothing(dev: ModuleType, pid: str) -> None:
    """A pid file can be empty after a crash."""
    assert dev.process(pid) == ("", "")


# --- what the door says


def test_a_failed_command_is_shown_with_the_end_of_its_log(
    dev: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line of progress, then what was attempted, what came out and what to do."""
    script = "for i in $(seq 100); do echo line $i; done; exit 7"
    with pytest.raises(SystemExit) as stopped:
        dev.run("count lines", ["sh", "-c", script], fix="count less")
    message = str(stopped.value)
    assert capsys.readouterr().err == "dev: count lines\n"
    assert "cannot count lines" in message
    assert "exit code 7" in message
    assert "| line 100" in message
    assert "| line 80\n" not in message
    assert message.endswith("fix:   count less")


def test_the_door_names_no_package_registry(dev: ModuleType) -> None:
    """Mirrors and indexes are the machine's own settings."""
    assert "://" not in (ROOT / "dev").read_text().replace("unix://", "")
    assert "://" not in (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize(("there", "wanted"), [("", ["chromium"]), ("chromium", []), ("google-chrome", [])])
def test_a_browser_is_installed_if_there_is_none(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, there: str, wanted: list[str]
) -> None:
    """Either of the two names will do."""
    installed: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda name: name if name == there else None)
    monkeypatch.setattr(dev, "install", lambda *names: installed.extend(names))
    dev.browser()
    assert installed == wanted
