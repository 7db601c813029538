"""A file, and a function, is as long as can be read at once, unless a comment gives the reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamagg
from tests.support.places import ROOT

PACKAGE = Path(streamagg.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
"""A branch is an `if`, an `elif`, a loop, an `except`, or a `case`."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def lines_of(function: Function) -> int:
    """From `def` to the last line, with the docstring."""
    return (function.end_lineno or 0) - function.lineno + 1


def branches_of(function: Function) -> int:
    """The branches of a function, without those of the functions inside it."""
    count, nodes = 0, list(ast.iter_child_nodes(function))
    while nodes:
        node = nodes.pop()
        if not isinstance(node, FUNCTIONS):
            count += isinstance(node, BRANCHES)
            nodes += ast.iter_child_nodes(node)
    return count


def has_reason(function: Function, lines: list[str]) -> bool:
    """Whether a comment stands directly above the function, or opens its body, before or after the docstring."""
    first = min([function.lineno, *(node.lineno for node in function.decorator_list)])
    begin = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    places = [first - 1, begin.lineno - 1, *([begin.end_lineno + 1] if has_docstring and begin.end_lineno else [])]
    return any(lines[place - 1].lstrip().startswith("#") for place in places if 0 < place <= len(lines))


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_at_most_400_lines(name: str) -> None:
    assert len(FILES[name].read_text().splitlines()) <= 400


def test_the_fast_path_has_at_most_800_lines() -> None:
    """It pays on long streams alone. Whoever keeps it can read it in one sitting, and delete it."""
    assert sum(len(path.read_text().splitlines()) for path in (PACKAGE / "_fastpath").glob("*.py")) <= 800


@pytest.mark.parametrize("name", FILES)
def test_a_function_of_more_than_60_lines_or_12_branches_gives_its_reason(name: str) -> None:
    source = FILES[name].read_text()
    sizes = {
        function.name: (lines_of(function), branches_of(function))
        for function in functions_of(ast.parse(source))
        if not has_reason(function, source.splitlines())
    }
    assert {name: size for name, size in sizes.items() if size[0] > 60 or size[1] > 12} == {}


def of_the_accumulator(value: ast.AST) -> bool:
    """Whether an expression is a name that ends with `accumulator`."""
    name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
    return name.endswith("accumulator")


def test_only_its_own_package_knows_the_inside_of_an_accumulator() -> None:
    outside = [path for path in PACKAGE.rglob("*.py") if "_accumulator" not in path.relative_to(PACKAGE).parts]
    outside += [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(outside) > 100
    used = {
        f"{path.name}:{node.lineno} {node.attr}"
        for path in outside
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and of_the_accumulator(node.value)
    }
    assert not used
