"""Which jobs the batch part consists of. They stand apart, since `batch` imports pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..libraries import LIBRARIES

SIZES = (2_000, 20_000, 100_000)
QUICK_SIZES = (200,)
OTHERS = ("json", "orjson", "openai-state")

Row = dict[str, Any]


def jobs(*, quick: bool) -> Iterator[tuple[str, str, Row]]:
    """Each part: its name, the distribution that it needs beside streamagg, and its arguments."""
    sizes = QUICK_SIZES if quick else SIZES
    yield "stages", "pyarrow", {}
    for size in sizes:
        yield "growth", "rich", {"size": size}
    yield "cores", "rich", {"size": sizes[-1]}
    yield "cluster", "ray", {"size": sizes[-1]}
    for library in OTHERS:
        yield "others", LIBRARIES[library].distribution or "pyarrow", {"library": library}
