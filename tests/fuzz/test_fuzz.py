"""The fuzz targets on their corpus, on what once failed, and on some random inputs; and their runner."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import TARGETS
from tests.fuzz.__main__ import CORPUS, random_input
from tests.support.places import ROOT

FAILED: list[tuple[str, bytes]] = [
    ("reader", b'0{"id":"c1","choices":null,"object":"error"}'),  # the error's body had lost its nulls in one way
    ("reader", b'0{"id":"c1","created":NaN}'),
    ("reader", b'0{"choices":[null,{"delta":{}}]}'),
]
"""What the fuzzers once found, by target."""


@pytest.mark.parametrize("target", TARGETS)
def test_corpus(target: str) -> None:
    try_input = importlib.import_module(f"tests.fuzz.{target}").try_input
    for path in sorted(CORPUS.iterdir()):
        for first in b"0\x08\x10\x18 @":
            try_input(bytes([first]) + path.read_bytes()[1:])


@pytest.mark.parametrize(("target", "data"), FAILED)
def test_what_once_failed(target: str, data: bytes) -> None:
    importlib.import_module(f"tests.fuzz.{target}").try_input(data)


@pytest.mark.parametrize("target", TARGETS)
def test_random_inputs(target: str) -> None:
    try_input = importlib.import_module(f"tests.fuzz.{target}").try_input
    dice = random.Random(target)
    bodies = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    for _ in range(100):
        try_input(random_input(dice, bodies))


@pytest.mark.parametrize("without", [False, True])
def test_the_runner(without: bool, tmp_path: Path) -> None:
    """Also where atheris is not installed: it says so, and runs inputs that nothing guides."""
    begin = "import sys; sys.modules['atheris'] = None; " if without else "import sys; "
    code = (
        begin
        + "sys.argv = ['fuzz', 'framing', '--runs', '40']; import runpy; runpy.run_module('tests.fuzz', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    if without:
        assert "atheris is not installed" in done.stdout
    assert "40 runs" in done.stdout + done.stderr
