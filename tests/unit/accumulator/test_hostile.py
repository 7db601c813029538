"""What a hostile server can send: a fault of the past is a case here for good."""

from __future__ import annotations

import json
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    LimitError,
    Limits,
    SSEDecoder,
    StreamAggError,
    accumulate,
    stream_sync,
)
from tests.support.helpers import chunk, merged, outcome, slicings, sse
from tests.support.steps import steps_of


def test_a_long_event_costs_no_more_than_its_length() -> None:
    """The search for an envelope's holes once held a hundred times the text."""
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


def test_junk_after_an_envelope_is_read_once() -> None:
    def run(n: int) -> int:
        accumulator = Accumulator()
        accumulator.feed(sse(*[chunk({"content": "a"})] * 3, done=False))
        return steps_of(lambda: accumulator.feed(b"x\n\n" * n))

    assert run(4000) <= 2.2 * run(2000)


DEEP = "[" * 3000 + "]" * 3000


@pytest.mark.parametrize("number", ["[" * 2000, "9" * 5000, "\ud800"])
def test_strings_where_numbers_belong(number: str) -> None:
    for item in (
        {"choices": [{"index": number}]},
        {"id": "x", "usage": {"prompt_tokens": number}},
        {"id": "x", "created": number},
    ):
        with pytest.raises(DecodeError):
            Accumulator().add(item)
        with pytest.raises(DecodeError):
            Accumulator().add(json.dumps(item))


@pytest.mark.parametrize("hole", ['"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3%s}', '"zz":%s'])
def test_holes_hold_nothing_deep(hole: str) -> None:
    plain, deep = (
        (hole % "", hole % f',"cost":{DEEP[2700:3300]}') if "usage" in hole else (hole % "1", hole % DEEP[2700:3300])
    )
    begin = 'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a"}}],'
    events = [begin + each + "}\n\n" for each in (plain, plain, plain, deep)]
    for slices in ([event.encode() for event in events], ["".join(events).encode()]):
        assert outcome(slices)[1] is LimitError
    with pytest.raises(StreamAggError):
        Accumulator().feed(events[-1].replace(DEEP[2700:3300], DEEP))


@pytest.mark.parametrize(
    "item", [{"id": "x", "choices": [], "\ud800": 1}, {"choices": [{"index": 0, "delta": {"\ud800": "\ud800"}}]}]
)
def test_surrogates_in_dicts(item: dict[str, Any]) -> None:
    assert json.dumps(merged(item), ensure_ascii=False).encode()
    Accumulator().add(SimpleNamespace(event="\ud800", data=json.dumps(item)))


def test_limits_stay_within_the_stack() -> None:
    with pytest.raises(ValueError, match="depth must be 256 at most"):
        Limits(depth=300)


def test_empty_data_lines_count() -> None:
    with pytest.raises(LimitError):
        Accumulator(limits=Limits(event_bytes=1000)).feed(b"data:\n" * 10_000)
    with pytest.raises(LimitError):
        SSEDecoder(max_event_bytes=1000).feed(b"data:\n" * 10_000)


@pytest.mark.parametrize(
    "grows",
    [
        lambda n: chunk({"annotations": [None] * 50}),
        lambda n: chunk({f"new{n}": ""}),
        lambda n: chunk({f"new{n}": []}),
        lambda n: chunk({"list": [{"index": i + 30 * n} for i in range(30)]}),
        lambda n: chunk({"tool_calls": [{"index": n, "type": "t" * 100}]}),
    ],
)
def test_all_that_grows_has_a_size(grows: Any) -> None:
    accumulator = Accumulator(limits=Limits(response_size=2000, event_bytes=2000))
    with pytest.raises(LimitError, match="response_size"):
        for n in range(1000):
            accumulator.add(grows(n))


def test_size_never_falls_below_what_is_held() -> None:
    accumulator = Accumulator()
    for n in range(20):
        accumulator.add(chunk({"z": [{"index": i} for i in range(30)]}))
        accumulator.add(chunk({"z": n}))
        accumulator.add(chunk({"z": "y" * 500}))
        accumulator.add(chunk({"z": {}}))
        assert 0 < accumulator._merger.size < 200


def test_an_event_that_stands_open_comes_before_stray_lines() -> None:
    one, two = (json.dumps(chunk({"content": text}, finish="stop")) for text in "12")
    for slices in slicings(f"data: {one}\n[DONE]\n\n".encode()):
        assert outcome(slices)[0] == merged(json.loads(one))
    for slices in slicings(f"data: {one}\n{two}\n\n".encode()):
        assert outcome(slices)[0] == merged(json.loads(one))


def test_usage_of_handed_out_chunks_is_apart() -> None:
    report = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    with stream_sync(sse(*[chunk({"content": "a"}, usage=report)] * 3)) as chunks:
        for item in chunks:
            item.usage.total_tokens = 777  # type: ignore[union-attr]
    assert chunks.response().usage.total_tokens == 3  # type: ignore[union-attr]


def test_empty_names_on_continuations() -> None:
    calls = [{"index": 0, "function": {"arguments": "a"}}, {"index": 0, "function": {"name": "", "arguments": "b"}}]
    apart = merged(*(chunk({"tool_calls": [call]}) for call in calls))
    assert apart == merged(chunk({"tool_calls": calls}))


@pytest.mark.anyio
async def test_a_blocking_stream_given_to_the_async_driver() -> None:
    assert (await accumulate(stream_sync(sse(chunk({"content": "a"}))))).text == "a"
