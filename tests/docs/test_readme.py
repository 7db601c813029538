"""The README: its code runs, its tables are those of the code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from streamagg import REPAIRS, Limits
from streamagg._merge.rules import CHOICE, CHUNK, DELTA
from tests.support.helpers import RAY_ALONE
from tests.support.places import ROOT

ENGINES = ("pyarrow", "duckdb", "polars", "ray", "daft", "pyspark")  # each an extra, or no part of one
README = (ROOT / "README.md").read_text()
BLOCKS = [(match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)]
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [
    line for language, code in BLOCKS if language == "console" for line in code.splitlines() if line.startswith("$ ")
]


def test_every_block_is_closed() -> None:
    """A block that is left open swallows what follows it, and no test sees that."""
    fences = re.findall(r"^```(\w*)$", README, re.MULTILINE)
    assert all(fences[0::2])
    assert not any(fences[1::2])


def test_figures_are_those_that_were_measured() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    tables = [block for block in README.split("\n\n") if block.startswith(("|  | a whole body", "|  | text |"))]
    (hour,) = re.findall(r"^In an hour one core .*? GB\.", README, re.MULTILINE)
    for measured in (*tables, hour):
        assert measured in results
    assert len(tables) == 2


NUMBERS = [
    pytest.param(number, marks=[pytest.mark.full] if "import ray" in code else []) for number, code in enumerate(PYTHON)
]
"""Of the blocks; a Ray cluster takes long to start."""


@pytest.mark.parametrize("number", NUMBERS)
def test_code_block_runs(number: int, tmp_path: Path) -> None:
    for module in re.findall(r"^(?:import|from) (\w+)", PYTHON[number], re.MULTILINE):
        if module in ENGINES:
            pytest.importorskip(module, reason=f"needs {module}")
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    if "recordings.parquet" in PYTHON[number]:
        write_recordings(tmp_path / "recordings.parquet")
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as short:  # as its sockets need
        alone = {**RAY_ALONE, "RAY_TMPDIR": short, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
        done = subprocess.run(
            [sys.executable, "-c", PYTHON[number]],
            cwd=tmp_path,
            env={**os.environ, **alone},
            capture_output=True,
            text=True,
            timeout=400,  # a Ray cluster starts in a minute where nothing else runs
        )
    assert done.returncode == 0, done.stderr
    for line in re.findall(r"  # prints: (.*)$", PYTHON[number], re.MULTILINE):
        assert line in done.stdout, done.stdout


def write_recordings(path: Path) -> None:
    """What the examples of engines read."""
    import pyarrow
    import pyarrow.parquet

    body = (ROOT / "tests" / "data" / "weather.sse").read_bytes()
    pyarrow.parquet.write_table(pyarrow.table({"user": ["ada", "bob"], "body": [body, None]}), path)


def test_every_column_is_in_the_readme() -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `arrow`")
    from streamagg.arrow import SCHEMA

    names = [name for row in table_after("## Tables") for name in re.findall(r"`(\w+)`", row[0])]
    kinds = [row[1] for row in table_after("## Tables") for _ in re.findall(r"`\w+`", row[0])]
    assert names == SCHEMA.names
    shown = {"string": "large_string", "list of string": "list<item: large_string>"}
    for name, kind in zip(names, kinds, strict=True):
        found = str(SCHEMA.field(name).type)
        assert found == shown.get(kind, kind) or (kind == "list of struct" and found.startswith("list<item: struct<"))


@pytest.mark.anyio
async def test_examples_with_clients() -> None:
    """The functions of the README that ask a server, asking one."""
    names: dict[str, Any] = {}
    exec(next(code for code in PYTHON if "async def ask(" in code), names)
    body = (ROOT / "tests" / "data" / "weather.sse").read_bytes()
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, content=body)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
        request = {"model": "m", "messages": []}
        for response in (
            await names["ask"](client, request),
            await names["ask_openai"](
                openai.AsyncOpenAI(api_key="k", base_url="http://test", http_client=client), request
            ),
        ):
            assert response.usage.total_tokens == 139
        exec(next(code for code in PYTHON if "async def ask_all(" in code), names)
        assert (await names["ask_all"](client, [request] * 3)).total_tokens == 3 * 139
    assert [item.get("stream_options") for item in asked] == [{"include_usage": True}] * 5


def test_there_is_code_to_run() -> None:
    assert len(PYTHON) >= 5


def outputs() -> list[tuple[str, str]]:
    """The commands of the README that run the program, with the output shown below them."""
    shown = []
    for language, code in BLOCKS:
        if language == "console":
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", code, re.MULTILINE):
                if command.startswith("streamagg") and output:
                    shown.append((command, output))
    return shown


@pytest.mark.parametrize(("command", "output"), outputs(), ids=[command for command, _ in outputs()])
def test_command_prints_what_is_shown(command: str, output: str) -> None:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, env=env)
    assert done.stdout + done.stderr == output


def table_after(heading: str) -> list[list[str]]:
    """The rows of the first table after a heading."""
    section = README.split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table[0].splitlines()[2:]]


def test_every_field_of_the_merge_table_is_in_the_readme() -> None:
    section = README.split("\n## How fields merge\n", 1)[1].split("\n## ", 1)[0]
    missing = [name for table in (CHUNK, CHOICE, DELTA) for name in table if f"`{name}`" not in section]
    assert not missing


def test_every_repair_and_limit_is_in_the_readme() -> None:
    assert {row[0].strip("`") for row in table_after("## Repairs")} == set(REPAIRS)
    assert {row[0].strip("`") for row in table_after("## Limits")} == set(Limits.__struct_fields__)
    for name, default in ((row[0].strip("`"), row[1]) for row in table_after("## Limits")):
        assert f"{getattr(Limits(), name):,}" == default


def test_ci_runs_the_commands_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    for command in SHELL:
        if "pip install" in command or "pytest" in command:
            assert command.removeprefix("$ ") in ci
