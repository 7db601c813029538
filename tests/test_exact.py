"""Sizes, counts and words to the last one: what a mutant changes and no rule of merging shows."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest

import streamagg._merge.usage as module
from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    CompletionUsage,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    SSEDecoder,
    StreamAggError,
)
from streamagg._codec.size import weigh
from streamagg._merge.usage import UsageMerge
from tests.support.helpers import chunk, merged, sse
from tests.unit.merge.test_usage import usage

# ------------------------------------------------------------------ usage

COUNTS = [None, 0, 1, 5, 2.0]
PIECES: list[dict[str, Any]] = [
    {"prompt_tokens": p, "completion_tokens": c, "total_tokens": t, **more}
    for p, c, t in itertools.product(COUNTS, [None, 0, 3, 4], [None, 0, 9])
    for more in ({}, {"cost": 1.5}, {"k": {"n": 1, "s": "x"}}, {"k": {"m": 5, "long": "text"}}, {"k": 7})
]


def reports(dice: random.Random) -> list[CompletionUsage]:
    plain = [
        {name: value for name, value in dice.choice(PIECES).items() if value is not None}
        for _ in range(dice.randint(1, 7))
    ]
    return [module.to_struct(CompletionUsage, each, module.ignore) for each in plain]


@pytest.mark.parametrize("mode", ["auto", "sum", "last"])
def test_usage_returns_what_it_grew(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the short cuts for running totals, one report or many at a time, change nothing."""
    for seed in range(300):
        row = reports(random.Random(seed))
        quick, many = UsageMerge(mode), UsageMerge(mode)
        for report in row:
            quick.add(report, alone=False)
        many.add_all(row[:2])
        if row[2:]:
            many.add_all(row[2:])
        with monkeypatch.context() as patch:
            patch.setattr(module, "_is_whole", lambda report: False)
            slow = UsageMerge(mode)
            grown = sum(slow.add(report, alone=False) for report in row)
            assert grown == weigh(slow._stands) - weigh({})
        assert quick.value() == many.value() == slow.value()
        assert slow.add_all(row) == weigh(slow._stands) - weigh({}) - grown


@pytest.mark.parametrize(
    ("row", "total"),
    [
        ([{"prompt_tokens": 10, "total_tokens": 100}, {"completion_tokens": 3}], 100),
        ([{"prompt_tokens": 10, "total_tokens": 11}, {"completion_tokens": 3, "total_tokens": 50}], 61),
        ([{"prompt_tokens": 10, "total_tokens": 11}, {"completion_tokens": 3}], 13),
        ([{"prompt_tokens": 10}, {"completion_tokens": 3}], 13),
        ([{"cost": 1}, {"cost": 1}], None),
        ([{"cost": 1, "total_tokens": 0}, {"cost": 1}], 0),
    ],
)
def test_the_total_after_an_addition(row: list[dict[str, Any]], total: int | None) -> None:
    said = usage(*row)
    expected = max(row[0].get("total_tokens", 0), row[1].get("total_tokens", 0)) if total == 61 else total
    assert said.get("total_tokens") == expected


def test_a_repeat_alone_counts_once_and_grows_by_nothing() -> None:
    merge = UsageMerge()
    report = CompletionUsage(completion_tokens=3, cost=1)
    assert merge.add(report, alone=True) > 0
    assert merge.add(report, alone=True) == 0
    assert merge.value() == CompletionUsage(completion_tokens=3, cost=1)
    assert merge.add(CompletionUsage(), alone=True) == 0


# ------------------------------------------------------------------ framing, to the byte


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


