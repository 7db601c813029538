"""When `feed` returns, every event that it completed is merged: whoever looks sees it, and its error is raised at once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
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
MANY = 100
"""So many events in a row that the fast path takes those that follow."""


def lines(*texts: bytes) -> list[bytes]:
    """Events that differ in their text, which are the slices of a stream."""
    return [LINE % text + b"\n\n" for text in texts]


def fed(slices: list[bytes]) -> Accumulator:
    accumulator = Accumulator()
    for piece in slices:
        accumulator.feed(piece)
    return accumulator


FRAGMENT = b"text that is long enough"
BEGIN = lines(*[FRAGMENT] * MANY)


@pytest.mark.parametrize("hand_out", [False, True])
@pytest.mark.parametrize("before", [0, 1, 5, MANY])
def test_an_error_is_raised_by_the_call_that_completes_its_event(before: int, hand_out: bool) -> None:
    accumulator, given = Accumulator(), list[ChatCompletionChunk]()
    if hand_out:
        accumulator.deliver = given.append
    for piece in BEGIN[:before]:
        accumulator.feed(piece)
    (wrong,) = lines(b'a"')
    accumulator.feed(wrong[:-1])
    with pytest.raises(DecodeError, match=f"event {before + 1} ") as caught:
        accumulator.feed(wrong[-1:])
    assert caught.value.partial == accumulator.snapshot()
    assert (accumulator.events, accumulator.complete) == (before + 1, False)
    assert len(given) == before * hand_out
    with pytest.raises(DecodeError, match=f"event {before + 1} "):
        accumulator.finish()


@pytest.mark.parametrize("begin", [5, MANY])
def test_an_error_inside_a_read_is_that_of_its_event(begin: int) -> None:
    """The events before it are merged, those after it are not."""
    accumulator = fed(BEGIN[:begin])
    with pytest.raises(DecodeError, match=f"event {begin + 2} ") as caught:
        accumulator.feed(b"".join(lines(b"b", b'a"', b"c")))
    assert caught.value.partial == accumulator.snapshot()
    assert so_far(accumulator).endswith("enoughb")
    assert (accumulator.events, accumulator.complete) == (begin + 2, False)


@pytest.mark.parametrize(
    "ending", [b'data: {"error":{"message":"no"}}\n\n', b"data: [DONE]\n\n", b"data: [DONE]\r\r", b"data: [DONE]\r\r:"]
)
@pytest.mark.parametrize("open_line", [b"", BEGIN[0][:30]])
def test_what_ends_a_read_counts_at_once(ending: bytes, open_line: bytes) -> None:
    accumulator = fed(BEGIN)
    accumulator.feed(b"".join(lines(b"a", b"b")) + BEGIN[0][:40])
    rest = BEGIN[0][40:] + b"".join(lines(b"a")) + ending + (open_line if b"\r" not in ending else b"")
    if b"error" in ending:
        with pytest.raises(ProviderError):
            accumulator.feed(rest)
    else:
        accumulator.feed(rest)
        assert accumulator.done
    assert so_far(accumulator).endswith("ab" + FRAGMENT.decode() + "a")


def test_a_failed_accumulator_stays_failed() -> None:
    """Also where a line stood open when it failed."""
    accumulator = fed([*BEGIN, BEGIN[0][:30]])
    with pytest.raises(DecodeError) as caught:
        accumulator.add(b"x")
    before = accumulator.snapshot()
    with pytest.raises(DecodeError) as again:
        accumulator.feed(BEGIN[0][30:])
    assert again.value is caught.value
    assert (accumulator.snapshot(), accumulator.events) == (before, MANY + 1)


def test_large_events_pass_no_limit() -> None:
    accumulator = Accumulator(limits=Limits(response_size=2**20))
    with pytest.raises(LimitError):
        for text in [FRAGMENT] * 300 + [b"x" * 60_000] * 63:
            accumulator.feed(lines(text)[0])
    assert len(so_far(accumulator)) <= 2**20


@pytest.mark.parametrize("begin", [9, MANY])
def test_repairs_are_those_of_all_that_came(begin: int) -> None:
    assert fed([*BEGIN[:begin], *lines(b"\xff")]).repairs == {"invalid_utf8": 1}


@pytest.mark.parametrize("begin", [9, MANY])
def test_complete_is_said_of_all_that_came(begin: int) -> None:
    assert fed([*BEGIN[:begin], *lines(b'x"},"finish_reason":"stop"}],"y":[{"z":{"a":"')]).complete


LOOKS: dict[str, Callable[[Accumulator], Any]] = {
    "snapshot": lambda accumulator: accumulator.snapshot(),
    "complete": lambda accumulator: accumulator.complete,
    "repairs": lambda accumulator: accumulator.repairs,
    "nothing": lambda accumulator: None,
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_changes_nothing(look: str) -> None:
    accumulator = fed(lines(*(b"%d," % n for n in range(500))))
    for n in range(500, 520):
        accumulator.feed(lines(b"%d," % n)[0])
        LOOKS[look](accumulator)
        assert accumulator.events == n + 1
    assert so_far(accumulator) == "".join(f"{n}," for n in range(520))


@pytest.mark.parametrize("seed", range(30))
def test_whenever_somebody_looks_it_is_all_there(seed: int) -> None:
    """However the events are cut, and however often one of another form stands between them."""
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
    accumulator = fed(lines(*[b"a"] * MANY))
    accumulator.feed(b"".join(lines(b"b", b"c")))
    assert (so_far(accumulator), accumulator.events) == ("a" * MANY + "bc", MANY + 2)


def test_a_chunk_added_comes_after_what_was_fed() -> None:
    accumulator = fed(lines(*[b"a"] * MANY))
    accumulator.add(chunk({"content": "b"}))
    for piece in lines(b"c", b"d"):
        accumulator.feed(piece)
    assert so_far(accumulator) == "a" * MANY + "bcd"


@pytest.mark.parametrize(
    ("first", "second"),
    [(b"event: error\n", LINE % b"b" + b"\n\n"), (LINE % b"b" + b"\n", LINE % b"c" + b"\n\n")],
    ids=["a type", "a data line"],
)
def test_what_stands_open_belongs_to_the_next_line(first: bytes, second: bytes) -> None:
    """An event that goes on in another read is no event of its own."""
    begin = lines(*[b"a"] * MANY)
    wanted = told([b"".join([*begin, first, second])])
    assert told([*begin, first, second]) == wanted
    assert told([*begin[:-1], begin[-1] + first, second]) == wanted
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
    """Later events of a template say again what they say of the stream."""
    accumulator = Accumulator()
    piece = sse(chunk({"content": "a"}, service_tier="a"), done=False)
    for _ in range(MANY):
        accumulator.feed(piece)
    accumulator.add(json.dumps(chunk({"content": "b"}, service_tier="b")).encode())
    accumulator.feed(piece)
    accumulator.feed(piece)
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert (snapshot.service_tier, snapshot.text) == ("a", "a" * MANY + "baa")


def test_usage_in_pieces_adds_up() -> None:
    """Of chunks with choices an equal report is not a repeat."""
    accumulator = Accumulator()
    for _ in range(MANY):
        accumulator.feed(sse(chunk({"content": "a"}, usage={"completion_tokens": 3}), done=False))
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert snapshot.usage is not None
    assert snapshot.usage.completion_tokens == 3 * MANY


def test_the_limit_of_an_open_line_is_exact() -> None:
    limit = 2 * 65536
    accumulator = Accumulator(limits=Limits(event_bytes=limit))
    for piece in [*BEGIN, b"data: " + b"x" * (limit - 6)]:
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
@pytest.mark.parametrize("begin", [0, MANY])
def test_a_call_inside_another_is_an_error(outer: str, call: str, begin: int) -> None:
    accumulator = fed(lines(*[b"a"] * begin))
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
    assert so_far(accumulator) == "a" * (begin + 1)


def test_chunks_are_handed_out_from_when_they_are_asked_for() -> None:
    """Also where a template was made before, which cannot make chunks."""
    accumulator, given = fed(BEGIN), list[ChatCompletionChunk]()
    assert accumulator.events == MANY
    accumulator.deliver = given.append
    for piece in lines(b"a", b"b", b"c"):
        accumulator.feed(piece)
    assert [chunk.text for chunk in given] == ["a", "b", "c"]
    assert so_far(accumulator).endswith("enoughabc")
