"""The accumulator's life: completeness, ends, errors, snapshots, bodies that are no event stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    Limits,
    StreamAggError,
)
from tests.support.helpers import HELLO, chunk, fails, merged, outcome, slicings, so_far, sse


class TestCompleteness:
    @pytest.mark.parametrize(
        ("body", "complete"),
        [
            (sse(*HELLO), True),
            (sse(*HELLO, done=False), True),
            (sse(*HELLO[:2]), True),  # [DONE] without a finish reason (TGI)
            (sse(*HELLO[:2], done=False), False),
            (sse(*HELLO, done=False) + b": keep-alive", True),
            (sse(*HELLO, done=False) + b"retry: 1", True),
            (sse(*HELLO, done=False) + b" \n ", True),
            (sse(*HELLO, done=False) + b"data: {", False),
            (sse(*HELLO, done=False) + b"dat", False),
            (sse(*HELLO, done=False) + b"event: error\n", False),
            (sse(*HELLO) + b"data: {", True),
            (sse(*HELLO, chunk({"content": "x"}, index=1), done=False), False),
            (sse({"id": "x", "choices": [], "usage": {"prompt_tokens": 1}}, done=False), False),
        ],
    )
    def test_of(self, body: bytes, complete: bool) -> None:
        for slices in slicings(body):
            assert outcome(slices)[1:] == (None if complete else IncompleteStreamError, complete)

    def test_can_be_read_at_any_time(self) -> None:
        accumulator = Accumulator()
        seen = [accumulator.complete]
        for item in HELLO:
            accumulator.add(item)
            seen.append(accumulator.complete)
        assert seen == [False, False, False, True]

    @pytest.mark.parametrize(
        "body", [b"", b"\n\n", b": only comments\n\n", b"data: [DONE]\n\n", b"event: x\n\n", b"\xef\xbb\xbf"]
    )
    def test_no_chunk_is_no_response(self, body: bytes) -> None:
        error = fails(body)
        assert type(error) is IncompleteStreamError
        assert error.partial is None

    @pytest.mark.parametrize("reason", ["length", "content_filter", "eos", "error"])
    def test_any_finish_reason_is_a_result(self, reason: str) -> None:
        response, error, _ = outcome([sse(chunk({"content": "x"}, finish=reason))])
        assert response is not None
        assert (response["choices"][0]["finish_reason"], error) == (reason, None)

    def test_the_message_says_what_is_missing(self) -> None:
        assert str(fails(sse(*HELLO[:2], done=False))) == (
            "the source ended without [DONE] after 2 events, with no finish_reason for choice 0"
        )
        assert "inside an event after 3 events, with every choice" in str(fails(sse(*HELLO, done=False) + b"data: {"))
        assert str(fails(b"")) == "the source was empty"
        assert 'it begins \'{"type": "ping"}\'' in str(fails(sse({"type": "ping"}, done=False)))


class TestDone:
    @pytest.mark.parametrize(
        "end",
        [
            "data: [DONE]\n\n",
            "data:[DONE]\n\n",
            "data:  [DONE] \r\n\r\n",
            "event: done\ndata: [DONE]\n\n",
            "data: [DONE]",
            "[DONE]\n",
        ],
    )
    def test_ends_the_stream(self, end: str) -> None:
        body = sse(*HELLO[:2], done=False) + end.encode()
        for slices in slicings(body):
            assert outcome(slices)[1] is None
            assert outcome([*slices, b""])[2]

    @pytest.mark.parametrize(
        "after",
        [
            b"garbage",
            b'data: {"error": "x"}\n\n',
            b"data: {\n\n",
            b"data: " + b"x" * 9999,
            b"event: error\ndata: x\n\n",
        ],
    )
    def test_what_follows_is_ignored(self, after: bytes) -> None:
        for slices in slicings(sse(*HELLO) + after):
            response, error, complete = outcome(slices, limits=Limits(event_bytes=5000))
            assert (error, complete) == (None, True)
            assert response == merged(*HELLO)

    @pytest.mark.parametrize("after", [HELLO[1], "garbage", {"error": "x"}])
    def test_what_follows_is_ignored_in_a_large_feed(self, after: Any) -> None:
        """The feed is read in slices: [DONE] in one of them ends the next ones too."""
        body = sse(*HELLO, chunk({"content": "x" * 60_000})) + b": comment\n\n" * 6000 + sse(after)
        for slices in ([body], [body[:100_000], body[100_000:]]):
            assert outcome(slices)[:2] == (merged(*HELLO, chunk({"content": "x" * 60_000})), None)

    def test_is_compared_whole(self) -> None:
        assert isinstance(fails(sse(*HELLO, "[DONE]x", done=False)), DecodeError)

    def test_as_text_it_is_text(self) -> None:
        assert outcome([sse(chunk({"content": "[DONE]"}), chunk({"content": "data: [DONE]\n\n"}, finish="stop"))])[
            0
        ] == merged(chunk({"content": "[DONE]data: [DONE]\n\n"}, finish="stop"))


class TestLife:
    def test_finish_twice_gives_the_same(self) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO))
        assert accumulator.finish() == accumulator.finish()
        assert accumulator.finish() is accumulator.finish()
        assert accumulator.snapshot() == accumulator.finish()
        assert accumulator.snapshot() is not accumulator.finish()

    def test_failure_twice_is_the_same(self) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO[:2], done=False))
        errors = []
        for _ in range(2):
            with pytest.raises(IncompleteStreamError) as caught:
                accumulator.finish()
            errors.append(caught.value)
        assert errors[0] is errors[1]

    @pytest.mark.parametrize("again", [lambda a: a.feed(b"x"), lambda a: a.add({}), lambda a: a.finish()])
    def test_after_an_error_it_stays_failed(self, again: Callable[[Accumulator], object]) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO[:2], done=False))
        with pytest.raises(DecodeError) as first:
            accumulator.feed(sse("nonsense", HELLO[2]))
        with pytest.raises(DecodeError) as second:
            again(accumulator)
        assert first.value is second.value
        assert not accumulator.complete
        snapshot = accumulator.snapshot()
        assert snapshot is not None
        assert snapshot == first.value.partial
        assert snapshot.text == "Hel"

    def test_input_after_finish_is_a_mistake(self) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO, done=False))
        accumulator.finish()
        with pytest.raises(RuntimeError, match="after finish"):
            accumulator.feed(b"x")
        with pytest.raises(RuntimeError, match="after finish"):
            accumulator.add({})

    def test_feed_and_add_may_be_mixed(self) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(HELLO[0], done=False))
        accumulator.add(HELLO[1])
        accumulator.feed(sse(HELLO[2]))
        assert accumulator.finish().text == "Hello"

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
    def test_what_feed_takes(self, kind: Callable[[bytes], Any]) -> None:
        accumulator = Accumulator()
        accumulator.feed(kind(sse(*HELLO)))
        assert accumulator.finish().text == "Hello"
        for wrong in (None, 10, [100, 97], {"id": "x"}):
            with pytest.raises(TypeError, match="feed takes bytes"):
                Accumulator().feed(wrong)  # type: ignore[arg-type]

    def test_a_large_feed_is_one_body(self) -> None:
        text = "x" * 500_000
        assert outcome([sse(chunk({"content": text}), *[chunk({"content": "y"})] * 2000, chunk(finish="stop"))])[
            0
        ] == merged(chunk({"content": text + "y" * 2000}, finish="stop"))


class TestSnapshots:
    RICH = chunk(
        {
            "content": [{"type": "text", "text": "a"}],
            "tool_calls": [
                {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{"}, "extra_content": {"k": [1]}}
            ],
            "reasoning_details": [{"index": 0, "text": "t", "k": {"l": [1]}}],
            "annotations": [{"k": [1]}],
            "audio": {"data": "x"},
            "unknown": {"k": [{"l": 1}]},
        },
        x_groq={"k": [1]},
        usage={"prompt_tokens": 1, "x": {"y": 1}},
    )
    RICH["choices"][0]["logprobs"] = {
        "content": [{"token": "a", "bytes": [1], "top_logprobs": [{"token": "b", "bytes": [2]}]}]
    }

    def test_never_alias(self) -> None:
        """Whatever is done to a snapshot, or to a chunk after it was added, shows nowhere else."""
        accumulator = Accumulator()
        item = json.loads(json.dumps(self.RICH))
        accumulator.add(item)
        ruin(item)
        first = accumulator.snapshot()
        assert first is not None
        wanted = first.to_dict()
        for _ in range(2):
            victim = accumulator.snapshot()
            ruin(victim)
        ruin(first.to_dict())
        assert first.to_dict() == wanted
        again = accumulator.snapshot()
        assert again is not None
        assert again.to_dict() == wanted

    def test_are_independent_of_what_follows(self) -> None:
        accumulator = Accumulator()
        accumulator.add(self.RICH)
        first = accumulator.snapshot()
        assert first is not None
        wanted = first.to_dict()
        accumulator.add(self.RICH)
        assert first.to_dict() == wanted

    def test_none_before_the_first_chunk(self) -> None:
        accumulator = Accumulator()
        accumulator.feed(b": hi\n\ndata: {")
        assert accumulator.snapshot() is None


def ruin(value: Any) -> None:
    """Change every container within reach."""
    if isinstance(value, dict):
        for item in value.values():
            ruin(item)
        if value or type(value) is dict:
            value["ruined"] = True
    elif isinstance(value, list):
        for item in value:
            ruin(item)
        value.append("ruined")
    elif hasattr(value, "__struct_fields__"):
        for name in value.__struct_fields__:
            ruin(getattr(value, name))
            if isinstance(getattr(value, name), str):
                setattr(value, name, "ruined")


def test_what_is_added_after_done_is_ignored() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    accumulator.add("[DONE]")
    accumulator.add(chunk({"content": "b"}))
    assert accumulator.finish().text == "a"


def test_how_many_events_were_no_chunks() -> None:
    accumulator = Accumulator()
    accumulator.feed(b"data: \n\n" + sse(chunk({"content": "a"}), done=False) + b"data: \n\ndata: [DONE]\n\n")
    assert (accumulator.events, accumulator.view.chunks, accumulator.done) == (4, 1, True)


def test_a_call_of_the_wrong_type_names_it() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"^feed takes bytes, not int: add\(\) takes chunks$"):
        Accumulator().feed(wrong)


def test_text_fed_with_half_a_surrogate_pair() -> None:
    accumulator = Accumulator()
    accumulator.feed('data: {"id":"x","choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}\n\ndata: [DONE]\n\n')
    assert accumulator.finish().text.startswith("a")
    assert accumulator.repairs == {"invalid_utf8": 1}


def test_input_after_finish_says_what_to_do() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}, finish="stop"))
    accumulator.finish()
    for again in (accumulator.feed, accumulator.add):
        with pytest.raises(RuntimeError, match=r"^input after finish\(\): use a new Accumulator for another stream$"):
            again(b"data: {}\n\n")


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


def test_a_text_with_half_a_pair_is_added() -> None:
    accumulator = Accumulator()
    accumulator.add('{"id":"x","choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}')
    assert so_far(accumulator).startswith("a\ufffd")
