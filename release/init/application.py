"""Web application of a repository: its framework, its module, and the command that serves it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from release.init.folder import RepositoryFolder
from release.init.packages import ProjectPackages
from release.init.routes import choose_health_path, decorated_paths, django_paths
from release.values import Struct

PORT: Final = 8000
"""Default port in the container."""

_CLASSES: Final = {"FastAPI": "FastAPI", "Starlette": "Starlette", "Flask": "Flask"}
_ASYNC: Final = ("FastAPI", "Starlette")


class Application(Struct, frozen=True, kw_only=True):
    """A web application."""

    framework: str
    place: str
    """Module and object of the application, as "app.main:app"."""
    source: str
    """Folder with its modules: "." or "src"."""
    factory: bool = False
    """True if `place` names a function that returns the application."""
    path: str | None = None
    """Path that answers GET requests."""
    host: str | None = None
    """`Host` header that the application accepts."""
    settings: str | None = None
    """Django: module with the settings."""


def find_application(folder: RepositoryFolder) -> Application | None:
    """Return the application: Django by its manage.py, others by an object in their source; None if none."""
    return _find_django(folder) or next(_find_application_objects(folder), None)


def _module_of_file(path: str) -> tuple[str, str]:
    """Return the module name of a file, and the folder that Python's path needs."""
    source, inside = ("src", path.removeprefix("src/")) if path.startswith("src/") else (".", path)
    name = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name, source


def _find_application_objects(folder: RepositoryFolder) -> Iterator[Application]:
    """Yield application objects at the top of a module, then functions that return an application."""
    found: list[Application] = []
    for path, tree in folder.application_modules():
        name, source = _module_of_file(path)
        for node in tree.body:
            kind, attribute, factory = _application_in_statement(node)
            if kind:
                place = f"{name}:{attribute}"
                found.append(Application(framework=kind, place=place, source=source, factory=factory))
    best = sorted(found, key=lambda each: each.factory)
    names = [each.place.partition(":")[2] for each in best if not each.factory]
    for each in best[:1]:
        answered = choose_health_path(decorated_paths(folder, [*names, "app"]))
        yield Application(
            framework=each.framework,
            place=each.place,
            source=each.source,
            factory=each.factory,
            path=answered,
        )


def _application_in_statement(node: ast.stmt) -> tuple[str, str, bool]:
    """Return framework, name, and whether the statement is a function; empty texts for others."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        kind = _constructed_framework(node.value)
        return (kind, target.id, False) if kind and isinstance(target, ast.Name) else ("", "", False)
    if isinstance(node, ast.FunctionDef) and not _has_required_arguments(node.args):
        for inner in ast.walk(node):
            kind = _constructed_framework(getattr(inner, "value", None))
            if kind and isinstance(inner, ast.Assign | ast.AnnAssign | ast.Return):
                return kind, node.name, True
    return "", "", False


def _has_required_arguments(arguments: ast.arguments) -> bool:
    return len(arguments.args) > len(arguments.defaults) or any(
        default is None for default in arguments.kw_defaults
    )


def _constructed_framework(value: ast.expr | None) -> str:
    if not isinstance(value, ast.Call):
        return ""
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return _CLASSES.get(name, "")


def _find_django(folder: RepositoryFolder) -> Application | None:
    manage = folder.first_existing("manage.py", "src/manage.py")
    match = re.search(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)[\"']", folder.read_text(manage or ""))
    if manage is None or match is None:
        return None
    source = str(PurePosixPath(manage).parent)
    package = match[1].partition(".settings")[0].replace(".", "/")
    below = package if source == "." else f"{source}/{package}"
    server = "asgi" if f"{below}/wsgi.py" not in folder.files else "wsgi"
    return Application(
        framework="Django",
        place=f"{package.replace('/', '.')}.{server}:application",
        source=source,
        path=choose_health_path(django_paths(folder, below)),
        host=_first_allowed_host(folder, _find_settings_file(folder, source, match[1])),
        settings=_find_settings_file(folder, source, match[1]),
    )


def _find_settings_file(folder: RepositoryFolder, source: str, module: str) -> str:
    path = module.replace(".", "/")
    whole = path if source == "." else f"{source}/{path}"
    return folder.first_existing(f"{whole}.py", f"{whole}/__init__.py") or f"{whole}.py"


def _first_allowed_host(folder: RepositoryFolder, settings: str) -> str:
    """Return the first literal host in Django's ALLOWED_HOSTS."""
    tree = folder.parse_module(settings)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ALLOWED_HOSTS":
            names = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
            texts = [part for name in names if isinstance(name, str) for part in name.split(",")]
            plain = (text for text in texts if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", text))
            return next(plain, "localhost")
    return "localhost"


def server_command(
    application: Application, packages: ProjectPackages | None, port: int
) -> tuple[tuple[str, ...], bool]:
    """Return the command that serves the application, and whether its server is for production."""
    has = packages.has if packages is not None else lambda *_: False
    place = f"{application.place}()" if application.factory else application.place
    bind = f"0.0.0.0:{port}"
    listen = ("--host", "0.0.0.0", "--port", str(port))  # noqa: S104 - in the container
    if application.framework in _ASYNC or application.place.endswith(".asgi:application"):
        factory = ("--factory",) if application.factory else ()
        if has("hypercorn") and not has("uvicorn"):
            return ("hypercorn", "--bind", bind, place), True
        return ("uvicorn", *factory, application.place, *listen), has("uvicorn")
    if has("gunicorn"):
        return ("gunicorn", "--bind", bind, "--worker-tmp-dir", "/dev/shm", place), True  # noqa: S108
    if has("waitress"):
        call = ("--call",) if application.factory else ()
        return ("waitress-serve", f"--listen={bind}", *call, application.place), True
    if has("uvicorn") and application.framework == "Django":
        return ("uvicorn", application.place.replace(".wsgi:", ".asgi:"), *listen), True
    if application.framework == "Django":
        return ("python", "manage.py", "runserver", "--noreload", bind), False
    return ("flask", "--app", application.place, "run", *listen), False


def required_variables(folder: RepositoryFolder) -> list[str]:
    """Return variables that the source reads by `os.environ["NAME"]`, which fails if one is missing."""
    names = (
        name
        for _, tree in folder.application_modules()
        for node in ast.walk(tree)
        for name in _required_variable_names(node)
    )
    return sorted(dict.fromkeys(names))


def _required_variable_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        name = node.slice.value if isinstance(node.slice, ast.Constant) else None
        asked = isinstance(name, str) and ast.unparse(node.value) in ("os.environ", "environ")
        if asked and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            yield str(name)
