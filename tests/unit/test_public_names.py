"""``__all__`` of every module is what it defines in public, no more and no less."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import opensearch_multimodal

PACKAGE = Path(opensearch_multimodal.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
# Run by path as a program, and read by no module of ours.
PROGRAMS = {"server/supervise.py"}


def defined(tree: ast.Module) -> set[str]:
    """Return the public classes, functions, and names with a docstring, that a module defines."""
    found = set()
    for node, after in pairwise([*tree.body, None]):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found |= set() if _is_subcommand(node) else {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _is_docstring(after):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found |= {target.id} if isinstance(target, ast.Name) else set()
    return {name for name in found if not name.startswith("_")}


def _is_subcommand(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Say whether a function hangs on a group of commands, by which it is reached."""
    calls = [one.func for one in node.decorator_list if isinstance(one, ast.Call)]
    groups = [call.value for call in calls if isinstance(call, ast.Attribute) and call.attr == "command"]
    return any(getattr(group, "id", "click") != "click" for group in groups)


def _is_docstring(node: ast.stmt | None) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def exported(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_all_is_what_is_public(path: Path) -> None:
    if str(path.relative_to(PACKAGE)) in PROGRAMS:
        return
    tree = ast.parse(path.read_text("utf-8"))
    names = exported(tree)
    assert names is not None, "no __all__"
    if path.name != "__init__.py":
        assert defined(tree) <= names, f"not in __all__: {defined(tree) - names}"
    here = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    here |= {getattr(t, "id", "") for node in tree.body if isinstance(node, ast.Assign) for t in node.targets}
    here |= {getattr(node.target, "id", "") for node in tree.body if isinstance(node, ast.AnnAssign)}
    here |= {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names <= here, f"in __all__ but not there: {names - here}"
