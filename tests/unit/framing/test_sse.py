"""`SSEDecoder` against the WHATWG rules: every rule here, and every shared vector, in every slicing."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    LimitError,
    ServerSentEvent,
    SSEDecoder,
    StreamAggError,
)
from streamagg._framing.sse import Framer, StrayLine
from tests.support import shared
from tests.support.helpers import cut
from tests.support.steps import steps_of


def read(slices: list[bytes], *, flush: bool = False, seed: str = "") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    decoder = SSEDecoder(last_event_id=seed, flush=flush)
    events = [event for piece in slices for event in decoder.feed(piece)] + decoder.finish()
    rows = [{"event": e.event, "data": e.data, "id": e.id, "retry": e.retry} for e in events]
    return rows, {"last_event_id": decoder.last_event_id, "reconnection_time": decoder.retry}


def every_slicing(data: bytes) -> list[list[bytes]]:
    whole_and_bytes = [[data], [data[place : place + 1] for place in range(len(data))]]
    two_way = [[data[:place], data[place:]] for place in range(len(data))]
    dice = random.Random(len(data))
    with_empties = [[piece for byte in whole_and_bytes[1] for piece in (byte, b"")]]
    return whole_and_bytes + two_way + with_empties + [cut(data, dice) for _ in range(10)]


@pytest.mark.sampled(5)
@shared.needs_shared
@pytest.mark.parametrize("flush", [False, True], ids=["strict", "flush"])
@pytest.mark.parametrize("vector", shared.SSE_VECTORS, ids=shared.ids(shared.SSE_VECTORS))
def test_vector(vector: dict[str, Any], flush: bool) -> None:
    wanted = vector.get("expected_flush_at_eof", vector["expected"]) if flush else vector["expected"]
    for slices in every_slicing(shared.decoded(vector)):
        got = read(slices, flush=flush, seed=vector.get("seed_last_event_id", ""))
        assert got == (wanted, vector["final_state"]), slices[:5]


RULES: dict[str, tuple[bytes, list[str]]] = {
    "one BOM is dropped": (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
    "a second BOM is text and spoils the name": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", ["b"]),
    "line ends may be mixed": (b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r", ["a\nb\nc", "d"]),
    "a comment is nothing": (b": hi\n\ndata: a\n:\n\n", ["a"]),
    "at most one space is removed": (b"data:  a\n\ndata:b \n\ndata:\tc\n\n", [" a", "b ", "\tc"]),
    "names are literal": (b"Data: a\n\n data: b\n\ndata : c\n\ndata: d\n\n", ["d"]),
    "a name alone has an empty value": (b"data\n\ndata\ndata\n\n", ["", "\n"]),
    "a block without data dispatches nothing": (b"event: x\n\nid: 1\n\nretry: 3\n\ndata: a\n\n", ["a"]),
    "an unfinished event is dropped": (b"data: a\n\ndata: b\n", ["a"]),
    "bad UTF-8 is replaced": (b"data: \xff\xe2\x82\n\n", ["�" * 2]),
    "other separators are text": (
        "data: a\x0b\x0c\x1c\x85\u2028\u2029b\n\n".encode(),
        ["a\x0b\x0c\x1c\x85\u2028\u2029b"],
    ),
    "NUL is text": (b"data: a\x00b\n\n", ["a\x00b"]),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    data, wanted = RULES[rule]
    for slices in every_slicing(data):
        assert [row["data"] for row in read(slices)[0]] == wanted


def test_event_type_does_not_leak() -> None:
    rows, _ = read([b"event: x\n\ndata: a\n\nevent: y\ndata: b\n\nevent: z\nevent\ndata: c\n\n"])
    assert [(row["event"], row["data"]) for row in rows] == [("message", "a"), ("y", "b"), ("message", "c")]


def test_id_sticks_until_another_and_is_committed_at_the_blank_line() -> None:
    decoder = SSEDecoder()
    assert [e.id for e in decoder.feed(b"id: 1\ndata: a\n\ndata: b\n\nid\x00: 9\nid: 2\x00\ndata: c\n\n")] == ["1"] * 3
    assert decoder.feed(b"id: 3\ndata: d\n") == []
    assert decoder.last_event_id == "1"
    assert decoder.finish() == []
    assert decoder.last_event_id == "1"


def test_id_can_be_seeded_for_a_resume() -> None:
    decoder = SSEDecoder(last_event_id="41")
    assert decoder.last_event_id == "41"
    assert decoder.feed(b"data: a\n\nid\ndata: b\n\n") == [ServerSentEvent("a", id="41"), ServerSentEvent("b")]


@pytest.mark.parametrize("value", ["+5", "-5", "5 ", "1_0", "", "٣", "²", "5.0", "9" * 5000])
def test_retry_takes_ascii_digits_only(value: str) -> None:
    decoder = SSEDecoder()
    decoder.feed(f"retry: 7\n\nretry: {value}\n\n".encode())
    assert decoder.retry == 7


def test_retry_is_readable_without_an_event() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"retry: 0012\n") == []
    assert decoder.retry == 12


@pytest.mark.parametrize("ending", ["\n\n", "\r\r", "\r\n\r\n", "\n\r", "\r\r\n", "\n\r\n", "\r\n\n", "\r\n\r"])
def test_an_event_is_out_at_once(ending: str) -> None:
    """No byte after the blank line is waited for, and an LF that follows a CR is part of it."""
    decoder = SSEDecoder()
    assert [e.data for e in decoder.feed(f"data: a{ending}".encode())] == ["a"]
    assert [e.data for e in decoder.feed(b"\ndata: b\n\n")] == ["b"]


def test_finish_makes_ready_for_a_new_connection() -> None:
    decoder = SSEDecoder(flush=True)
    decoder.feed(b"id: 1\nretry: 5\ndata: a\n\ndata: cut of")
    assert [e.data for e in decoder.finish()] == ["cut of"]
    assert [e.data for e in decoder.feed(b"\xef\xbb\xbfdata: b\n\n")] == ["b"]
    assert (decoder.last_event_id, decoder.retry) == ("1", 5)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_past_the_limit_fails_for_good(size: int) -> None:
    body = b"data: ok\n\n" + b"data: " + b"x" * 200 + b"\n\ndata: late\n\n"
    decoder = SSEDecoder(max_event_bytes=100)
    events: list[ServerSentEvent] = []
    with pytest.raises(LimitError, match="event_bytes=100"):
        for place in range(0, len(body), size):
            events += decoder.feed(body[place : place + size])
        decoder.finish()
    assert [e.data for e in events] == ["ok"]
    with pytest.raises(LimitError):
        decoder.feed(b"data: more\n\n")


def test_many_small_lines_count_as_one_event() -> None:
    decoder = SSEDecoder(max_event_bytes=1000)
    with pytest.raises(LimitError):
        for _ in range(200):
            decoder.feed(b"data: 0123456789\n")


def test_an_event_past_the_limit_that_its_last_slice_completes() -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    assert decoder.feed(b"data: " + b"x" * 90) == []
    with pytest.raises(LimitError):
        decoder.feed(b"x" * 10 + b"\n\n")


def test_events_up_to_the_limit_pass() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    assert [e.data for e in decoder.feed(b"data: 01234567890123\n\n" * 50)] == ["01234567890123"] * 50


def feeds(data: bytes, size: int) -> Callable[[], None]:
    def run() -> None:
        decoder = SSEDecoder(max_event_bytes=2**30)
        for place in range(0, len(data), size):
            decoder.feed(data[place : place + size])

    return run


SHAPES: dict[str, Callable[[int], tuple[bytes, int]]] = {
    "one long line in small feeds": lambda n: (b"data: " + b"x" * 64 * n + b"\n\n", 64),
    "one event of many lines in small feeds": lambda n: (b"data: 0123456789\n" * 4 * n + b"\n", 64),
    "one feed of small events": lambda n: (b"data: x\n\n" * n, 2**30),
    "CR only": lambda n: (b"data: x\r\r" * n, 2**30),
    "one stray CR": lambda n: (b"data: x\n\n" * n + b"\r", 2**30),
    "comments": lambda n: (b": keep-alive\n\n" * n, 14),
}


@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_grow_linearly(shape: str) -> None:
    steps = [steps_of(feeds(*SHAPES[shape](n))) for n in (500, 1000, 2000)]
    assert all(more <= 2.2 * less for less, more in pairwise(steps)), steps


def test_a_long_line_is_kept_in_pieces_and_joined_once() -> None:
    """What the steps above cannot see: no feed may copy what came before it."""
    framer = Framer()
    for number in range(1000):
        assert not list(framer.read(b"x" if number else b"data: x"))
    assert len(framer._open) == 1000


def test_pieces_are_folded_and_nothing_changes() -> None:
    """Lines and pieces that are short would hold many times their bytes as objects."""
    for body in (
        b"data:xy\n" * 9000,
        b"data:\n" * 5000,
        b"data:\n" * 3000 + b"data:x\n" * 3000,
        b"data: " + b"ab" * 9000 + b"\n",
    ):
        framer = Framer(max_event_bytes=2**20)
        for place in range(0, len(body) - 1, 2):
            assert not list(framer.read(body[place : place + 2]))
            assert len(framer._open) <= 1026
            assert len(framer._data) <= 1026 or not framer._has_data()
        (data,) = framer.read(b"\n" if len(body) % 2 == 0 else body[-1:] + b"\n")
        assert data == b"\n".join(line[5:].removeprefix(b" ") for line in body.splitlines())


def test_stray_lines_between_empty_data_lines_cost_the_same() -> None:
    def run(count: int) -> int:
        framer = Framer()
        return steps_of(lambda: list(framer.read(b"data:\nstray\n" * count)))

    assert run(2000) <= 2.2 * run(1000)


def test_what_is_no_utf8_in_any_field_of_an_event() -> None:
    decoder = SSEDecoder(last_event_id="\ud800")
    assert decoder.last_event_id == "?"
    (event,) = decoder.feed(b"event: caf\xe9\nid: \xfe\ndata: \xff\n\n")
    assert event == ServerSentEvent("\ufffd", "caf\ufffd", "\ufffd", None)
    (bare,) = SSEDecoder().feed(b"data: \xff\n\n")
    assert bare == ServerSentEvent("\ufffd", "message", "", None)


@pytest.mark.parametrize("begin", [b"data: ", b": comment", b"x"])
def test_a_line_that_comes_byte_by_byte_has_a_limit(begin: bytes) -> None:
    decoder = SSEDecoder(max_event_bytes=1000)
    decoder.feed(begin)
    for _ in range(1000 - len(begin)):
        decoder.feed(b"a")
    with pytest.raises(LimitError, match="event_bytes"):
        decoder.feed(b"a")


def test_each_event_has_the_limit_to_itself() -> None:
    decoder = SSEDecoder(max_event_bytes=40)
    for _ in range(50):
        assert [event.data for event in decoder.feed(b"data: " + b"a" * 34 + b"\n\n")] == ["a" * 34]
        for piece in (b"data: " + b"a" * 10, b"\n", b"data: " + b"b" * 10 + b"\n", b"\n"):
            events = decoder.feed(piece)
        assert [event.data for event in events] == ["a" * 10 + "\n" + "b" * 10]


def test_an_event_after_one_without_data() -> None:
    """A block that was no event leaves nothing behind: not in what is known of the data, not in its size."""
    decoder = SSEDecoder(max_event_bytes=10)
    assert decoder.feed(b"id\n\n") == []
    assert [event.data for event in decoder.feed(b"data: 1234\n\n")] == ["1234"]
    accumulator = Accumulator()
    accumulator.feed(b"id\n\n")
    accumulator.feed(b'data: {"id":"x","choices":[]}\n{"error":{"message":"no"}}\n\n')
    assert accumulator.events == 1


def test_an_open_line_counts_beside_an_open_block() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    with pytest.raises(LimitError):
        decoder.feed(b"data: 12345\ndata: 12345678")


def test_the_longest_retry() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: " + b"1" * 4000 + b"\n\n")
    assert decoder.retry == int("1" * 4000)
    decoder.feed(b"retry: " + b"2" * 4001 + b"\n\n")
    assert decoder.retry == int("1" * 4000)


def test_a_stray_line_after_an_empty_data_line_and_another() -> None:
    found = list(Framer(max_event_bytes=1000).read(b"data:\ndata: x\nstray\n\n"))
    assert isinstance(found[0], StrayLine)
    assert found[0].inside


@pytest.mark.parametrize("size", [20, 21, 30])
def test_the_limit_of_an_event_to_the_byte(size: int) -> None:
    """A line, and the data lines of an event with it, may be as long as the limit and no longer."""
    for lines, passes in (
        ([b"data:" + b"x" * (size - 5)], True),
        ([b"data:" + b"x" * (size - 4)], False),
        ([b"data:aaaa", b"data:" + b"x" * (size - 14)], True),
        ([b"data:aaaa", b"data:" + b"x" * (size - 13)], False),
    ):
        for slices in (
            [b"\n".join(lines) + b"\n\n"],
            [bytes([byte]) for byte in b"\n".join(lines) + b"\n\n"],
            [b"\n".join(lines), b"\n\n"],
        ):
            decoder = SSEDecoder(max_event_bytes=size)
            try:
                events = [event for piece in slices for event in decoder.feed(piece)]
            except LimitError as error:
                assert (error.limit, error.bound) == ("event_bytes", size)
                assert not passes
            else:
                assert passes
                assert len(events) == 1


def test_the_last_id_of_many_events_is_decoded_once() -> None:
    decoder = SSEDecoder()
    events = decoder.feed(b"id: " + b"x" * 10**6 + b"\n\n" + b"data: a\n\n" * 1000)
    assert len(events) == 1000
    assert len({id(event.id) for event in events}) == 1
    assert [event.id for event in decoder.feed(b"id: y\ndata: b\n\nid\ndata: c\n\n")] == ["y", ""]


def test_a_framer_that_failed_fails_again() -> None:
    framer = Framer(max_event_bytes=10)
    first = list(framer.read(b"data: " + b"x" * 100 + b"\n\n"))
    assert isinstance(first[-1], StreamAggError)
    assert list(framer.read(b"data: 1\n\n")) == [first[-1]]
