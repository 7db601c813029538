"""Data flows one way: a module imports only from lower floors."""

from __future__ import annotations

import ast
from pathlib import Path

import streamagg

PACKAGE = Path(streamagg.__file__).parent

FLOORS: list[dict[str, str]] = [
    {
        "_errors": "the error tree, drawn at its top",
        "_limits": "the bounds on a stream, and the kinds of repair",
        "_text": "text that arrives in fragments",
    },
    {
        "_sse": "bytes to server-sent events, by the WHATWG rules; knows no JSON",
        "_struct": "what all wire structs share: `extra`, and the way back to plain data",
    },
    {
        "_lenient": "the tolerant way to read: nearly JSON, nearly the struct",
        "_values": "merging, measuring and copying of values whose fields no type knows",
    },
    {
        "_response": "the structs of what goes out",
        "_plain": "any client's object as plain data, by its shape",
        "_items": "lists whose items have an index",
        "_content": "content as text or parts",
    },
    {"_chunk": "the structs of what comes in", "_usage": "merges usage reports"},
    {
        "_reader": "one payload to one chunk: strict first, tolerant second",
        "_slots": "tool calls from fragments",
        "_rules": "the merge table",
    },
    {"_choice": "one choice that is being put together"},
    {"_merge": "merges chunks into one response; knows no bytes"},
    {"_envelope": "the fast path: changes no result"},
    {"_accumulator": "bytes or chunks in, response out; awaits nothing, reads no clock"},
    {"_sources": "any source as an iterator, by its shape; imports no client library"},
    {"_stream": "the drivers: short loops"},
    {"__init__": "the public names"},
    {"_rows": "one stream to one row of a table"},
    {"arrow": "columns of recordings to columns of responses"},
    {"_batch_files": "recordings in files and in lines of JSON"},
    {"_batch_plan": "the inputs of a batch, cut into tasks", "_batch_totals": "what streams came to, counted"},
    {"_batch_read": "the recordings of a task as record batches"},
    {"_batch_work": "one task: recordings in, one part of the output on disk"},
    {"_batch_parts": "the parts of an output, and what is done already", "_batch_engines": "what runs the tasks"},
    {"batch": "the command `streamagg batch`"},
    {"_cli": "the command line, on the public names alone"},
    {"__main__": "python -m streamagg"},
]

FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


OPTIONAL = FLOORS[FLOOR_OF["_rows"] : FLOOR_OF["_cli"]]
"""What needs an extra: built on the public names, and reached by nothing else but lazily."""


def imports_of(module: str) -> set[str]:
    """The modules of the package that a module imports, at its top or anywhere inside."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "streamagg":
            found.add((node.module or "").partition(".")[2] or "__init__")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "streamagg"]
            found |= {name.partition(".")[2] or "__init__" for name in names}
    return found


def type_checking_only(module: str) -> set[str]:
    """What a module imports for annotations alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= {item.module or "" for item in node.body if isinstance(item, ast.ImportFrom)}
    return found


def test_every_module_has_a_floor() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(FLOOR_OF)


def test_no_import_runs_up() -> None:
    up = [
        f"{module} -> {imported}"
        for module in FLOOR_OF
        for imported in imports_of(module) - type_checking_only(module)
        if FLOOR_OF[imported] >= FLOOR_OF[module]
    ]
    assert not up


def test_what_needs_an_extra_stands_on_the_public_names() -> None:
    optional = {module for floor in OPTIONAL for module in floor}
    for module in optional:
        assert imports_of(module) <= {*optional, "__init__"}, module
    for module in FLOOR_OF.keys() - optional:
        at_the_top = ast.parse((PACKAGE / f"{module}.py").read_text()).body
        assert not {node.module for node in at_the_top if isinstance(node, ast.ImportFrom)} & optional, module


def test_framing_and_merging_do_not_know_each_other() -> None:
    def reached(module: str) -> set[str]:
        return {module}.union(*(reached(imported) for imported in imports_of(module) - type_checking_only(module)))

    assert "_sse" not in reached("_merge")
    assert not reached("_sse") & {"_merge", "_reader", "_chunk", "_response"}


def test_the_drivers_alone_await_and_read_the_clock() -> None:
    for module, floor in FLOOR_OF.items():
        if floor <= FLOOR_OF["_accumulator"]:
            nodes = list(ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())))
            assert not [node for node in nodes if isinstance(node, (ast.AsyncFunctionDef, ast.Await))], module
            names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
            assert not names & {"anyio", "asyncio", "time", "socket", "logging", "threading"}, module
