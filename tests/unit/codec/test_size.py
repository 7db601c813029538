"""The size of a value is bounded below by the memory that it holds."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from streamagg import Accumulator, LimitError, Limits
from streamagg._codec.size import size_of
from tests.support.helpers import chunk


@pytest.mark.parametrize(
    "value",
    [[[]] * 500, [{}] * 500, [""] * 500, [[[[[]]]]] * 100, [{"": {"": {}}}] * 100, [0.5] * 500, [10**4000] * 5, list("中" * 500), {f"{n}": 0 for n in range(500)}],
    ids=lambda value: json.dumps(value)[:12],
)  # fmt: skip
def test_a_unit_of_size_is_at_most_fifty_bytes(value: Any) -> None:
    held: list[int] = []

    def measure(inner: Any) -> None:
        held.append(sys.getsizeof(inner))
        for item in inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else []:
            measure(item)

    accumulator = Accumulator()
    before = accumulator.view.size
    accumulator.add(chunk({"vendor": value}))
    grown = accumulator.view.size - before
    measure(accumulator.snapshot().choices[0].message.extra["vendor"])  # type: ignore[union-attr]
    assert sum(held) <= 50 * grown
    assert size_of(value) <= len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


@pytest.mark.parametrize("empty", ["", [], {}, None, 0])
def test_a_stream_of_nothings_ends(empty: Any) -> None:
    accumulator = Accumulator(limits=Limits(response_size=10_000))
    with pytest.raises(LimitError, match="response_size"):
        for _ in range(10_000):
            accumulator.add(chunk({"annotations": [empty] * 20, "content": "x"}))
