"""When the parts of a stream arrived, by a clock that ticks once whenever it is read."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given

from streamagg import Accumulator, IncompleteStreamError, ProviderError, StreamAggError, Timing, stream, stream_sync
from streamagg._drivers.timing import StreamClock
from tests.support import shared
from tests.support.clock import ticking
from tests.support.helpers import chunk, cut, sse
from tests.support.strategies import CHUNKS, SEED

pytestmark = pytest.mark.anyio

NAMES = ("first_byte", "first_chunk", "first_reasoning", "first_text", "last_text", "last_chunk", "text_rate")


def timed(items: list[Any]) -> Timing:
    """Push items as a driver does: item n, counted from 1, arrives at second n."""
    accumulator, clock = Accumulator(), ticking()
    clock.start()
    for item in items:
        try:
            accumulator.feed(item) if isinstance(item, (bytes, str)) else accumulator.add(item)
        except StreamAggError:
            clock.read(accumulator.view)
            return clock.timing
        clock.read(accumulator.view)
    with suppress(StreamAggError):
        accumulator.finish()
    clock.read(accumulator.view)
    return clock.timing


def literal(items: list[Any]) -> Timing:
    """The same, seen from outside: a snapshot after each item, and a count of the chunks handed out."""
    accumulator = Accumulator()
    chunks: list[Any] = []
    accumulator.deliver = chunks.append
    times: dict[str, float] = {}
    before, lengths, first = 0, [0], None
    for now, item in enumerate([*items, None], 1):
        failed = False
        try:
            if item is None:
                accumulator.finish()
            else:
                accumulator.feed(item) if isinstance(item, (bytes, str)) else accumulator.add(item)
        except IncompleteStreamError:
            pass
        except StreamAggError:
            failed = True
        times.setdefault("first_byte", now)
        response = accumulator.snapshot()
        if response is not None and (len(chunks) > before or (failed and item is not None)):
            times.setdefault("first_chunk", now)
            times["last_chunk"] = now
            if first is None:
                first = next(
                    (index(place, choice) for one in chunks for place, choice in enumerate(one.choices or ())), None
                )
            for choice in response.choices:
                if choice.index == first:
                    if choice.message.reasoning_text:
                        times.setdefault("first_reasoning", now)
                    if len(choice.message.text) != lengths[-1]:
                        lengths.append(len(choice.message.text))
                        times.setdefault("first_text", now)
                        times["last_text"] = now
        before = len(chunks)
        if failed:
            break
    rate = None
    if times.get("last_text", 0) > times.get("first_text", 0):
        rate = max(lengths[-1] - lengths[1], 0) / (times["last_text"] - times["first_text"])
    return Timing(**times, text_rate=rate)


def index(place: int, choice: Any) -> int:
    return place if choice.index is None else choice.index


def test_a_stream() -> None:
    items = [
        b": hello\n\n",
        sse(chunk({"role": "assistant", "content": ""}), done=False),
        sse(chunk({"reasoning_content": "", "content": ""}), done=False),
        sse(chunk({"reasoning_content": "Hm"}), done=False),
        b": still there\n\n",
        sse(chunk({"content": "Hel"}), done=False),
        sse(chunk({"content": "lo"}), done=False),
        sse(chunk({"content": " wor"}), chunk({"content": "ld"}), chunk({"content": ""}), done=False),
        sse(chunk({"content": ""}, finish="stop"), done=False),
        sse({"type": "ping"}, done=False),
        sse(),
    ]
    wanted = Timing(
        first_byte=1, first_chunk=2, first_reasoning=4, first_text=6, last_text=8, last_chunk=9, text_rate=8 / 2
    )  # fmt: skip
    assert timed(items) == wanted
    assert timed([b"".join(items)]) == Timing(
        first_byte=1, first_chunk=1, first_reasoning=1, first_text=1, last_text=1, last_chunk=1
    )  # fmt: skip
    assert msgspec.to_builtins(wanted) == {name: getattr(wanted, name) for name in NAMES}


def test_one_look_at_the_clock_for_each_item() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return float(looks)

    accumulator, times = Accumulator(), StreamClock(clock)
    times.start()
    times.start()
    assert looks == 1
    for n in range(100):
        accumulator.add(chunk({"content": str(n)}))
        times.read(accumulator.view)
        assert times.timing == times.timing
    assert looks == 101


def test_without_a_start_time_runs_from_the_first_item() -> None:
    accumulator, clock = Accumulator(), ticking()
    assert clock.timing == Timing()
    accumulator.feed(b": hi\n\n")
    clock.read(accumulator.view)
    accumulator.add(chunk({"content": "a"}))
    clock.read(accumulator.view)
    assert clock.timing == Timing(first_byte=0, first_chunk=1, first_text=1, last_text=1, last_chunk=1)


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
SILENT = {"type": "thinking", "thinking": []}

STREAMS: dict[str, tuple[list[Any], Timing]] = {
    "nothing": ([], Timing(first_byte=1)),
    "comments alone": ([b": a\n\n"], Timing(first_byte=1)),
    "an error alone": ([{"error": "x"}], Timing(first_byte=1)),
    "an error at the end": (
        [chunk({"content": "a"}), {"error": "x"}],
        Timing(first_byte=1, first_chunk=1, first_text=1, last_text=1, last_chunk=2),
    ),
    "a chunk without choices first": (
        [{"id": "x", "choices": []}, chunk({"content": "a"})],
        Timing(first_byte=1, first_chunk=1, first_text=2, last_text=2, last_chunk=2),
    ),
    "the choice that came first": (
        [chunk(index=1), chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({"content": "c"})],
        Timing(first_byte=1, first_chunk=1, first_text=3, last_text=3, last_chunk=4),
    ),
    "the other reasoning": (
        [chunk({"content": "a"}), chunk({"reasoning": "b"})],
        Timing(first_byte=1, first_chunk=1, first_text=1, last_text=1, first_reasoning=2, last_chunk=2),
    ),
    "parts": (
        [
            chunk({"content": [SILENT]}), chunk({"content": [THINKING]}), chunk({"content": [THINKING]}),
            chunk({"content": [{"type": "text", "text": "ab"}, {"type": "image_url", "text": "c"}, 5]}),
            chunk({"content": "de"}), chunk({"content": "f"}), chunk(finish="stop"),
        ],
        Timing(first_byte=1, first_chunk=1, first_reasoning=2, first_text=4, last_text=6, last_chunk=7, text_rate=1.5),
    ),
    "text that becomes parts": (
        [chunk({"content": "ab"}), chunk({"content": [{"type": "text", "text": "cd"}]}), chunk({"content": [THINKING]})],
        Timing(first_byte=1, first_chunk=1, first_text=1, last_text=2, first_reasoning=3, last_chunk=3, text_rate=2),
    ),
    "messages": (
        [
            {"id": "x", "choices": [{"message": message}]}
            for message in ({}, {"content": "a"}, {"content": "ab", "reasoning": "c"}, {"content": "ab", "refusal": "d"})
        ],
        Timing(first_byte=1, first_chunk=1, first_text=2, first_reasoning=3, last_text=3, last_chunk=4, text_rate=1),
    ),
    "a message, then deltas": (
        [{"id": "x", "choices": [{"message": {"content": "abcd"}}]}, chunk({"content": "d"}), chunk({"content": "ef"})],
        Timing(first_byte=1, first_chunk=1, first_text=1, last_text=3, last_chunk=3, text_rate=0),
    ),
    "many fragments": (
        [chunk({"content": "ab"}) for _ in range(500)],
        Timing(first_byte=1, first_chunk=1, first_text=1, last_text=500, last_chunk=500, text_rate=2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_kinds_of_streams(kind: str) -> None:
    items, wanted = STREAMS[kind]
    assert timed(items) == wanted
    assert timed([item if isinstance(item, bytes) else sse(item, done=False) for item in items]) == wanted


@pytest.mark.sampled(10)
@shared.needs_shared
@pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))
def test_every_recording_as_seen_from_outside(row: dict[str, Any]) -> None:
    body = shared.body(row["name"])
    ways = [cut(body, random.Random(1)), [body]]
    if len(body) <= 30_000:  # a snapshot after every line costs the square of the length
        ways.append(body.splitlines(keepends=True))
    for items in ways:
        assert timed(items) == literal(items)


@given(CHUNKS, SEED)
def test_every_stream_as_seen_from_outside(chunks: list[Any], seed: int) -> None:
    for items in (chunks, cut(sse(*chunks), random.Random(seed))):
        timing, wanted = timed(items), literal(items)
        assert timing == wanted


class TestDrivers:
    async def test_timing_of_a_stream(self) -> None:
        items = [b": hi\n\n", sse(chunk({"content": "a"}), done=False), sse(chunk(finish="stop"))]
        wanted = Timing(first_byte=1, first_chunk=2, first_text=2, last_text=2, last_chunk=3)
        async with stream(items) as chunks:
            assert chunks.timing == Timing()
        async with stream(items) as chunks:
            chunks._clock = ticking()
            chunks._clock.start()
            await anext(chunks)
            assert chunks.timing == Timing(first_byte=1, first_chunk=2, first_text=2, last_text=2, last_chunk=2)
            async for _ in chunks:
                pass
            assert chunks.timing == wanted
        for read in (iter, lambda sync: sync.events(), lambda sync: sync.text()):
            sync = stream_sync(items)
            sync._clock = ticking()
            assert [*read(sync)]
            assert sync.timing == wanted

    async def test_time_runs_from_the_entering(self) -> None:
        for enter in (True, False):
            sync = stream_sync([chunk({"content": "a"}, finish="stop")])
            sync._clock = ticking()
            if enter:
                with sync:
                    assert [*sync]
            else:
                assert [*sync]
            assert sync.timing.first_text == 1

    async def test_what_an_item_brought_before_its_error_counts(self) -> None:
        chunks = stream([sse(chunk({"content": "a"}), {"error": "x"})])
        chunks._clock = ticking()
        with pytest.raises(ProviderError):
            async for _ in chunks:
                pass
        assert chunks.timing == Timing(first_byte=1, first_chunk=1, first_text=1, last_text=1, last_chunk=1)

    async def test_a_last_event_without_its_blank_line_counts_at_the_end(self) -> None:
        sync = stream_sync([sse(chunk({"content": "a"}), done=False), sse(chunk(finish="stop"), done=False)[:-1]])
        sync._clock = ticking()
        assert [*sync]
        assert sync.timing == Timing(first_byte=1, first_chunk=1, first_text=1, last_text=1, last_chunk=3)
