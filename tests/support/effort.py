"""How much a run of the tests tries: `pytest` ends within two minutes, `pytest --full` runs every test.

1. `EXAMPLES` is the number of examples of each property.
2. `some` gives the positions of a recording at which a test cuts it, or some of them.
3. `@pytest.mark.full` marks a test that only `--full` runs.
4. `@pytest.mark.sampled(step)` marks a test of which only each step-th case runs without `--full`.

The environment variable `STREAMAGG_EXAMPLES` lowers 1 and 2 of a full run, for the second Python and those after it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

ALL = 300
EXAMPLES = 20
"""Set before any test is collected."""
_step = 61


def begin(*, full: bool) -> None:
    """Say how much this run tries."""
    global EXAMPLES, _step
    if full:
        EXAMPLES = int(os.environ.get("STREAMAGG_EXAMPLES", ALL))
        _step = 1 if EXAMPLES >= ALL else 7


def some(values: Sequence[T]) -> Sequence[T]:
    """All of them in a full run, else some."""
    return values[::_step]


def part_of(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The items that run without `--full`, and the others."""
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    cases: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0]
        mark = item.get_closest_marker("sampled")
        is_kept = item.get_closest_marker("full") is None and (mark is None or cases[name] % mark.args[0] == 0)
        (kept if is_kept else left).append(item)
        cases[name] += 1
    return kept, left
