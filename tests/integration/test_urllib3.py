"""requests and urllib3 on urllib3 itself.

niquests brings urllib3-future, which installs itself under the name `urllib3`, and so the other tests ran on
that, as a user's program would that has niquests too. Here the real one comes first on the path, from a folder
of its own; niquests then uses its `urllib3_future`, and all three are tested beside each other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from tests.support.places import ROOT

TESTS = [f"tests/integration/test_{name}.py" for name in ("clients", "live", "http_bodies")]
WANTED = "(requests or urllib3 or niquests) and not uvloop and not trio"


@pytest.mark.full
@pytest.mark.skipif(
    int(urllib3.__version__.split(".")[-1]) < 900,  # by this niquests tells them apart
    reason="urllib3 is itself here, and all tests ran on it",
)
def test_clients_on_urllib3_itself(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("urllib3")
    if not (folder / "urllib3").is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "urllib3"]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"urllib3 cannot be installed here: {done.stderr.strip()[-300:]}")
    env = {**os.environ, "PYTHONPATH": str(folder)}
    seen = subprocess.run(
        [sys.executable, "-c", "import niquests, requests, urllib3; print(urllib3.__file__)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(seen.stdout.strip()).is_relative_to(folder)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", WANTED, "--full"]
    done = subprocess.run(run, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
