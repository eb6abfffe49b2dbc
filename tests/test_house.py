"""The shape of the packages: no circles of imports, and numbers that may only fall."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.test_boundaries import PACKAGES, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = re.compile(r"\b(dict|Mapping|MutableMapping)\[str, (Any|object)\]")


@cache
def trees() -> dict[str, ast.Module]:
    """Name of a module -> its syntax."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in paths
    }


def running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a node but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield child
            yield from running(child)


def imports(tree: ast.AST, modules: set[str]) -> set[str]:
    """Our modules that a file imports, inside functions too."""
    found: set[str] = set()
    for node in running(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in modules else str(node.module) for name in names}
    return found & modules


def circles(graph: dict[str, set[str]]) -> set[tuple[str, ...]]:
    """Groups of modules that each import all others of the group, by way of others."""
    reached = {name: set(found) for name, found in graph.items()}
    for middle in graph:
        for found in reached.values():
            if middle in found:
                found |= reached[middle]
    return {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph} - {()}


def test_files_import_each_other_in_no_circle():
    modules = trees()
    assert circles({name: imports(tree, modules.keys()) for name, tree in modules.items()}) == set()


def test_the_test_sees_circles():
    body = "if TYPE_CHECKING:\n    import c\ndef f():\n    from p import b\n    from p.b import name"
    assert imports(ast.parse(body), {"p", "p.b", "c"}) == {"p.b"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "b"}}) == {("b", "c")}


def functions(package: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions of a package with the names of their modules."""
    for name, tree in trees().items():
        if name.split(".")[0] == package:
            yield from (
                (f"{name}.{node.name}", node)
                for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            )


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


def files_of_a_folder() -> dict[str, int]:
    return Counter(str(path.parent.relative_to(ROOT)) for path in (ROOT / "pipelines").rglob("*.py"))


def lines_of_a_function() -> dict[str, int]:
    """Without the docstring."""
    found = {}
    for package in PACKAGES:
        for name, node in functions(package):
            text = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            found[name] = node.end_lineno - node.lineno + 1 - (text.end_lineno - text.lineno + 1 if text else 0)
    return found


def parameters_of_a_function() -> dict[str, int]:
    """Without `self` and `cls`."""
    return {
        name: sum(one.arg not in ("self", "cls") for one in arguments(node))
        for package in PACKAGES
        for name, node in functions(package)
    }


def plain_dictionaries() -> dict[str, int]:
    """Dictionaries of anything in the signatures of pipelines, those behind an alias too."""
    aliases = {
        target.id
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and PLAIN.search(ast.unparse(node.value).strip("'\""))
        for target in node.targets
        if isinstance(target, ast.Name) and target.id[:1].isupper()
    }
    kinds = re.compile("|".join([PLAIN.pattern, *(rf"\b{alias}\b" for alias in sorted(aliases))]))
    found = {}
    for name, node in functions("pipelines"):
        annotations = [one.annotation for one in arguments(node)] + [node.returns]
        found[name] = sum(bool(kinds.search(ast.unparse(one))) for one in annotations if one is not None)
    return {"all signatures of pipelines": sum(found.values())}


@pytest.mark.parametrize(
    ("measure", "most"),
    [  # the house is built at 20, 50, 8 and 30
        (files_of_a_folder, 20),
        (lines_of_a_function, 50),
        (parameters_of_a_function, 8),
        (plain_dictionaries, 30),
    ],
)
def test_numbers_that_may_only_fall(measure, most):
    assert {name: number for name, number in measure().items() if number > most} == {}
