"""Bodies that are no event stream: plain answers, errors, NDJSON, and those that are none of these."""

from __future__ import annotations

import json

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    StreamAggError,
    accumulate_sync,
)
from tests.support.helpers import HELLO, chunk, fails, merged, outcome, slicings, sse, text_of


class TestBodies:
    """What is no event stream."""

    COMPLETION = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}  # fmt: skip

    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
    def test_a_plain_answer(self, indent: int | None, end: str) -> None:
        body = (json.dumps(self.COMPLETION, indent=indent) + end).encode()
        for slices in slicings(body):
            assert outcome(slices) == (self.COMPLETION, None, True)
            assert outcome(slices, strict=True) == (self.COMPLETION, None, True)

    def test_a_plain_answer_is_complete_without_a_finish_reason(self) -> None:
        answer = json.loads(json.dumps(self.COMPLETION))
        del answer["choices"][0]["finish_reason"]
        assert outcome([json.dumps(answer).encode()]) == (answer, None, True)

    def test_a_plain_answer_that_was_cut(self) -> None:
        for body in (json.dumps(self.COMPLETION).encode(), json.dumps(self.COMPLETION, indent=1).encode()):
            for end in range(1, len(body)):
                error = fails(body[:end])
                assert type(error) is IncompleteStreamError, body[:end]
                assert "it begins" in str(error) or end == 0

    @pytest.mark.parametrize("indent", [None, 2])
    def test_an_error_with_status_200(self, indent: int | None) -> None:
        error = fails(json.dumps({"error": {"message": "quota", "code": "insufficient_quota"}}, indent=indent))
        assert isinstance(error, ProviderError)
        assert (error.message, error.code, error.partial) == ("quota", "insufficient_quota", None)

    @pytest.mark.parametrize(
        "body",
        ["<!DOCTYPE html>\n<html><title>502 Bad Gateway</title></html>\n", "Bad Gateway", "\x1b[31m upstream: x"],
    )
    def test_something_else_shows_its_beginning(self, body: str) -> None:
        for slices in slicings(body.encode()):
            error = fails(*slices)
            assert isinstance(error, DecodeError)
            assert (error.event, error.path, error.partial) == (0, "$", None)
            assert repr(body)[1:20] in str(error)
            assert "\x1b" not in str(error)

    def test_ndjson(self) -> None:
        body = "".join(json.dumps(item) + "\n" for item in HELLO)
        for end in ("", "[DONE]\n", "\n\n"):
            for slices in slicings((body + end).encode()):
                assert outcome(slices) == (merged(*HELLO), None, True)
        assert outcome([body.rstrip("\n").encode()]) == (merged(*HELLO), None, True)

    def test_ndjson_that_was_cut(self) -> None:
        body = "".join(json.dumps(item) + "\n" for item in HELLO).encode()
        assert type(fails(body[:-10])) is IncompleteStreamError
        assert text_of(fails(body[:-10])) == "Hel"

    def test_ndjson_with_a_bad_line(self) -> None:
        error = fails(json.dumps(HELLO[0]) + "\nnonsense\n" + json.dumps(HELLO[2]) + "\n")
        assert isinstance(error, DecodeError)
        assert error.event == 2

    def test_a_fastapi_refusal_shows_its_words(self) -> None:
        assert "Not Found" in str(fails('{"detail": "Not Found"}'))

    def test_a_json_list_is_refused(self) -> None:
        assert isinstance(fails('[\n{"id": "x"}\n]'), DecodeError)

    def test_stray_lines_in_an_event_stream_are_ignored(self) -> None:
        body = b"HTTP noise\n data: {}\n" + sse(*HELLO).replace(b"\n\ndata", b"\n\nnoise: {x\n\ndata", 1)
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)

    def test_a_chunk_after_an_empty_data_line(self) -> None:
        """`data:` and its JSON on the next line (rig #534)."""
        body = "".join(f"data:\n {json.dumps(item)}\n\n" for item in HELLO).encode()
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)

    def test_a_body_without_end_is_bounded(self) -> None:
        error = fails(*[b"<p>\n"] * 100, limits=Limits(event_bytes=100))
        assert isinstance(error, LimitError)


def test_a_line_that_begins_with_error_and_is_none() -> None:
    with pytest.raises(DecodeError, match="neither an event stream nor JSON"):
        accumulate_sync(b"errors: none\n")


def test_a_whole_answer_is_the_first_event_or_none() -> None:
    answer = {"id": "c1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "a"}}]}
    assert accumulate_sync(sse(answer, done=False)).text == "a"
    for before in (chunk({"role": "assistant"}), answer):
        with pytest.raises(IncompleteStreamError):
            accumulate_sync(sse(before, answer, done=False))
    for other in ({**answer, "object": "chat.completion.chunk"}, {**answer, "choices": [{"index": 0, "delta": {}}]}):
        with pytest.raises(IncompleteStreamError):
            accumulate_sync(sse(other, done=False))


def test_a_body_that_begins_with_a_comment_is_an_event_stream() -> None:
    assert outcome([b": hello\n<html>\n"])[1] is IncompleteStreamError


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


def test_an_answer_is_whole_only_by_itself() -> None:
    answer = '{"choices":[{"index":0,"message":{"content":"x"}}]}'
    alone = Accumulator()
    alone.feed(answer)
    assert alone.finish().text == "x"
    for body in (
        f"{answer}\n{answer}\n",
        '{"choices":[{"index":0,"delta":{}},{"index":1,"message":{}}]}',
        '{"choices":[{"index":0,"message":{},"delta":{}}]}',
        '{"id":"x","choices":[]}',
    ):
        accumulator = Accumulator()
        accumulator.feed(body)
        with pytest.raises(StreamAggError):
            accumulator.finish()
        assert not accumulator.complete