# ------------------------------------------------------------------ chunks that are handed out


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("place", ["usage", "choice's usage", "logprobs", "nothing"])
def test_what_is_handed_out_is_apart_and_what_came(add: bool, place: str) -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    item = chunk({"content": "a"}, usage=counts if place == "usage" else None, vendor={"k": 1})
    item["choices"][0]["usage"] = counts if place == "choice's usage" else None
    item["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0}]} if place == "logprobs" else None
    second = {"index": 1, "delta": {"content": "b"}}
    accumulator = Accumulator()
    out: list[ChatCompletionChunk] = []
    accumulator.deliver = out.append
    for each in ({**item, "choices": [*item["choices"], second]}, item):
        accumulator.add(each) if add else accumulator.feed(sse(each, done=False))
    before = accumulator.snapshot()
    assert [len(one.choices or ()) for one in out] == [2, 1]
    for one in out:
        assert isinstance(one, ChatCompletionChunk)
        assert (one.text, one.id, dict(one.extra)) == ("a", "c1", {"vendor": {"k": 1}})
        for holder in (one, (one.choices or [one])[0]):  # type: ignore[list-item]
            if holder.usage is not None:
                holder.usage.total_tokens = 777
        if (logprobs := (one.choices or [])[0].logprobs) is not None:
            logprobs.content[0].token = "changed"  # type: ignore[index]
            logprobs.content.clear()  # type: ignore[union-attr]
        one.extra.clear()
    assert accumulator.snapshot() == before
    assert dict(accumulator.repairs) == {}


# ------------------------------------------------------------------ words and counts of errors


def error_of(*slices: bytes | str) -> StreamAggError:
    accumulator = Accumulator()
    with pytest.raises(StreamAggError) as caught:
        for piece in slices:
            accumulator.feed(piece)
        accumulator.finish()
    return caught.value


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("", IncompleteStreamError, "the source was empty"),
        ("\n\n", IncompleteStreamError, "the source was empty"),
        ("data: [DONE]\n\n", IncompleteStreamError, "the source had no chunk; it begins '[DONE]'"),
        ("hello there\nyou\n", DecodeError, "the body cannot be read: neither an event stream nor JSON; it begins 'hello there\\nyou'"),
        ("recording.sse", DecodeError, "the body cannot be read: neither an event stream nor JSON; a str is a body: pass a pathlib.Path for a file; it begins 'recording.sse'"),
        ("recording.txt", DecodeError, "pass a pathlib.Path for a file"),
        ("recording.jsonl", DecodeError, "pass a pathlib.Path for a file"),
        ("\x1f\x8b\x08", DecodeError, "the body cannot be read: neither an event stream nor JSON; that is gzip: open it with gzip.open()"),
        ('data: {"id":"a"}data: {"id":"b"}\n\n', DecodeError, "; were lines fed without their ends?; it begins"),
        ('  [\n{"id"', IncompleteStreamError, "the source had no chunk; it begins '  [\\n{\"id\"'"),
        ('{"id"', IncompleteStreamError, "the source had no chunk; it begins '{\"id\"'"),
        ('data: {"id":"a","choices":[{"index":5,"delta":{}}]}\n\n', IncompleteStreamError, "the source ended without [DONE] after 1 event, with no finish_reason for choice 5"),
        ('data: {"id":"a","choices":[]}\n\ndata: {"id":"a","choices":[]}\n\n', IncompleteStreamError, "the source ended without [DONE] after 2 events, with no choice"),
        ('data: {"id":"a","choices":[]}\n\nevent: error\ndata: \n\n', ProviderError, "the server reported an error: "),
        ('data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: {"id"', IncompleteStreamError, "the source ended inside an event after 1 event, with every choice finished"),
    ],
)  # fmt: skip
def test_says(body: str, error: type, says: str) -> None:
    raised = error_of(body.encode("latin-1"))
    assert type(raised) is error
    assert says in str(raised)


def test_events_are_counted_up_to_an_error() -> None:
    one = 'data: {"id":"a","choices":[]}\n\n'
    for body, number in (
        (one * 2 + "data: x\n\n", 3),
        (one * 3 + "event: error\ndata: boom\n\n", 4),
        (one + 'error: {"message":"m"}\n', 2),
    ):
        accumulator = Accumulator()
        with pytest.raises(StreamAggError) as caught:
            accumulator.feed(body)
        assert accumulator.events == number
        assert not isinstance(caught.value, DecodeError) or caught.value.event == number


def test_an_error_that_is_no_utf8_or_no_object() -> None:
    assert error_of(b"event: error\ndata: bo\xffom\n\n").message == "bo�om"  # type: ignore[attr-defined]
    assert error_of(b"event: error\ndata: [1]\n\n").body == [1]  # type: ignore[attr-defined]
    assert error_of(b'event: error\ndata: {"choices":null,"k":1}\n\n').body == {"choices": None, "k": 1}  # type: ignore[attr-defined]
    nearly = error_of(b'event: error\ndata: {"error":{"k":NaN}}\n\n')
    assert isinstance(nearly, ProviderError)


def test_a_body_that_is_no_stream_has_its_limit_to_the_byte() -> None:
    line = b"x" * 9 + b"\n"
    accumulator = Accumulator(limits=Limits(event_bytes=50))
    accumulator.feed(line * 5)
    with pytest.raises(LimitError) as caught:
        accumulator.feed(b"\n" + line)
    assert (caught.value.limit, caught.value.bound) == ("event_bytes", 50)
    with pytest.raises(DecodeError) as joined:
        many = Accumulator()
        many.feed(b"ab\n" * 5000)
        many.finish()
    assert joined.value.excerpt == ("ab\n" * 200)[:120] + "..."


def test_what_is_shown_of_an_object() -> None:
    for item, shown in (({"id": "x", "choices": 5}, '{"id":"x","choices":5}'), ({"id": object()}, "dict")):
        with pytest.raises(DecodeError) as caught:
            Accumulator().add(item)
        assert caught.value.excerpt == shown
    for frame in (b"data: nonsense\n\n", b"event: x\ndata: nonsense\n\n"):
        assert error_of(frame).excerpt == "nonsense"  # type: ignore[attr-defined]


def test_an_object_with_choices_is_a_chunk_even_with_data() -> None:
    assert merged(SimpleNamespace(data="x", id="c", choices=[]))["data"] == "x"
