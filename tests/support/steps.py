"""Counts what Python does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def steps_of(action: Callable[[], object]) -> int:
    """How many lines of Python run: a clock would measure the machine."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count
