"""The arrows of the house: which room may import which."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import release

PACKAGE = Path(release.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("console", "images", "ledger", "chain", "deploy", "init", "doctor", "commands")
DOOR = {"sessions", "tasks", "commands", "ledger_rebuild_plan", "image_rebuild", "init", "doctor"}
FORBIDDEN = {
    "vocabulary": {"images", "ledger", "chain", "deploy", *DOOR},
    "console": {"images", "ledger", "chain", "deploy", *DOOR},
    "images": {"ledger", "chain", "deploy", "console", *DOOR},
    "ledger": {"images", "chain", "deploy", "console", *DOOR},
    "chain": {"deploy", "console", *DOOR},
    "deploy": {"chain", "console", *DOOR},
    "init": {"images", "ledger", "deploy", "console", *DOOR} - {"init"},
    "doctor": {"console", *DOOR} - {"doctor"},
    "commands": {"sessions", "tasks", "chain"},
    "doors": set[str](),
}
FLOORS = ("core", "targets", "environment", "planning", "execution", "inspection")
"""Rooms of `release.deploy`, from the lowest floor to the highest."""
KUBERNETES = {f"deploy/targets/kubernetes/{module.name}" for module in (PACKAGE / "deploy").rglob("*.py")}
OUTSIDE = {
    "docker": {
        "images/engine/__init__.py",
        "images/engine/address.py",
        "images/engine/client.py",
        "images/engine/connection.py",
        "images/engine/containers.py",
        "images/engine/execution.py",
        "images/engine/foreign.py",
        "images/engine/images.py",
        "deploy/targets/swarm/api.py",
        "deploy/targets/swarm/manager.py",
        "deploy/targets/swarm/stores.py",
        "images/credentials.py",
        "images/dockerignore.py",
        "images/connection_failures.py",
    },
    "git": {"git/runner.py"},
    "httpx2": KUBERNETES,
    "lightkube": KUBERNETES,
    "msgspec": {"values.py"},
    "dataclasses": {"values.py"},
    "subprocess": {
        "programs/process.py",
        "programs/program_socket.py",
        "git/runner.py",
        "programs/interactive.py",
    },
}


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def room_of(module: Path) -> str:
    parts = module.relative_to(PACKAGE).parts
    if parts[0] in ROOMS:
        return parts[0]
    return "doors" if len(parts) == 1 and module.stem in DOOR | {"__init__", "__main__"} else "vocabulary"


@functools.cache
def nodes_of(module: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))


@functools.cache
def imports_of(module: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes_of(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_run_one_way(module: Path) -> None:
    """Vocabulary ← images, ledger ← chain, deploy ← commands ← doors; chain and deploy never meet."""
    rooms = {name.split(".")[1] for name in imports_of(module) if name.startswith("release.")}
    assert not rooms & FORBIDDEN[room_of(module)]


@pytest.mark.parametrize("module", sorted((PACKAGE / "deploy").glob("*/**/*.py")), ids=name_of)
def test_rooms_of_a_deployment_import_lower_floors_only(module: Path) -> None:
    """core ← targets ← environment ← planning ← execution ← inspection; no arrow runs up."""
    floor = FLOORS.index(module.relative_to(PACKAGE / "deploy").parts[0])
    rooms = {name.split(".")[2] for name in imports_of(module) if name.startswith("release.deploy.")}
    assert {room for room in rooms & set(FLOORS) if FLOORS.index(room) > floor} == set()


@pytest.mark.parametrize("word", ["swarm", "kubernetes"])
def test_one_kind_of_target_is_named_behind_the_target(word: str) -> None:
    """The word stands in its own folder, in the configuration, and in keys of records."""
    behind = (f"deploy/targets/{word}/", "config/", "runspec.py", "targetspec.py")
    named = {name_of(module) for module in MODULES if word in module.read_text(encoding="utf-8").lower()}
    assert {name for name in named if not name.startswith(behind)} == set()


def test_a_target_is_the_only_way_to_what_runs() -> None:
    """No module outside the targets imports one, or asks which kind it is; one opens them."""
    outside = [module for module in MODULES if not name_of(module).startswith(("deploy/targets/", "config/"))]
    users = {
        name_of(module)
        for module in outside
        if any(name.startswith("release.deploy.targets") for name in imports_of(module))
    }
    assert users == {"deploy/environment/environment.py"}
    asking = re.compile(r"\b(live|settings|ground)\.engine\b")
    assert [name_of(module) for module in outside if asking.search(module.read_text("utf-8"))] == []


@pytest.mark.parametrize("library", OUTSIDE)
def test_a_library_has_one_home(library: str) -> None:
    """docker, git, what values are made of, and processes are imported where they belong and nowhere else."""
    users = {name_of(m) for m in MODULES if any(name.split(".")[0] == library for name in imports_of(m))}
    assert users <= OUTSIDE[library]


def test_one_room_prints() -> None:
    """`print` and the standard streams are the console's alone."""
    for module in MODULES:
        calls = {
            node.func.id
            for node in nodes_of(module)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        streams = {
            node.attr
            for node in nodes_of(module)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys"
        } & {"stdin", "stdout", "stderr"}
        assert not ({"print"} & calls or streams) or room_of(module) == "console", module


PRINTING = {
    "logging": {"library_logging.py", "images/http_limits.py"},
    "warnings": {"images/credentials.py"},
    "traceback": {"console/__init__.py"},
    "rich": {"console/layout.py", "console/output.py", "console/terminal.py"},
    "fileinput": set[str](),
    "curses": set[str](),
    "syslog": set[str](),
}
"""Modules that can write to a stream of ours, and who may import them."""

OUTPUT = {"console/output.py"}

RAW = {"console/github.py": 3, "console/gitlab.py": 3}
"""Calls of `OutputWriter.write_raw`, which cleans nothing: commands to a CI system, around clean text."""


@pytest.mark.parametrize("library", PRINTING)
def test_what_can_print_is_imported_by_few(library: str) -> None:
    """Nothing of others reaches a stream around the function that makes it inert."""
    users = {name_of(m) for m in MODULES if any(name.split(".")[0] == library for name in imports_of(m))}
    assert users <= PRINTING[library]


def test_nothing_is_written_around_the_console() -> None:
    """No standard stream by another name, no device, no descriptor, no raw line."""
    raw = dict.fromkeys(RAW, 0)
    for module in MODULES:
        name = name_of(module)
        for node in nodes_of(module):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "input", "breakpoint", "os.system", "os.popen"), name
                assert called != "os.write" or name == "console/__init__.py", name
                assert called != "getattr" or ast.unparse(node.args[0]) != "sys" or name in OUTPUT
                if called.endswith(".write_raw") and name.startswith("console/"):
                    raw[name] += 1
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("__stdout__", "__stderr__"), name
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/dev/std", "/dev/tty", "/dev/fd", "/proc/self/fd")), name
            if isinstance(node, ast.ImportFrom) and node.module == "sys":
                assert not {alias.name for alias in node.names} & {"stdout", "stderr", "stdin"}, name
    assert raw == RAW


