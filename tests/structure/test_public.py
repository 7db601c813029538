"""The public face: its names, and what importing it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import streamagg
from tests.support.commands import clean


def test_all_is_complete() -> None:
    public = {
        name
        for name, value in vars(streamagg).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert set(streamagg.__all__) == public
    assert len(streamagg.__all__) == len(set(streamagg.__all__))


def test_everything_public_has_a_docstring() -> None:
    for name in streamagg.__all__:
        value = getattr(streamagg, name)
        if not inspect.isclass(value) and not inspect.isfunction(value):
            continue
        assert value.__doc__, name
        if inspect.isclass(value):
            for member, item in vars(value).items():
                if not member.startswith("_") and (inspect.isfunction(item) or isinstance(item, property)):
                    assert item.__doc__ or name.endswith("Stream"), f"{name}.{member}"


def test_importing_loads_nothing_heavy() -> None:
    if "coverage" in sys.modules:
        pytest.skip("coverage, which loads more, follows into child processes")
    code = "import sys, streamagg; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {
        "asyncio",
        "anyio",
        "trio",
        "argparse",
        "multiprocessing",
        "rich",
        "httpx",
        "aiohttp",
        "requests",
        "openai",
        "pydantic",
        "json",
        "ssl",
        "pyarrow",
    }
    assert not loaded & heavy


def test_importing_is_quick() -> None:
    """Under 25 ms beyond msgspec, counted in modules: a clock would measure the machine."""
    if "coverage" in sys.modules:
        pytest.skip("coverage, which loads more, follows into child processes")
    code = "import sys, msgspec, typing, re; before = set(sys.modules); import streamagg; print(*sys.modules.keys() - before)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean()
    ).stdout.split()
    assert len([name for name in loaded if not name.startswith("streamagg")]) < 25, loaded
