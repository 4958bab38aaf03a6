"""Text of noxfile.py and tasks.py: new files, or additions to existing files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from release.chain.names import SESSIONS
from release.init.texts import NOXFILE, TASKS
from release.values import Struct


class ProposedFile(Struct, frozen=True, kw_only=True):
    """Proposed text of a file, or the reason why the file is not changed."""

    text: str
    problem: str = ""


def proposed_noxfile(text: str) -> ProposedFile:
    """Return noxfile.py with the sessions of the release chain added. Empty text means no file."""
    if not text.strip():
        return ProposedFile(text=NOXFILE)
    if "release.register(" in text:
        return ProposedFile(text=text)
    names = _decorated_function_names(text, "session")
    if names is None:
        return ProposedFile(
            text=text, problem="noxfile.py is not valid Python: correct it, then run init again"
        )
    taken = sorted(names & SESSIONS.keys())
    if taken:
        problem = f"noxfile.py defines {', '.join(taken)}, and so does the chain: rename these sessions"
        return ProposedFile(text=text, problem=problem)
    return ProposedFile(text=_add_release_import(text) + "\nrelease.register()\n")


def proposed_tasks_file(text: str, names: frozenset[str]) -> ProposedFile:
    """Return tasks.py with the tasks of this library added. Empty text means no file."""
    if not text.strip():
        return ProposedFile(text=TASKS)
    if "release.namespace(" in text:
        return ProposedFile(text=text)
    own = _decorated_function_names(text, "task")
    if own is None:
        return ProposedFile(
            text=text, problem="tasks.py is not valid Python: correct it, then run init again"
        )
    taken = sorted(name for name in own if name.replace("_", "-") in names)
    if taken:
        problem = f"tasks.py defines {', '.join(taken)}, and so does this library: rename these tasks"
        return ProposedFile(text=text, problem=problem)
    existing = next((name for name in ("ns", "namespace") if name in _assigned_names(text)), None)
    return ProposedFile(
        text=_add_release_import(text)
        + (_add_release_sessions(existing) if existing else _add_task_collection(own))
    )


def _add_release_sessions(existing: str) -> str:
    return f"\nfor each in release.namespace().tasks.values():\n    {existing}.add_task(each)\n"


def _add_task_collection(own: set[str]) -> str:
    added = "".join(f"ns.add_task({name})\n" for name in sorted(own))
    return f"\nns = release.namespace()\n{added}"


def _parse_python(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _decorated_function_names(text: str, word: str) -> set[str] | None:
    """Return names of functions with this decorator; None if the text is not valid Python."""
    tree = _parse_python(text)
    return None if tree is None else set(_find_decorated_functions(tree, word))


def _find_decorated_functions(tree: ast.Module, word: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for each in node.decorator_list:
                called = each.func if isinstance(each, ast.Call) else each
                if (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == word:
                    yield _name_argument(each) or node.name


def _name_argument(decorator: ast.expr) -> str | None:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    named = (
        each.value.value for each in keywords if each.arg == "name" and isinstance(each.value, ast.Constant)
    )
    return next((name for name in named if isinstance(name, str)), None)


def _assigned_names(text: str) -> set[str]:
    tree = _parse_python(text)
    targets = [node.targets for node in tree.body if isinstance(node, ast.Assign)] if tree else []
    return {each.id for group in targets for each in group if isinstance(each, ast.Name)}


def _add_release_import(text: str) -> str:
    """Return the text with `import release` after its last import at the top."""
    tree = _parse_python(text)
    nodes = tree.body if tree is not None else []
    ends = [node.end_lineno or 0 for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    first = nodes[0] if nodes else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    after = max(ends, default=(first.end_lineno or 0) if first is not None and is_text else 0)
    lines = text.splitlines()
    return "\n".join([*lines[:after], "import release", *lines[after:], ""])
