"""What may import what, what is loaded when, and how large a file and a function may be (design section 2)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("augment", "distill", "glove", "pipelines")
SHORT = (*PACKAGES, "benchmarks", "scripts", "tests")
FILES = sorted(path for folder in SHORT for path in (ROOT / folder).rglob("*.py"))
MOST_FILE_LINES, MOST_FUNCTION_LINES = 300, 50


def imported(tree: ast.AST) -> set[str]:
    """First parts of all modules that are imported anywhere in a file, by statement or by name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where something comes from"
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value).split(".")[0])
    return found


FORBIDDEN = {
    "glove": {"augment", "distill", "pipelines", "ray", "typer", "rich", "torch", "transformers", "datasets"},
    "augment": {"distill", "pipelines", "ray", "typer", "rich", "datasets", "gensim"},
    "distill": {"augment", "glove", "pipelines", "ray", "typer", "rich", "gensim"},
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_what_they_may(package):
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))) & FORBIDDEN[package]
    }
    assert not found


def test_the_test_sees_imports_inside_functions():
    tree = ast.parse("def f():\n    import ray.data\n    import_module('typer.x')\n    from datasets import y")
    assert imported(tree) == {"ray", "typer", "datasets"}


def loaded_by(statement: str) -> set[str]:
    """Modules that are loaded after a statement in a fresh interpreter."""
    command = f"{statement}; import sys; print(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in ran.stdout.splitlines()[-1].split()}


HEAVY = {"torch", "ray", "datasets", "gensim", "transformers", "tokenizers", "accelerate", "sklearn", "scipy"}


@pytest.mark.parametrize(
    "module", ["augment", "glove", "pipelines", "pipelines.cli", "pipelines.augmenting.augment_job"]
)
def test_nothing_heavy_is_loaded_at_import(module):
    assert not loaded_by(f"import {module}") & HEAVY


def test_help_loads_neither_models_nor_tables():
    loaded = loaded_by(
        "import sys; from pipelines.cli.app import app; app(['augment', '--help'], standalone_mode=False)"
    )
    assert not loaded & {*HEAVY, "pyarrow", "numpy"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_FILE_LINES


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert {one.name: length(one) for one in functions if length(one) > MOST_FUNCTION_LINES} == {}
