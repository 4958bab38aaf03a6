"""Paths of a web application, as far as its source names them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from release.init.folder import RepositoryFolder

HEALTH: Final = (
    *("/healthz", "/health", "/health/", "/healthz/", "/readyz", "/ready", "/livez", "/live", "/alive"),
    *("/ping", "/status", "/up", "/_health", "/api/health", "/api/healthz", "/"),
)
"""Usual paths of health checks, the best first."""

_GETS: Final = frozenset({"get", "route", "add_url_rule", "add_api_route", "add_route"})
_PREFIXED: Final = frozenset({"include_router", "register_blueprint", "mount", "include"})


def choose_health_path(paths: Iterable[str]) -> str | None:
    """Return the best path for a health check; None if there is no path without parameters."""
    known = list(dict.fromkeys(paths))
    best = next((path for path in HEALTH if path in known), None)
    plain = (path for path in known if not set("<>{}:") & set(path))
    return best or next(plain, None)


def decorated_paths(folder: RepositoryFolder, applications: Sequence[str]) -> Iterator[str]:
    """Yield the paths of GET routes that FastAPI, Starlette or Flask declare.

    Args:
        folder: the repository.
        applications: names of variables that hold the application. If routers get a prefix somewhere,
            only routes of these are certain.
    """
    trees = [tree for _, tree in folder.application_modules()]
    moved = any(_adds_prefix(node) for tree in trees for node in ast.walk(tree))
    for tree in trees:
        for node in ast.walk(tree):
            owner, path = _parse_route(node)
            if path is not None and (owner in applications or not moved):
                yield path


def _adds_prefix(node: ast.AST) -> bool:
    """Return whether the statement adds a prefix to a router or blueprint."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    prefixed = any(each.arg in ("prefix", "url_prefix") for each in node.keywords)
    return prefixed and called in (*_PREFIXED, "APIRouter", "Blueprint")


def _parse_route(node: ast.AST) -> tuple[str, str | None]:
    """Return object and path of a route; no path for other statements."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return "", None
    path = node.args[0]
    if node.func.attr not in _GETS or not isinstance(path, ast.Constant) or not _answers_get(node):
        return "", None
    text = path.value if isinstance(path.value, str) and path.value.startswith("/") else None
    return getattr(node.func.value, "id", ""), text


def _answers_get(node: ast.Call) -> bool:
    methods = next((each.value for each in node.keywords if each.arg == "methods"), None)
    if not isinstance(methods, ast.List | ast.Tuple):
        return True
    return any(isinstance(each, ast.Constant) and each.value == "GET" for each in methods.elts)


def django_paths(folder: RepositoryFolder, package: str) -> Iterator[str]:
    """Yield the paths of the project's urls.py, without those of included modules."""
    tree = folder.parse_module(f"{package}/urls.py")
    for node in ast.walk(tree) if tree is not None else ():
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "path" and len(node.args) > 1):
            continue
        path, view = node.args[:2]
        included = isinstance(view, ast.Call) and getattr(view.func, "id", "") == "include"
        admin = isinstance(view, ast.Attribute) and ast.unparse(view) == "admin.site.urls"
        if isinstance(path, ast.Constant) and isinstance(path.value, str) and not (included or admin):
            yield f"/{path.value}"
