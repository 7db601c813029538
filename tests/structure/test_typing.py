"""The types: mypy strict over the package as it is installed, and over a file of assertions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import streamagg
from tests.support.places import ROOT, TESTS


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows of the standard library after the first run."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.full
@pytest.mark.parametrize(
    "what",
    [
        [f"--config-file={ROOT / 'pyproject.toml'}", "-p", "streamagg"],
        ["--config-file=", str(TESTS / "structure/typing_cases.py")],
    ],
    ids=["package", "users"],
)
def test_mypy(what: list[str], tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", *what]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(streamagg.__file__).parent / "py.typed").is_file()
