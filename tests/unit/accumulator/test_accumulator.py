"""The accumulator's life: completeness, ends, errors, snapshots, bodies that are no event stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streamagg import (
    REPAIRS,
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    StreamAggError,
)
from tests.support.helpers import chunk, merged, outcome, slicings, sse

HELLO = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}, finish="stop"),
]
ANSWER = {"role": "assistant", "content": "Hello"}


def fails(*slices: bytes | str, **options: Any) -> StreamAggError:
    accumulator = Accumulator(**options)
    with pytest.raises(StreamAggError) as caught:
        for piece in slices:
            accumulator.feed(piece)
        accumulator.finish()
    return caught.value


def text_of(error: StreamAggError) -> str | None:
    return error.partial.text if error.partial is not None else None


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


class TestErrorsInTheStream:
    ERROR = {"message": "boom", "type": "server_error", "code": 502}

    @pytest.mark.parametrize(
        "event",
        [
            'data: {"error": {"message": "boom", "type": "server_error", "code": 502}}\n\n',
            'data: {"object": "error", "message": "boom", "type": "server_error", "code": 502}\n\n',
            'event: error\ndata: {"error": {"message": "boom", "type": "server_error", "code": 502}}\n\n',
            'event: error\ndata: {"message": "boom", "type": "server_error", "code": 502}\n\n',
            'error: {"detail": "x", "error": {"message": "boom", "type": "server_error", "code": 502}}\n',
            '{"error": {"message": "boom", "type": "server_error", "code": 502}}\n',
        ],
    )
    def test_of_every_shape(self, event: str) -> None:
        for before in ([], HELLO[:2], HELLO):
            body = sse(*before, done=False) + event.encode()
            for slices in slicings(body):
                error = fails(*slices)
                assert isinstance(error, ProviderError)
                assert (error.message, error.type, error.code) == ("boom", "server_error", 502)
                assert text_of(error) == (["", None, "Hel", "Hello"][len(before)] if before else None)
                assert str(error) == "the server reported an error (502, server_error): boom"

    @pytest.mark.parametrize(
        "event",
        [
            'data: {"error": "boom"}\n\n',
            "event: error\ndata: boom\n\n",
            'data: {"error": {"error": "boom"}}\n\n',
            'data: {"error": {"detail": {"msg": "boom"}}}\n\n',
        ],
    )
    def test_as_text(self, event: str) -> None:
        error = fails(event)
        assert isinstance(error, ProviderError)
        assert (error.message, error.code, error.type) == ("boom", None, None)
        assert str(error) == "the server reported an error: boom"

    @pytest.mark.parametrize("unknown", [True, 5, [1]])
    def test_what_is_neither_object_nor_string_is_an_unknown_field(self, unknown: Any) -> None:
        item = chunk({"content": "x"}, finish="stop", error=unknown)
        item["choices"][0]["error"] = unknown
        response, error, _ = outcome([sse(chunk({"content": ""}), item)])
        assert response is not None
        assert (response["error"], response["choices"][0]["error"], error) == (unknown, unknown, None)

    @pytest.mark.parametrize("nothing", [None, {}, ""])
    def test_nothing_is_no_error(self, nothing: Any) -> None:
        item = chunk({"content": "x"}, finish="stop", error=nothing)
        item["choices"][0]["error"] = nothing
        assert outcome([sse(item)])[0] == merged(chunk({"content": "x"}, finish="stop"))

    def test_beside_choices_merges_first(self) -> None:
        error = fails(sse(*HELLO[:2], {**HELLO[2], "error": self.ERROR, "usage": {"prompt_tokens": 1}}))
        assert isinstance(error, ProviderError)
        assert text_of(error) == "Hello"
        assert error.partial is not None
        assert error.partial.usage is not None
        assert "error" not in error.partial.to_dict()

    def test_without_choices_merges_nothing(self) -> None:
        error = fails(sse(*HELLO[:2], {"id": "other", "error": self.ERROR, "usage": {"prompt_tokens": 1}, "x": 1}))
        assert error.partial is not None
        assert error.partial.to_dict() == merged(*HELLO[:2])

    def test_event_error_with_choices_merges_first(self) -> None:
        item = json.dumps({**HELLO[1], "error": self.ERROR})
        assert text_of(fails(f"event: error\ndata: {item}\n\n")) == "Hel"

    def test_in_a_choice(self) -> None:
        item = chunk({"content": "x"}, finish="error")
        item["choices"][0]["error"] = self.ERROR
        error = fails(sse(item))
        assert isinstance(error, ProviderError)
        assert error.partial is not None
        assert error.partial.choices[0].to_dict() == {
            "index": 0,
            "message": {"role": "assistant", "content": "x"},
            "finish_reason": "error",
        }


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


class TestFraming:
    def test_data_lines_with_single_newlines(self) -> None:
        body = sse(*HELLO).replace(b"\n\n", b"\n")
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)
            assert outcome([*slices, b"\n"]) == (merged(*HELLO), None, True)

    def test_of_such_an_event_that_was_cut_the_whole_lines_count(self) -> None:
        body = sse(*HELLO).replace(b"\n\n", b"\n")
        error = fails(body[: body.index(b"lo")])
        assert type(error) is IncompleteStreamError
        assert text_of(error) == "Hel"

    def test_of_such_an_event_with_a_bad_line_nothing_counts(self) -> None:
        error = fails(sse(HELLO[0], done=False), f"data: {json.dumps(HELLO[1])}\ndata: nonsense\n\n")
        assert isinstance(error, DecodeError)
        assert (error.event, text_of(error)) == (2, "")

    def test_json_over_several_data_lines(self) -> None:
        body = "".join(
            f"data: {line}\n" for line in json.dumps(chunk({"content": "x"}, finish="stop"), indent=1).split("\n")
        )
        for end in ("\n", ""):
            assert outcome([(body + end).encode()])[0] == merged(chunk({"content": "x"}, finish="stop"))

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
    def test_the_last_event_without_its_blank_line(self, end: bytes) -> None:
        body = sse(*HELLO, done=False).rstrip(b"\n") + end
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)

    def test_the_last_event_cut_anywhere_is_incomplete(self) -> None:
        whole = sse(*HELLO, done=False)
        start = whole.rindex(b"data: ")
        for end in range(start + 1, len(whole) - 3):
            assert outcome([whole[:end]]) == (merged(*HELLO[:2]), IncompleteStreamError, False), whole[start:end]

    @pytest.mark.parametrize("blank", ["data:\n\n", "data: \n\n", "data\n\n", "data:\ndata:\n\n"])
    def test_blank_events_are_passed_over(self, blank: str) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO, done=False) + blank.encode())
        assert accumulator.finish().text == "Hello"
        assert accumulator.repairs == {"empty_event": 1}

    def test_lines_without_their_ends_are_named(self) -> None:
        error = fails(*sse(*HELLO).decode().splitlines())
        assert "were lines fed without their ends?" in str(error)

    def test_unicode_separators_are_text(self) -> None:
        text = "a\u2028b\u2029c\x85d"
        body = f"data: {json.dumps(chunk({'content': text}, finish='stop'), ensure_ascii=False)}\n\n".encode()
        for slices in slicings(body):
            assert outcome(slices)[0] == merged(chunk({"content": text}, finish="stop"))


ODD: dict[str, tuple[list[Any], str]] = {
    "adjacent_data_lines": ([sse(*HELLO).replace(b"\n\n", b"\n") + b"\n"], "feed"),
    "bare_json_line": ([json.dumps(HELLO[2]) + "\n"], "feed"),
    "choice_index_missing": ([{"id": "c1", "choices": [{"delta": {}}]}], "add"),
    "choices_missing": ([{"id": "c1", "choices": None}], "add"),
    "delta_missing": ([{"id": "c1", "choices": [{"index": 0, "delta": None}]}], "add"),
    "empty_event": (["data: \n\n"], "feed"),
    "id_changed": ([{"id": "a", "choices": []}, {"id": "", "choices": []}, {"id": "b", "choices": []}], "add"),
    "invalid_utf8": ([b'data: {"id": "\xff", "choices": []}\n\n'], "feed"),
    "list_for_object": ([{"id": "x", "choices": [{"index": 0, "delta": []}]}], "add"),
    "nonstandard_json": ([b'data: {"id": "x", "choices": [], "x": NaN}\n\n'], "feed"),
    "not_a_chunk": ([{"type": "ping"}], "add"),
    "null_item": ([{"id": "x", "choices": [None]}], "add"),
    "number_in_string": ([{"id": "x", "created": "5", "choices": []}], "add"),
    "tool_call_split": ([chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}] * 2})], "add"),
    "tool_id_null": ([chunk({"tool_calls": [{"index": 0, "id": "null"}]})], "add"),
    "tool_id_repeated": ([chunk({"tool_calls": [{"index": 0, "id": "a"}] * 2})], "add"),
    "tool_index_missing": ([chunk({"tool_calls": [{"id": "a"}]})], "add"),
    "tool_index_reused": ([chunk({"tool_calls": [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}]})], "add"),
    "tool_name_repeated": ([chunk({"function_call": {"name": "f"}})] * 2, "add"),
    "unterminated_event": ([sse(*HELLO, done=False)[:-1]], "feed"),
    "value_for_string": ([{"id": 5, "choices": []}], "add"),
}  # fmt: skip


class TestRepairs:
    def push(self, kind: str, **options: Any) -> Accumulator:
        items, way = ODD[kind]
        accumulator = Accumulator(**options)
        try:
            for item in items:
                (accumulator.add if way == "add" else accumulator.feed)(item)
            accumulator.finish()
        except IncompleteStreamError:
            pass
        return accumulator

    def test_every_kind_is_here(self) -> None:
        assert set(ODD) == set(REPAIRS)

    @pytest.mark.parametrize("kind", ODD)
    def test_is_counted(self, kind: str) -> None:
        assert self.push(kind).repairs == {kind: 1}

    @pytest.mark.parametrize("kind", ODD)
    def test_when_strict_is_an_error_that_merges_nothing(self, kind: str) -> None:
        accumulator = Accumulator(strict=True)
        accumulator.add(chunk({"content": "before"}, id="a" if kind == "id_changed" else "c1"))
        if kind == "tool_name_repeated":
            accumulator.add(ODD[kind][0][0])
        before = accumulator.snapshot()
        items, way = ODD[kind]
        with pytest.raises(DecodeError, match=kind) as caught:
            for item in items[kind == "tool_name_repeated" :]:
                (accumulator.add if way == "add" else accumulator.feed)(item)
                before = accumulator.snapshot()
            accumulator.finish()
        assert caught.value.partial == before
        assert accumulator.repairs == {}

    def test_a_clean_stream_needs_none(self) -> None:
        assert outcome([sse(*HELLO)], strict=True) == (merged(*HELLO), None, True)
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO))
        assert accumulator.repairs == {}
        with pytest.raises(TypeError):
            accumulator.repairs["x"] = 1  # type: ignore[index]

    def test_a_refused_chunk_counts_none(self) -> None:
        accumulator = Accumulator()
        with pytest.raises(DecodeError):
            accumulator.add({"id": 5, "choices": [{"index": "1", "delta": "x"}]})
        assert accumulator.repairs == {}
        accumulator = Accumulator(limits=Limits(choices=2))
        with pytest.raises(LimitError):
            accumulator.add({"id": 5, "choices": [{"delta": []}] * 3})
        assert accumulator.repairs == {}


class TestLimits:
    def test_are_checked(self) -> None:
        for wrong in ({"depth": -1}, {"choices": 1.5}, {"event_bytes": "5"}):
            with pytest.raises(ValueError, match="must be a whole number"):
                Limits(**wrong)  # type: ignore[arg-type]

    def test_when_strict_tool_calls_cost_the_same(self) -> None:
        """No copy of the calls so far for each fragment."""
        from tests.support.steps import steps_of

        def run(calls: int) -> int:
            accumulator = Accumulator(strict=True)
            for n in range(calls):
                accumulator.add(
                    chunk(
                        {
                            "tool_calls": [
                                {
                                    "index": n,
                                    "id": str(n),
                                    "type": "function",
                                    "function": {"name": "f", "arguments": "{}"},
                                }
                            ]
                        }
                    )
                )
            return steps_of(
                lambda: accumulator.add(chunk({"tool_calls": [{"index": 3, "function": {"arguments": "{"}}]}))
            )

        assert run(400) <= 1.1 * run(40)

    def test_choices(self) -> None:
        two = {"id": "x", "choices": [{"index": 5, "delta": {"content": "a"}}, {"index": 6, "delta": {"content": "b"}}]}
        three = {"id": "x", "choices": [*two["choices"], {"index": 7, "delta": {"content": "c"}}]}
        assert len(merged(two, two, limits=Limits(choices=2))["choices"]) == 2
        for limited, items in ((2, [three]), (2, [two, three]), (1, [two])):
            error = limit_error(items, choices=limited)
            assert (error.limit, error.bound) == ("choices", limited)
            assert (error.partial.to_dict() if error.partial else None) == (merged(two) if len(items) == 2 else None)

    def test_items_of_one_index(self) -> None:
        items = [chunk({"reasoning_details": [{"index": 0, "id": str(n), "data": "x"}]}) for n in range(4)]
        assert limit_error(items, tool_calls=3).limit == "tool_calls"
        plain = [chunk({"reasoning_details": [{"index": 0, "text": "x"}]})] * 9
        assert merged(*plain, limits=Limits(tool_calls=1))["choices"][0]["message"]["reasoning_details"] == [
            {"index": 0, "text": "x" * 9}
        ]

    @pytest.mark.parametrize(
        "grows",
        [
            {"content": "x" * 30},
            {"reasoning": "x" * 30},
            {"refusal": "x" * 30},
            {"unknown": "x" * 30},
            {"unknown": ["x" * 30]},
            {"audio": {"data": "x" * 30}},
            {"annotations": [{"k": "x" * 30}]},
            {"reasoning_details": [{"index": 0, "text": "x" * 30}]},
            {"content": [{"type": "text", "text": "x" * 30}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "x" * 30}}]},
            {"function_call": {"arguments": "x" * 30}},
        ],
    )
    def test_size_of_the_response(self, grows: dict[str, Any]) -> None:
        error = limit_error([chunk(grows)] * 100, response_size=1000, event_bytes=500)
        assert error.limit == "response_size"
        assert error.partial is not None
        assert 300 < len(error.partial.to_json()) < 3000

    def test_size_of_what_is_replaced_counts_once(self) -> None:
        same = [chunk(citations=["x" * 50], unknown={"k": "y" * 50})] * 500
        assert merged(*same, limits=Limits(response_size=1000, event_bytes=500))["citations"] == ["x" * 50]
        growing = [chunk(**{f"field{n}": "x" * 50}) for n in range(100)]
        assert limit_error(growing, response_size=1000, event_bytes=500).limit == "response_size"

    @pytest.mark.parametrize("place", ["chunk", "choice", "delta", "part", "call"])
    @pytest.mark.parametrize("way", ["feed", "add"])
    def test_depth(self, place: str, way: str) -> None:
        for depth, passes in ((20, True), (60, False), (100_000, False)):
            text = '{"a":' * depth + "1" + "}" * depth
            body = {
                "chunk": f'{{"id":"x","choices":[],"x_groq":{text}}}',
                "choice": f'{{"id":"x","choices":[{{"index":0,"delta":{{}},"content_filter_results":{text}}}]}}',
                "delta": f'{{"id":"x","choices":[{{"index":0,"delta":{{"unknown":{text}}}}}]}}',
                "part": f'{{"id":"x","choices":[{{"index":0,"delta":{{"content":[{text}]}}}}]}}',
                "call": f'{{"id":"x","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"extra_content":{text}}}]}}}}]}}',
            }[place]
            if way == "add" and depth == 100_000:
                continue
            items = [json.loads(body)] if way == "add" else [f"data: {body}\n\n"]
            response, error, _ = outcome([*items], add=way == "add", limits=Limits(depth=40))
            assert (error is LimitError) is not passes
            assert (response is None) is not passes

    def test_an_event(self) -> None:
        error = fails(sse(*HELLO[:2], chunk({"content": "x" * 1000}), HELLO[2]), limits=Limits(event_bytes=500))
        assert isinstance(error, LimitError)
        assert (error.limit, text_of(error)) == ("event_bytes", "Hel")
        assert isinstance(limit_error([chunk({"content": "x" * 1000})], event_bytes=500), LimitError)


def limit_error(chunks: list[Any], **limits: int) -> LimitError:
    accumulator = Accumulator(limits=Limits(**limits))
    with pytest.raises(LimitError) as caught:
        for item in chunks:
            accumulator.add(item)
    assert caught.value.partial == accumulator.snapshot()
    return caught.value
