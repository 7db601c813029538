"""Chunks that cost their square in any merge that looks back: counted in steps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from streamagg import Accumulator, Limits
from tests.support.helpers import calls_chunk, chunk, details_chunk, fragment, sse
from tests.support.steps import steps_of

ROOM = Limits(tool_calls=10**6)
TRAPS: dict[str, tuple[Callable[[int], list[Any]], dict[str, Any]]] = {
    "items of one index with other ids": (lambda n: [details_chunk({"index": 0, "id": str(i)}) for i in range(n)], {"limits": ROOM}),
    "items of one index that continue the first": (
        lambda n: [details_chunk({"index": 0, "id": str(i)}) for i in range(n)] + [details_chunk({"index": 0, "id": "0"})] * n,
        {"limits": ROOM},
    ),
    "items at the limit": (lambda n: [details_chunk(*({"index": i} for i in range(40)))] * n, {"limits": Limits(tool_calls=1)}),
    "a vendor's counter more at each report": (
        lambda n: [chunk({"content": "a"}, usage={"prompt_tokens": 1, f"k{i}": i}) for i in range(n)], {},
    ),
    "a vendor's counter more at each increment": (
        lambda n: [chunk({"content": "a"}, usage={"prompt_tokens": 9})] + [chunk({"content": "a"}, usage={f"k{i}": {"n": i}}) for i in range(n)], {},
    ),
    "a vendor's counter more, summed": (lambda n: [chunk({"content": "a"}, usage={f"k{i}": i}) for i in range(n)], {"usage": "sum"}),
    "two fragments a chunk when strict": (
        lambda n: [calls_chunk(fragment(i, id=f"i{i}")) for i in range(n)] + [calls_chunk(fragment(0), fragment(1))] * n, {"strict": True, "limits": ROOM},
    ),
    "two fragments a chunk at the limit": (
        lambda n: [calls_chunk(fragment(i)) for i in range(300)] + [calls_chunk(fragment(0, "f"), fragment(1))] * n, {"limits": Limits(tool_calls=301)},
    ),
    "two named fragments a chunk when strict": (
        lambda n: [calls_chunk(*({"index": k, "function": {"name": f"{k}{i}"}} for k in (0, 1))) for i in range(n)], {"strict": True},
    ),
    "one chunk of many fragments": (lambda n: [calls_chunk(*[fragment(0, "f")] * n)], {"limits": Limits(tool_calls=1)}),
    "fields of a call": (lambda n: [calls_chunk({"index": 0, f"k{i}": 1}, {"index": 1}) for i in range(n)], {"strict": True}),
}  # fmt: skip


@pytest.mark.sampled(11)
@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("way", ["feed", "add"])
@pytest.mark.parametrize("trap", TRAPS)
def test_steps_of_hostile_streams_grow_linearly(trap: str, way: str) -> None:
    make, options = TRAPS[trap]

    def run(count: int) -> int:
        chunks = make(count)
        accumulator = Accumulator(**options)

        def push() -> None:
            for each in chunks:
                if way == "add":
                    accumulator.add(each)
                else:
                    accumulator.feed(sse(each, done=False))
            accumulator.snapshot()

        return steps_of(push)

    run(1)
    least = run(0)  # what comes before the part that grows
    steps = [run(count) - least for count in (150, 300, 600)]
    assert all(more <= 2.2 * less for less, more in pairwise(steps)), steps
