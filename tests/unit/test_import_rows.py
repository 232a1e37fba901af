"""Imports point one way: a module imports only from rows above it (CONTRIBUTING.md has the rows)."""

import ast
from pathlib import Path

import pytest

import opensearch_multimodal

ROWS = [
    {"errors"},
    {"types"},
    {"resources"},
    {"wire"},
    {"blas", "maxsim", "fde", "binarize", "token_pooling"},
    {"sizing"},
    {"fusion"},
    {"refinement"},
    {"download"},
    {"models"},
    {"mappings"},
    {"encoder"},
    {"export"},
    {"client"},
    {"sources"},
    {"ingest"},
    {"search"},
    {"evaluation"},
    {"migrate"},
    {"service"},
    {"server"},
    {"cli"},
]
PACKAGE = Path(opensearch_multimodal.__file__).parent
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE) != Path("__init__.py"))


def top_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Return the top-level modules of this package that a file imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE.name + "."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith(PACKAGE.name + ".")]
            found |= {name.split(".")[1] for name in names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_rows_above(path: Path) -> None:
    own = top_name(path)
    assert own in ROW_OF, f"{own} has no row"
    wrong = {
        name
        for name in imported(path) - {own, "__version__"}
        if name not in ROW_OF or ROW_OF[name] >= ROW_OF[own]
    }
    assert not wrong, f"{own} (row {ROW_OF[own]}) imports from {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_client_knows_the_vendor(path: Path) -> None:
    if top_name(path) == "client":
        return
    tree = ast.parse(path.read_text("utf-8"))
    vendors = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    assert not [node.module for node in vendors if (node.module or "").startswith("opensearchpy")]
