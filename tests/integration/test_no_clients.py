"""The package needs no client: a new environment, with its dependencies alone, passes `no_clients.py`."""

from __future__ import annotations

import subprocess
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tests.support.commands import clean
from tests.support.places import TESTS

NEEDED = ("streamagg", "msgspec", "anyio", "idna", "typing_extensions", "sniffio", "exceptiongroup")
"""The package, its dependencies, and theirs, some of which only older versions have."""


def test_a_new_environment_without_any_client(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    for name in NEEDED:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for entry in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (packages / entry).symlink_to(distribution(name).locate_file(entry))
    script = TESTS / "support/no_clients.py"
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-W", "error", script], capture_output=True, text=True, timeout=60, env=clean()
    )
    assert done.stdout == "works without any client\n", done.stderr
    assert not done.stderr