def test_no_program_writes_to_our_streams() -> None:
    """We read what each one writes. `interactive.py` runs an operator's program, with their terminal."""
    calls = [
        (name_of(module), {keyword.arg for keyword in node.keywords})
        for module in MODULES
        for node in nodes_of(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.Popen", "Popen")
    ]
    assert {name for name, _ in calls} == {"programs/process.py", "programs/interactive.py"}
    assert all({"stdout", "stderr"} <= given for name, given in calls if name == "programs/process.py")


def test_logs_are_opened_in_one_place() -> None:
    """`process.append_to_log` masks them and makes them inert; others append JSON, or text that is clean."""
    appending = {
        name_of(module)
        for module in MODULES
        for node in nodes_of(module)
        if isinstance(node, ast.Call) and _appends(node)
    }
    assert appending == {
        "files/private.py",
        "programs/process.py",
        "chain/run_folder.py",
        "console/github.py",
    }


def _appends(call: ast.Call) -> bool:
    modes = (argument.value for argument in call.args if isinstance(argument, ast.Constant))
    called = ast.unparse(call.func)
    return called.endswith("open_for_append") or (
        called.endswith("open") and not {"a", "ab", "a+"}.isdisjoint(modes)
    )


LIMITS = {"module": 300, "class": 15, "function": 40}
"""Most lines of a module, public methods of a class, and lines of a function."""

LARGER: dict[str, dict[str, int]] = {
    "module": {
        "commands/repair.py": 320,
        "images/engine/containers.py": 360,
        "sessions.py": 380,
    },
    "class": {
        "images/engine/containers.py Containers": 16,
        "ledger/store.py Ledger": 18,
    },
    "function": {
        "chain/building/buildkit.py run_buildkit": 52,
        "chain/lockgate/compiled.py compile_commands": 41,
        "deploy/core/place.py container_spec": 50,
        "deploy/inspection/status.py read_status": 44,
        "programs/process.py run": 44,
    },
}
"""What is larger still, with its size. A size here may become smaller, and no name may be added."""


def sizes_of(module: Path) -> Iterator[tuple[str, str, int]]:
    """The kind, name and size of a module, its classes and its functions."""
    name = name_of(module)
    yield "module", name, len(module.read_text(encoding="utf-8").splitlines())
    for node in nodes_of(module):
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            yield "class", f"{name} {node.name}", sum(not method.startswith("_") for method in methods)
        elif isinstance(node, ast.FunctionDef):
            yield "function", f"{name} {node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_modules_classes_and_functions_are_small() -> None:
    """Everything that is larger than its limit is listed, and not larger than listed there."""
    sizes = [each for module in MODULES for each in sizes_of(module)]
    larger = [(kind, name, size) for kind, name, size in sizes if size > LIMITS[kind]]
    grown = [each for each in larger if each[2] > LARGER[each[0]].get(each[1], 0)]
    assert not grown, "split it"
    listed = {(kind, name) for kind, names in LARGER.items() for name in names}
    assert listed == {(kind, name) for kind, name, _ in larger}, "remove from the list what is small now"


BEGINNING = re.compile(r"\s*(What|Where|Whether|Who|Whose|Whoever|Whatever|How|Why|That)\b")


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_docstring_begins_with_a_verb_or_a_noun(module: Path) -> None:
    """As "Return the lock" or "Name of the lock", not "What locks"."""
    texts = [
        node.value.value
        for node in nodes_of(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    assert [text for text in texts if isinstance(text, str) and BEGINNING.match(text)] == []
