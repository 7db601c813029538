"""The fast path can be deleted: without its folder, and with one line changed, an accumulator does the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import streamagg
from tests.support.commands import clean
from tests.support.places import ROOT

IMPORT = "from .._fastpath.fastpath import FastPath\n"
"""The one line of the package that names the fast path."""


@pytest.mark.full
def test_the_accumulator_s_tests_pass_without_it(tmp_path: Path) -> None:
    package = tmp_path / "streamagg"
    shutil.copytree(Path(streamagg.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(package / "_fastpath")
    pipeline = package / "_accumulator" / "pipeline.py"
    source = pipeline.read_text()
    assert source.count(IMPORT) == 1
    pipeline.write_text(source.replace(IMPORT, "FastPath = None\n"))

    env = {**clean(), "PYTHONPATH": str(tmp_path)}
    show = [sys.executable, "-c", "import streamagg; print(streamagg.__file__)"]
    seen = subprocess.run(show, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(seen.stdout.strip()).parent == package
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/accumulator", "--full"]
    done = subprocess.run(run, env=env, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
