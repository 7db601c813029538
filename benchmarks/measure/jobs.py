"""Runs one part of the suite in a process of its own: `python -m benchmarks.measure.jobs PART ARGUMENTS RESULT`."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .child import Failed

_ROOT = Path(__file__).parents[2]


def call(part: str, **arguments: Any) -> Any:
    """What `benchmarks.parts.PART.run(**arguments)` returns, run in a new process; both must be JSON."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "benchmarks.measure.jobs", part, json.dumps(arguments), str(result)]
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if not result.exists():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
            raise Failed(lines[-1][:200])
        return json.loads(result.read_text())


def main() -> None:
    part, arguments, result = sys.argv[1:]
    module = importlib.import_module(f"benchmarks.parts.{part}")
    Path(result).write_text(json.dumps(module.run(**json.loads(arguments))))


if __name__ == "__main__":
    main()
