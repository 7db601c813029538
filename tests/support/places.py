"""Where the files lie that tests read."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
"""The repository, or the folder that the tests were copied to beside its README."""
DATA = TESTS / "data"
EXAMPLES = TESTS / "examples"
