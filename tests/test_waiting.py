"""Events wait to be read together, and nobody can tell but by when an error shows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    StreamAggError,
)
from tests.support.helpers import chunk, so_far, sse

LINE = b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'


def lines(*texts: bytes) -> list[bytes]:
    """Events that differ in their text, which are the slices of a stream."""
    return [LINE % text + b"\n\n" for text in texts]


def fed(slices: list[bytes]) -> Accumulator:
    accumulator = Accumulator()
    for piece in slices:
        accumulator.feed(piece)
    return accumulator


LOOKS: dict[str, Callable[[Accumulator], Any]] = {
    "snapshot": lambda accumulator: accumulator.snapshot(),
    "complete": lambda accumulator: accumulator.complete,
    "repairs": lambda accumulator: accumulator.repairs,
    "at once": lambda accumulator: accumulator.at_once(),
    "nothing": lambda accumulator: None,
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("after", [0, 3, 100])
def test_an_error_inside_is_that_of_its_event(look: str, after: int) -> None:
    """However late it shows: what came before it is merged, what came after it is not."""
    accumulator = fed(lines(*[b"a"] * 5))
    with pytest.raises(DecodeError, match="event 6 ") as caught:
        for piece in lines(b'a"', *[b"b"] * after):
            accumulator.feed(piece)
        LOOKS[look](accumulator)
        accumulator.feed(LINE % b"b" + b"\n\n: another line")
    assert caught.value.partial == accumulator.snapshot()
    assert so_far(accumulator) == "aaaaa"
    assert (accumulator.events, accumulator.complete) == (6, False)
    with pytest.raises(DecodeError, match="event 6 "):
        accumulator.finish()


def test_an_error_inside_shows_before_64_more_events() -> None:
    accumulator = fed(lines(*[b"text that is long enough"] * 1000))
    with pytest.raises(DecodeError, match="event 1001 "):
        for piece in lines(b'a"', *[b"b"] * 64):
            accumulator.feed(piece)


LONG_ENOUGH = lines(*[b"text that is long enough"] * 100)


@pytest.mark.parametrize("look", [*LOOKS, "events"])
def test_an_error_inside_a_read_that_waits_is_that_of_its_event(look: str) -> None:
    """Reads of several events wait until they come to 16 KiB."""
    accumulator, broken = fed(LONG_ENOUGH), b"".join(lines(b"b", b'a"', b"c"))
    accumulator.feed(broken)
    with pytest.raises(DecodeError, match="event 102 ") as caught:
        LOOKS.get(look, lambda accumulator: accumulator.events)(accumulator)
        for _ in range(16384 // len(broken)):
            accumulator.feed(b"".join(lines(b"d", b"e", b"f")))
    assert caught.value.partial == accumulator.snapshot()
    assert so_far(accumulator).endswith("enoughb")
    assert (accumulator.events, accumulator.complete) == (102, False)


@pytest.mark.parametrize(
    "ending", [b'data: {"error":{"message":"no"}}\n\n', b"data: [DONE]\n\n", b"data: [DONE]\r\r", b"data: [DONE]\r\r:"]
)
@pytest.mark.parametrize("open_line", [b"", LONG_ENOUGH[0][:30]])
def test_what_ends_a_read_is_at_once(ending: bytes, open_line: bytes) -> None:
    """An error that the server tells, and the end, never wait for another read."""
    accumulator = fed(LONG_ENOUGH)
    accumulator.feed(b"".join(lines(b"a", b"b")) + LONG_ENOUGH[0][:40])
    assert not accumulator._flows or accumulator._waiting
    with suppress(ProviderError):
        accumulator.feed(
            LONG_ENOUGH[0][40:] + b"".join(lines(b"a")) + ending + (open_line if b"\r" not in ending else b"")
        )
    assert accumulator.done or accumulator._error is not None
    assert so_far(accumulator).endswith("ab" + "text that is long enough" + "a")


def test_a_failed_accumulator_stays_failed() -> None:
    """Also where a line stood open when it failed."""
    accumulator = fed([*LONG_ENOUGH, LONG_ENOUGH[0][:30]])
    with pytest.raises(DecodeError) as caught:
        accumulator.add(b"x")
    before = accumulator.snapshot()
    with pytest.raises(DecodeError) as again:
        accumulator.feed(LONG_ENOUGH[0][30:])
    assert again.value is caught.value
    assert (accumulator.snapshot(), accumulator.events) == (before, 101)


def test_what_an_accumulator_tells_is_of_all_that_came() -> None:
    accumulator = fed(LONG_ENOUGH)
    accumulator.feed(b"data:\n\n" + LONG_ENOUGH[0])
    assert accumulator._waiting
    assert (accumulator.passed, accumulator.done) == (1, False)
    accumulator.feed(b"data: [DONE]\n\n" + LONG_ENOUGH[0])
    assert (accumulator.done, accumulator.events) == (True, 103)


def test_large_events_that_wait_pass_no_limit() -> None:
    accumulator = Accumulator(limits=Limits(response_size=2**20))
    with pytest.raises(LimitError):
        for text in [b"text that is long enough"] * 300 + [b"x" * 60_000] * 63:
            accumulator.feed(lines(text)[0])
        accumulator.feed(b"data: [DONE]\n\n")
        accumulator.finish()


def test_reads_wait() -> None:
    """Else what is said of it above would be said of nothing."""
    accumulator, two = fed(LONG_ENOUGH), b"".join(lines(b"b", b"c"))
    for _ in range(20):
        accumulator.feed(two)
    assert len(accumulator._waiting) == 20
    assert accumulator.events == 140
    assert not accumulator._waiting


def test_reads_that_wait_come_to_16_kib_at_most() -> None:
    accumulator, two = fed(LONG_ENOUGH), b"".join(lines(b"b", b"c"))
    longest = 0
    for _ in range(1000):
        accumulator.feed(two)
        longest = max(longest, sum(map(len, accumulator._waiting)))
    assert 16384 - len(two) < longest <= 16384
    assert accumulator.events == 2100


def test_an_error_inside_is_at_once_where_chunks_are_handed_out() -> None:
    accumulator, given = Accumulator(), list[ChatCompletionChunk]()
    accumulator.deliver = given.append
    for piece in lines(*[b"a"] * 20):
        accumulator.feed(piece)
    with pytest.raises(DecodeError, match="event 21 "):
        accumulator.feed(lines(b'a"')[0])
    assert [chunk.text for chunk in given] == ["a"] * 20


def test_nothing_waits_after_at_once() -> None:
    accumulator = fed(lines(*[b"a"] * 9))
    accumulator.at_once()
    with pytest.raises(DecodeError, match="event 10 "):
        accumulator.feed(lines(b'a"')[0])


def test_repairs_are_those_of_all_that_came() -> None:
    assert fed(lines(*[b"a"] * 9, b"\xff")).repairs == {"invalid_utf8": 1}


def test_complete_is_said_of_all_that_came() -> None:
    assert fed(lines(*[b"a"] * 9, b'x"},"finish_reason":"stop"}],"y":[{"z":{"a":"')).complete


@pytest.mark.parametrize("ending", [b'data: {"error":{"message":"no"}}\n\n', b"data: [DONE]\n\n"])
def test_what_is_not_inside_is_at_once(ending: bytes) -> None:
    """An error that the server tells, and the end, never wait."""
    accumulator = fed(lines(*[b"a"] * 20))
    with suppress(ProviderError):
        accumulator.feed(ending)
    assert accumulator.done or accumulator._error is not None


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_seen_is_all_that_came(look: str) -> None:
    accumulator = fed(lines(*(b"%d," % n for n in range(500))))
    for n in range(500, 520):
        accumulator.feed(lines(b"%d," % n)[0])
        LOOKS[look](accumulator)
        assert accumulator.events == n + 1
    assert so_far(accumulator) == "".join(f"{n}," for n in range(520))


@pytest.mark.parametrize("seed", range(30))
def test_whenever_somebody_looks_it_is_all_there(seed: int) -> None:
    """Also where what was taken together turns out to differ, and some of it is taken together again."""
    dice, accumulator = random.Random(seed), Accumulator()
    count, left = 0, b""
    for _ in range(400):
        body = b""
        for _ in range(dice.choice([1, 1, 1, 2, 5])):
            more = {"vendor": count} if dice.random() < 0.01 else {}
            body += sse(chunk({"content": f"{count},"}, **more), done=False)
            count += 1
        held_back = dice.choice([0, 0, 0, 1, 2, 10, 80])
        body = left + body
        left = body[len(body) - held_back :]
        accumulator.feed(body[: len(body) - held_back])
        came = count - bool(left)
        if came and dice.random() < 0.05:
            assert (so_far(accumulator), accumulator.events) == ("".join(f"{n}," for n in range(came)), came)
    accumulator.feed(left)
    assert (so_far(accumulator), accumulator.events) == ("".join(f"{n}," for n in range(count)), count)


def test_two_events_in_a_read_that_could_be_one() -> None:
    accumulator = fed(lines(*[b"a"] * 9))
    accumulator.feed(b"".join(lines(b"b", b"c")))
    assert (so_far(accumulator), accumulator.events) == ("a" * 9 + "bc", 11)


def test_a_chunk_added_comes_after_what_was_fed() -> None:
    accumulator = fed(lines(*[b"a"] * 9))
    accumulator.add(chunk({"content": "b"}))
    for piece in lines(b"c", b"d"):
        accumulator.feed(piece)
    assert so_far(accumulator) == "aaaaaaaaabcd"


@pytest.mark.parametrize(
    ("first", "second"),
    [(b"event: error\n", LINE % b"b" + b"\n\n"), (LINE % b"b" + b"\n", LINE % b"c" + b"\n\n")],
    ids=["a type", "a data line"],
)
def test_what_stands_open_belongs_to_the_next_line(first: bytes, second: bytes) -> None:
    """An event that goes on in another read is no event of its own."""
    whole = b"".join([*lines(*[b"a"] * 9), first, second])
    wanted = told([whole])
    assert told([*lines(*[b"a"] * 9), first, second]) == wanted
    assert told([*lines(*[b"a"] * 8), lines(b"a")[0] + first, second]) == wanted
    assert wanted[1:] in [(ProviderError, {}), (IncompleteStreamError, {"adjacent_data_lines": 1})]


def told(slices: list[bytes]) -> tuple[Any, type | None, dict[str, int]]:
    accumulator, error = Accumulator(), None
    try:
        for piece in slices:
            accumulator.feed(piece)
        accumulator.finish()
    except StreamAggError as caught:
        error = type(caught)
    return accumulator.snapshot(), error, dict(accumulator.repairs)


def test_what_is_added_in_between_counts() -> None:
    """Later events of the envelope say again what they say of the stream."""
    accumulator = Accumulator()
    piece = sse(chunk({"content": "a"}, service_tier="a"), done=False)
    for _ in range(9):
        accumulator.feed(piece)
    accumulator.add(json.dumps(chunk({"content": "b"}, service_tier="b")).encode())
    accumulator.feed(piece)
    accumulator.feed(piece)
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert (snapshot.service_tier, snapshot.text) == ("a", "aaaaaaaaabaa")


def test_usage_in_pieces_adds_up_in_events_that_wait() -> None:
    """Of chunks with choices an equal report is not a repeat."""
    accumulator = Accumulator()
    for _ in range(100):
        accumulator.feed(sse(chunk({"content": "a"}, usage={"completion_tokens": 3}), done=False))
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert snapshot.usage is not None
    assert snapshot.usage.completion_tokens == 300


def test_the_limit_of_an_open_line_is_exact_after_events_that_waited() -> None:
    limit = 2 * 65536
    accumulator = Accumulator(limits=Limits(event_bytes=limit))
    for piece in [*lines(*[b"a"] * 30), b"data: " + b"x" * (limit - 6)]:
        accumulator.feed(piece)
    with pytest.raises(LimitError):
        accumulator.feed(b"x")


@pytest.mark.parametrize("where", ["chunk", "choice"])
def test_usage_handed_out_is_its_own(where: str) -> None:
    accumulator, given = Accumulator(), list[ChatCompletionChunk]()
    accumulator.deliver = given.append
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    item = chunk({"content": "a"}, finish="stop")
    (item if where == "chunk" else item["choices"][0])["usage"] = usage
    accumulator.feed(sse(item))
    for has_usage in (given[0], *(given[0].choices or [])):
        if has_usage.usage is not None:
            has_usage.usage.prompt_tokens = 999
    response = accumulator.finish()
    assert response.usage is not None
    assert response.usage.prompt_tokens == 5


@pytest.mark.parametrize("call", ["feed", "add", "finish", "snapshot"])
@pytest.mark.parametrize("outer", ["feed", "add"])
def test_a_call_inside_another_is_an_error(outer: str, call: str) -> None:
    accumulator = Accumulator()
    raised: list[BaseException] = []

    def deliver(item: ChatCompletionChunk) -> None:
        try:
            getattr(accumulator, call)(*[b": c\n\n"] * (call in ("feed", "add")))
        except RuntimeError as error:
            raised.append(error)

    accumulator.deliver = deliver
    getattr(accumulator, outer)(lines(b"a")[0][(outer == "add") * 6 :])
    assert len(raised) == 1
    assert "two calls at once" in str(raised[0])
    assert so_far(accumulator) == "a"


def test_chunks_are_handed_out_from_when_they_are_asked_for() -> None:
    """Also where an envelope was made before, which cannot make chunks."""
    accumulator, given = fed(LONG_ENOUGH), list[ChatCompletionChunk]()
    assert accumulator.events == 100
    accumulator.deliver = given.append
    for piece in lines(b"a", b"b", b"c"):
        accumulator.feed(piece)
    assert [chunk.text for chunk in given] == ["a", "b", "c"]
    assert so_far(accumulator).endswith("enoughabc")


@pytest.mark.parametrize("before", [False, True])
def test_a_wrong_event_that_waited_when_chunks_are_asked_for_is_told_as_itself(before: bool) -> None:
    """Whether or not they were asked for before, and the envelope can make them."""
    accumulator, given = Accumulator(), list[ChatCompletionChunk]()
    for deliver, pieces in ((given.append if before else None, lines(*[b"a"] * 5)), (None, lines(b"b", b'c"'))):
        accumulator.deliver = deliver
        for piece in pieces:
            accumulator.feed(piece)
    accumulator.deliver = given.append
    with pytest.raises(DecodeError, match="event 7 "):
        accumulator.feed(lines(b"d")[0])
    assert so_far(accumulator) == "aaaaab"
