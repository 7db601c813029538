"""Data flows one way: a package imports only from lower layers, and inside a package imports go one way too."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import streamagg

PACKAGE = Path(streamagg.__file__).parent

LAYERS = [
    "_errors _error_shapes _limits _repairs _codec",
    "_types _framing _sources",
    "_apis _merge _export",
    "_fastpath _events",
    "_accumulator",
    "_drivers",
    "__init__",
    "asgi arrow",
    "_cli",
    "__main__",
]
"""The packages and modules of each layer, from the lowest to the highest."""

TYPING_ONLY = {("_errors", "_types.completion")}
"""The one import upwards: the type of `StreamAggError.partial`."""

LAYER_OF = {name: number for number, line in enumerate(LAYERS) for name in line.split()}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[1:] and parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def package_of(module: str) -> str:
    return module.split(".")[0]


def imported_by(module: str, *, typing: bool) -> set[str]:
    """The modules of the package that a module imports, at its top or inside a function.

    `typing`: those under `if TYPE_CHECKING`, else all others.
    """
    tree = ast.parse(MODULES[module].read_text())
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    around = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    around = [] if module == "__init__" else around
    found = set()
    for node in ast.walk(tree):
        if (node in guarded) is not typing:
            continue
        if isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                name = ".".join([*around[: len(around) - node.level + 1], *filter(None, [name])])
            elif name.split(".")[0] == "streamagg":
                name = name.partition(".")[2]
            else:
                continue
            found |= {
                inner if (inner := f"{name}.{alias.name}".lstrip(".")) in MODULES else name for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "streamagg"}
    return {name or "__init__" for name in found}


def test_every_module_has_a_layer() -> None:
    assert {package_of(module) for module in MODULES} == set(LAYER_OF)
    assert len(LAYERS) <= 10


def test_imports_go_down() -> None:
    up = {
        (module, imported)
        for module in MODULES
        for imported in imported_by(module, typing=False)
        if package_of(module) != package_of(imported)
        if LAYER_OF[package_of(imported)] >= LAYER_OF[package_of(module)]
    }
    assert up == set()


def test_the_one_import_upwards_is_for_a_type() -> None:
    up = {
        (module, imported)
        for module in MODULES
        for imported in imported_by(module, typing=True)
        if LAYER_OF[package_of(imported)] > LAYER_OF[package_of(module)]
    }
    assert up == TYPING_ONLY


@pytest.mark.parametrize("package", sorted(LAYER_OF))
def test_imports_inside_a_package_go_one_way(package: str) -> None:
    inside = {
        module: {name for name in imported_by(module, typing=False) if package_of(name) == package and name != module}
        for module in MODULES
        if package_of(module) == package
    }
    TopologicalSorter(inside).prepare()  # a CycleError names a circle


def test_an_init_holds_no_code() -> None:
    """It has a docstring, imports and `__all__`."""
    for path in PACKAGE.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_all = isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
            assert isinstance(node, ast.ImportFrom) or is_docstring or is_all, path


def test_the_programs_are_built_on_the_public_names() -> None:
    """The command line, the tables and the middleware: whatever they do, a user of the library can do."""
    public = {"__init__", "arrow", "asgi", "_error_shapes"}  # the one table of the shapes of errors
    for module in MODULES:
        if package_of(module) in ("_cli", "arrow", "asgi"):
            outside = {name for name in imported_by(module, typing=False) if package_of(name) != package_of(module)}
            assert outside <= public, module


def test_framing_and_merging_do_not_know_each_other() -> None:
    @cache
    def reached(module: str) -> set[str]:
        return {module}.union(*(reached(imported) for imported in imported_by(module, typing=False)))

    assert not {name for name in reached("_merge.merger") if package_of(name) == "_framing"}
    assert {package_of(name) for name in reached("_framing.sse")} == {"_framing", "_errors"}


def test_the_drivers_alone_await_and_read_the_clock() -> None:
    for module, path in MODULES.items():
        if LAYER_OF[package_of(module)] > LAYER_OF["_accumulator"] or package_of(module) == "_sources":
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        assert not [node for node in nodes if isinstance(node, (ast.AsyncFunctionDef, ast.Await))], module
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
        assert not names & {"anyio", "asyncio", "time", "socket", "logging", "threading"}, module
