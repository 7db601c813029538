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
        "_interop": "the types of other libraries, imported only when asked for",
        "_answers": "what a source tells of the HTTP answer behind it, by its shape",
    },
    {
        "_sse": "bytes to server-sent events, by the WHATWG rules; knows no JSON",
        "_struct": "what all wire structs share: `extra`, and the way back to plain data",
        "_parse": "text as a value of the type that the caller names",
        "_partial": "JSON text that is still being written",
    },
    {
        "_lenient": "the tolerant way to read: nearly JSON, nearly the struct",
        "_values": "merging, measuring and copying of values whose fields no type knows",
    },
    {
        "_message": "the structs of what the model said, and their typed reading",
        "_plain": "any client's object as plain data, by its shape",
    },
    {
        "_response": "the structs of what goes out",
        "_items": "lists whose items have an index",
        "_content": "content as text or parts",
    },
    {
        "_chunk": "the structs of what comes in",
        "_events": "the structs of what `events()` tells",
        "_usage": "merges usage reports",
    },
    {
        "_reader": "one payload to one chunk: strict first, tolerant second",
        "_slots": "tool calls from fragments",
        "_rules": "the merge table",
        "_holes": "where the events of a stream differ",
        "_otel": "OpenTelemetry's names for what a response says",
        "_replay": "a response as the stream that a server would have sent",
    },
    {
        "_said": "what a message says, and what there is of a call",
        "_choice": "one choice that is being put together",
    },
    {"_merge": "merges chunks into one response; knows no bytes", "_stamp": "chunks made from one like them"},
    {"_envelope": "the fast path: changes no result", "_payloads": "what payloads look like"},
    {"_envelopes": "the fast path at work"},
    {"_reading": "the state of one stream, and what changes it"},
    {"_accumulator": "bytes or chunks in, response out; awaits nothing, reads no clock"},
    {
        "_telling": "chunks in, events out: what each changed of the response",
        "_timing": "when the parts of a stream arrived; reads the clock",
        "_refusal": "the error of an answer with an error status",
        "_files": "files, pipes and paths as iterators of what is there",
    },
    {"_sources": "any source as an iterator, by its shape; imports no client library"},
    {"_session": "one stream and the options of its driver"},
    {
        "_tap": "what passes through untouched, and is read on the way",
        "_wrapped": "what the two stream wrappers share",
    },
    {"_stream": "a source's chunks or events as they come"},
    {"_accumulate": "a source's one response"},
    {"_many": "many streams at once"},
    {"__init__": "the public names"},
    {"_rows": "one stream to one row of a table"},
    {"arrow": "columns of recordings to columns of responses"},
    {"_batch_files": "recordings in files and in lines of JSON"},
    {"_batch_plan": "the inputs of a batch, cut into tasks", "_batch_totals": "what streams came to, counted"},
    {"_batch_read": "the recordings of a task as record batches"},
    {"_batch_work": "one task: recordings in, one part of the output on disk"},
    {"_batch_parts": "the parts of an output, and what is done already", "_batch_engines": "what runs the tasks"},
    {"batch": "the command `streamagg batch`"},
    {"_cli._inputs": "the inputs that arguments stand for", "_cli._terminal": "what goes out, escaped"},
    {
        "_cli._report": "one input to what it came to",
        "_cli._live": "what is shown while a stream is read",
        "_cli._progress": "how far the reading of many inputs is",
        "_cli._options": "the arguments of the command line",
    },
    {"_cli._jobs": "many inputs, read by several processes", "_cli._summary": "what all inputs came to"},
    {
        "_cli": "the command line, on the public names alone",
        "_exchange": "a request and its response on their way, on the public names alone",
    },
    {"__main__": "python -m streamagg", "asgi": "the middleware"},
]

FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def path_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[1:] and parts[-1] == "__init__" else parts)


OPTIONAL = FLOORS[FLOOR_OF["_rows"] : FLOOR_OF["_cli._inputs"]]
"""What needs an extra: built on the public names, and reached by nothing else but lazily."""


def imports_of(module: str) -> set[str]:
    """The modules of the package that a module imports, at its top or anywhere inside."""
    found = set()
    around = f"{module.split('.')[0]}." if path_of(module).parent != PACKAGE else ""
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {f"{around if node.level == 1 else ''}{name}" for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "streamagg":
            found.add((node.module or "").partition(".")[2] or "__init__")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "streamagg"]
            found |= {name.partition(".")[2] or "__init__" for name in names}
    return found


def type_checking_only(module: str) -> set[str]:
    """What a module imports for annotations alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= {item.module or "" for item in node.body if isinstance(item, ast.ImportFrom)}
    return found


def test_every_module_has_a_floor() -> None:
    assert {module_of(path) for path in PACKAGE.rglob("*.py")} == set(FLOOR_OF)


def test_no_import_runs_up() -> None:
    up = [
        f"{module} -> {imported}"
        for module in FLOOR_OF
        for imported in imports_of(module) - type_checking_only(module)
        if FLOOR_OF[imported] >= FLOOR_OF[module]
    ]
    assert not up


def test_the_command_line_is_built_on_the_public_names() -> None:
    for module in FLOOR_OF:
        if module.split(".")[0] == "_cli":
            private = {name for name in imports_of(module) if name.startswith("_") and name.split(".")[0] != "_cli"}
            assert private <= {"__init__"}, module


def test_what_needs_an_extra_stands_on_the_public_names() -> None:
    optional = {module for floor in OPTIONAL for module in floor}
    for module in optional:
        assert imports_of(module) <= {*optional, "__init__"}, module
    for module in FLOOR_OF.keys() - optional:
        at_the_top = ast.parse(path_of(module).read_text()).body
        assert not {node.module for node in at_the_top if isinstance(node, ast.ImportFrom)} & optional, module


def test_framing_and_merging_do_not_know_each_other() -> None:
    def reached(module: str) -> set[str]:
        return {module}.union(*(reached(imported) for imported in imports_of(module) - type_checking_only(module)))

    assert "_sse" not in reached("_merge")
    assert not reached("_sse") & {"_merge", "_reader", "_chunk", "_response"}


def test_the_drivers_alone_await_and_read_the_clock() -> None:
    for module, floor in FLOOR_OF.items():
        if floor <= FLOOR_OF["_accumulator"]:
            nodes = list(ast.walk(ast.parse(path_of(module).read_text())))
            assert not [node for node in nodes if isinstance(node, (ast.AsyncFunctionDef, ast.Await))], module
            names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
            assert not names & {"anyio", "asyncio", "time", "socket", "logging", "threading"}, module
