"""The depth of a plain value."""

from __future__ import annotations

from typing import Any

from .errors import TooDeep


def check_depth(value: Any, limit: int) -> None:
    """Raise `TooDeep` where dicts and lists nest deeper than `limit` in `value`."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            item
            for container in level
            if isinstance(container, (dict, list))
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return
    raise TooDeep
