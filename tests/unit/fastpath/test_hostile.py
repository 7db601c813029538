"""What a hostile server can send to the fast path."""

from __future__ import annotations

import tracemalloc

import pytest

from streamagg import (
    Accumulator,
    LimitError,
    StreamAggError,
)
from tests.support.helpers import chunk, outcome, sse
from tests.support.steps import steps_of


def test_a_long_event_costs_no_more_than_its_length() -> None:
    """The search for placeholders once held a hundred times the text."""
    body = sse(chunk({"content": "A" * 2_000_000}, finish="stop"))
    tracemalloc.start()
    try:
        outcome([body])
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body)
    finally:
        tracemalloc.stop()


def test_names_that_occur_often_are_not_all_tried() -> None:
    def run(n: int) -> int:
        body = sse({"zz": [{"content": "a"}] * n, **chunk({"content": "h"})})
        return steps_of(lambda: Accumulator().feed(body))

    run(1)  # what is made once and kept
    assert run(250) <= 2.2 * run(130)


def test_junk_after_a_template_is_read_once() -> None:
    def run(n: int) -> int:
        accumulator = Accumulator()
        accumulator.feed(sse(*[chunk({"content": "a"})] * 3, done=False))
        return steps_of(lambda: accumulator.feed(b"x\n\n" * n))

    assert run(4000) <= 2.2 * run(2000)


DEEP = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize("place", ['"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3%s}', '"zz":%s'])
def test_placeholders_hold_nothing_deep(place: str) -> None:
    plain, deep = (
        (place % "", place % f',"cost":{DEEP[2700:3300]}')
        if "usage" in place
        else (place % "1", place % DEEP[2700:3300])
    )
    begin = 'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"}}],'
    events = [begin + each + "}\n\n" for each in (plain, plain, plain, deep)]
    for slices in ([event.encode() for event in events], ["".join(events).encode()]):
        assert outcome(slices)[1] is LimitError
    with pytest.raises(StreamAggError):
        Accumulator().feed(events[-1].replace(DEEP[2700:3300], DEEP))
