"""What a stream may make its reader hold: measured, as the limits promise, to one read more than they allow."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from streamagg import Accumulator, LimitError, Limits, SSEDecoder
from tests.support.helpers import chunk, so_far, sse

READ = 65_536
MIB = 2**20
HEAD = json.dumps(chunk({"content": ""}))[: -len('"}, "finish_reason": null}]}')].encode()


def peak(reads: Iterator[bytes], push: Callable[[bytes], Any]) -> tuple[int, LimitError]:
    """The most memory held while reading up to the error, in bytes, beside the read in hand."""
    push(next(reads))
    tracemalloc.start()
    try:
        with pytest.raises(LimitError) as caught:
            for read in reads:
                push(read)
        return tracemalloc.get_traced_memory()[1], caught.value
    finally:
        tracemalloc.stop()


ENDLESS: dict[str, bytes] = {
    "one text": b"x" * READ,
    "one text with escapes": b"\\n" * (READ // 2),
    "data lines": b"\ndata: " + b"x" * (READ - 7),
    "empty data lines": b"\ndata:" * (READ // 6),
    "short data lines": b"\ndata:xy" * (READ // 8),
    "other fields": b"\nid: " + b"x" * (READ - 5),
    "an event's type": b"\nevent: " + b"x" * (READ - 8),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("reader", ["accumulator", "decoder"])
def test_an_event_without_end(kind: str, reader: str) -> None:
    """A limit of a megabyte, fed in reads of 64 KiB, is passed by one of them at most."""
    accumulator = Accumulator(limits=Limits(event_bytes=MIB))
    decoder = SSEDecoder(max_event_bytes=MIB)
    reads = chain([b"data: " + HEAD], repeat(ENDLESS[kind]))
    if kind in ("other fields", "an event's type"):  # each replaces the one before: no more than one is ever held
        reads = chain([b"data: " + HEAD], repeat(ENDLESS[kind], 200), [b"\ndata: "], repeat(b"x" * READ))
    held, error = peak(reads, accumulator.feed if reader == "accumulator" else decoder.feed)
    assert error.limit == "event_bytes"
    assert held < 2 * MIB + 24 * READ  # the lines of one read are objects for a while
    assert error.partial is None


@pytest.mark.full
def test_a_line_that_is_no_field_has_the_limit_too() -> None:
    for read in (b"x" * READ, b"<p>\n" * (READ // 4)):
        held, error = peak(repeat(read), Accumulator(limits=Limits(event_bytes=MIB)).feed)
        assert error.limit == "event_bytes"
        assert held < 2 * MIB + 60 * READ  # as is each StrayLine


@pytest.mark.sampled(5)
@pytest.mark.parametrize("kind", ["text", "arguments", "reasoning", "vendor", "items", "long"])
@pytest.mark.parametrize("way", ["feed", "feed many", "add"])
def test_a_response_without_end(kind: str, way: str) -> None:
    """Text costs its length and what waits to be joined; the partial is there, and as large as the limit lets it be."""
    piece = "x" * (64 if kind != "long" else 30_000)
    delta: dict[str, Any] = {
        "text": {"content": piece},
        "long": {"content": piece},
        "reasoning": {"reasoning_content": piece},
        "arguments": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": piece}}]},
        "vendor": {"vendor": piece},
        "items": {"reasoning_details": [{"index": 0, "type": "t", "text": piece}]},
    }[kind]
    accumulator = Accumulator(limits=Limits(response_size=MIB // 4))
    one = chunk(delta)
    body = sse(one, done=False)
    if way == "add":
        held, error = peak(repeat(one), accumulator.add)  # type: ignore[arg-type]
    else:
        held, error = peak(repeat(body if way == "feed" else body * max(1, READ // len(body))), accumulator.feed)
    assert error.limit == "response_size"
    assert held < 2 * MIB
    assert error.partial is not None
    size = len(error.partial.to_json())
    assert MIB // 4 - 2 * READ < size < MIB // 4 + 1000
    with pytest.raises(LimitError) as again:
        accumulator.feed(b"x")
    assert again.value is error


@pytest.mark.parametrize("limit", ["choices", "tool_calls", "depth"])
def test_at_once(limit: str) -> None:
    """The event that passes a bound is refused whole, in the call that completes it."""
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    items: list[Any] = {
        "choices": [chunk({"content": "a"}, index=n) for n in range(20)],
        "tool_calls": [chunk({"tool_calls": [{"index": n, "id": str(n)}]}) for n in range(20)],
        "depth": [chunk({"content": "a"})] * 9 + [chunk({"content": "a"}, vendor=deep)],
    }[limit]
    bound = {"choices": 10, "tool_calls": 10, "depth": 30}[limit]
    for add in (False, True):
        accumulator = Accumulator(limits=Limits(**{limit: bound}))
        with pytest.raises(LimitError, match=f"{limit}={bound}") as caught:
            for item in items:
                before = accumulator.snapshot()
                accumulator.add(item) if add else accumulator.feed(sse(item, done=False))
        assert accumulator.events == (10 if limit == "depth" else 11)
        assert caught.value.partial == before == accumulator.snapshot()


def test_repairs_hold_no_more_for_more_of_them() -> None:
    accumulator = Accumulator()
    accumulator.add({"id": "x", "choices": [{"delta": {}}]})
    tracemalloc.start()
    try:
        for n in range(2000):
            accumulator.add({"id": f"y{n}", "choices": [{"delta": {}}]})
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert accumulator.repairs["id_changed"] == 2000
    assert held < 20_000


@pytest.mark.parametrize("form", [json.dumps, lambda item: json.dumps(item).encode(), lambda item: item])
def test_what_is_added_has_the_limit_of_an_event(form: Callable[[Any], Any]) -> None:
    accumulator = Accumulator(limits=Limits(event_bytes=300))
    accumulator.add(form(chunk({"content": "x" * 50})))
    with pytest.raises(LimitError, match="event_bytes=300"):
        accumulator.add(form(chunk({"content": "x" * 300})))
    assert so_far(accumulator) == "x" * 50
