"""An open stream holds no dict of attributes: ten thousand of them are open at once in a gateway."""

from __future__ import annotations

import gc
from typing import Any

from streamagg import Accumulator, Limits
from streamagg._accumulator.pipeline import Pipeline
from tests.support.helpers import chunk, sse

AN_EVENT = sse(chunk({"content": "a"}, id="a", model="m"), done=False)


def parts_of(value: Any, seen: dict[int, Any]) -> None:
    """All objects of this package that an object holds, by identity."""
    if id(value) in seen or isinstance(value, type):
        return
    seen[id(value)] = value
    for part in gc.get_referents(value):
        if type(part).__module__.startswith("streamagg") or type(part) in (tuple, list, dict):
            parts_of(part, seen)


def an_open_stream() -> Accumulator:
    accumulator = Accumulator()
    for n in range(100):
        delta = {"content": f"word{n}", **({"role": "assistant"} if n == 0 else {})}
        accumulator.feed(sse(chunk(delta, id="a", model="m"), done=False))
    return accumulator


def test_no_part_of_an_open_stream_has_a_dict() -> None:
    seen: dict[int, Any] = {}
    parts_of(an_open_stream(), seen)
    kinds = {type(part) for part in seen.values() if type(part).__module__.startswith("streamagg")}
    assert len(kinds) > 6
    assert {kind.__name__ for kind in kinds if hasattr(kind, "__dictoffset__") and kind.__dictoffset__} == set()


def test_no_chunk_outlives_its_merge() -> None:
    pipeline = Pipeline(usage="auto", strict=False, limits=Limits())
    for _ in range(100):
        pipeline.feed(AN_EVENT)
    head = pipeline.merger._head
    assert head is not None
    assert head.choices is None
    assert head.usage is None
