"""How much is tried of what could be tried for ever: `STREAMAGG_EXAMPLES` lowers it where the tests run once more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

ALL = 300
EXAMPLES = int(os.environ.get("STREAMAGG_EXAMPLES", ALL))
"""Of each property."""


def some(values: Sequence[T]) -> Sequence[T]:
    """All of them; or every seventh, where fewer examples are asked for."""
    return values if EXAMPLES >= ALL else values[::7]
