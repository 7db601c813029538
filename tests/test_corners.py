"""Corners that no other test turns."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    CompletionUsage,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    ServerSentEvent,
    SSEDecoder,
    accumulate_sync,
)
from streamagg._framing.sse import StrayLine
from streamagg._merge.usage import UsageMerge
from tests.support.helpers import chunk, merged, outcome, sse


class Text(str):
    __slots__ = ()


class Real(float):
    __slots__ = ()


def test_what_is_added_after_done_is_ignored() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    accumulator.add("[DONE]")
    accumulator.add(chunk({"content": "b"}))
    assert accumulator.finish().text == "a"


def test_a_bare_line_that_is_too_deep() -> None:
    with pytest.raises(LimitError, match="depth"):
        Accumulator().feed('{"a":' * 100_000 + "1" + "}" * 100_000 + "\n")


def test_unknown_fields_of_choices_on_the_plain_way() -> None:
    items = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({"content": "c"})]
    items[1]["choices"][0]["vendor"] = {"k": 1}
    items[2]["choices"][0]["vendor"] = {"l": 2}
    assert merged(*items)["choices"][0]["vendor"] == {"k": 1, "l": 2}


def test_a_logprob_out_of_range() -> None:
    item = chunk({"content": "a"})
    item["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": 10**400}]}
    with pytest.raises(DecodeError, match="out of range"):
        Accumulator().add(item)


def test_subclasses_of_plain_types() -> None:
    item = {"id": Text("x"), "created": Real(1.5), "choices": [{"index": 0, "delta": {Text("content"): Text("a")}}]}
    assert merged(item) == merged({"id": "x", "created": 1.5, "choices": [{"index": 0, "delta": {"content": "a"}}]})


def test_arguments_for_a_call_that_has_no_function_yet() -> None:
    items = [
        chunk({"content": "a"}),
        chunk({"tool_calls": [{"index": 0, "id": "i"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    ]
    call = {"id": "i", "type": "function", "function": {"arguments": "{}"}}
    assert merged(*items)["choices"][0]["message"]["tool_calls"] == [call]


def test_a_requests_response_is_read_as_it_arrives() -> None:
    body = io.BytesIO(sse(chunk({"content": "a"})))
    raw = SimpleNamespace(read1=lambda size, decode_content: body.read1(min(size, 20)))
    response = SimpleNamespace(raw=raw, _content_consumed=False, iter_content=None)
    assert accumulate_sync(response).text == "a"


def test_padding_that_says_something_is_kept() -> None:
    items = [chunk({"content": "a"}, p=p) for p in ("a", "ab", "abc", "said", "ab")]
    assert outcome([sse(*items)])[0] == merged(*items)
    assert merged(*items)["p"] == "said"


def test_events_not_worth_an_envelope() -> None:
    many = [chunk({"content": str(n)}, **{f"k{m}": n for m in range(12)}) for n in range(40)]
    long = [chunk({"content": str(n) * 3000}) for n in range(40)]
    escaped = [json.dumps(chunk({"content": "a"})).replace('"content"', '"c\\u006fntent"')] * 40
    for items in (many, long, escaped):
        assert outcome([sse(*items)])[0] == merged(*items)


@pytest.mark.parametrize("line", ['error:{"message":"no"}', 'error: {"message":"no"}', ' error:{"message":"no"} '])
def test_an_error_line_needs_no_space_and_may_stand_in_an_open_event(line: str) -> None:
    for before in ("", f"data: {json.dumps(chunk({'content': 'a'}))}\n"):
        with pytest.raises(ProviderError) as caught:
            Accumulator().feed(f"{before}{line}\n")
        assert caught.value.message == "no"


def test_a_line_that_begins_with_error_and_is_none() -> None:
    with pytest.raises(DecodeError, match="neither an event stream nor JSON"):
        accumulate_sync(b"errors: none\n")


def test_what_stands_open_beside_an_open_event_is_lost() -> None:
    item = json.dumps(chunk({"content": "a"}, finish="stop"))
    with pytest.raises(IncompleteStreamError, match="inside an event") as caught:
        accumulate_sync(f'data: {item}\n{{"id":'.encode())
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


def test_what_follows_bare_lines_and_is_no_object() -> None:
    accumulator = Accumulator()
    with pytest.raises(
        DecodeError, match=r"event 2 cannot be read: expected an object, as on the lines before; it begins .nothing."
    ):
        accumulator.feed(f"{json.dumps(chunk({'content': 'a'}))}\nnothing\n")


def test_an_error_on_a_bare_line_needs_no_repair() -> None:
    with pytest.raises(ProviderError, match="no"):
        Accumulator(strict=True).feed('{"choices":[],"error":{"message":"no"}}\n')


def test_a_last_error_event_that_is_no_json_and_no_utf8() -> None:
    with pytest.raises(ProviderError) as caught:
        Accumulator().feed(b"event: error\ndata: caf\xe9\n\n")
    assert caught.value.body == "caf\ufffd"


def test_an_unknown_error_on_a_chunk_like_the_last() -> None:
    assert (
        merged(chunk({"content": "a"}), chunk({"content": "b"}), {**chunk({"content": "c"}), "error": 5})["error"] == 5
    )


def test_strict_takes_nothing_of_a_chunk_whose_id_changed() -> None:
    accumulator = Accumulator(strict=True)
    accumulator.add(chunk({"content": "a"}))
    before = accumulator.snapshot()
    with pytest.raises(DecodeError, match="id_changed"):
        accumulator.add({**chunk({"content": "b"}), "id": "another", "model": "another", "vendor": 1})
    assert accumulator.snapshot() == before


def test_an_added_payload_may_be_as_long_as_an_event() -> None:
    payload = json.dumps(chunk({"content": "a"}))
    accumulator = Accumulator(limits=Limits(event_bytes=len(payload)))
    accumulator.add(payload)
    with pytest.raises(LimitError, match=f"event_bytes.*{len(payload)}") as caught:
        accumulator.add(payload + " ")
    assert caught.value.limit == "event_bytes"


def test_a_whole_answer_is_the_first_event_or_none() -> None:
    answer = {"id": "c1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "a"}}]}
    assert accumulate_sync(sse(answer, done=False)).text == "a"
    for before in (chunk({"role": "assistant"}), answer):
        with pytest.raises(IncompleteStreamError):
            accumulate_sync(sse(before, answer, done=False))
    for other in ({**answer, "object": "chat.completion.chunk"}, {**answer, "choices": [{"index": 0, "delta": {}}]}):
        with pytest.raises(IncompleteStreamError):
            accumulate_sync(sse(other, done=False))


@pytest.mark.parametrize("place", ["chunk", "choice", "choice of text"])
def test_an_error_beside_choices_is_told_as_it_is(place: str) -> None:
    item = chunk({"content": "a"} if place == "choice of text" else {"content": "a", "vendor": ["b"]})
    (item if place == "chunk" else item["choices"][0])["error"] = {"message": "no more", "code": 7}
    with pytest.raises(ProviderError, match="no more") as caught:
        accumulate_sync(sse(chunk({"content": "b"}), item))
    assert caught.value.code == 7
    assert caught.value.partial is not None
    assert caught.value.partial.text == "ba"


def test_groq_writes_a_number_as_a_string() -> None:
    assert merged(chunk({"content": "a"}, x_groq={"usage": {"prompt_tokens": "5"}}))["usage"] == {"prompt_tokens": 5}


def test_how_many_events_were_no_chunks() -> None:
    accumulator = Accumulator()
    accumulator.feed(b"data: \n\n" + sse(chunk({"content": "a"}), done=False) + b"data: \n\ndata: [DONE]\n\n")
    assert (accumulator.events, accumulator.passed, accumulator.done) == (4, 3, True)


def grown(accumulator: Accumulator, item: dict[str, Any]) -> int:
    before = accumulator._merger.size
    accumulator.add(item)
    return accumulator._merger.size - before


@pytest.mark.parametrize("beside", [{}, {"object": None, "provider": "p"}], ids=["plainly", "any way"])
def test_by_how_much_a_response_grows(beside: dict[str, Any]) -> None:
    """The length of its JSON, without what is in it but once."""
    accumulator = Accumulator()
    accumulator.add({**chunk({"content": "a"}), **beside})
    assert grown(accumulator, {**chunk({"content": "x" * 10}), **beside}) == 10
    assert grown(accumulator, {**chunk({"content": "x"}), **beside, "vendor": "abc"}) == 1 + len(',"vendor":"abc"')
    assert grown(accumulator, {**chunk({"content": "x"}), **beside, "vendor": "abcde"}) == 1 + 2
    report = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    assert 50 < grown(accumulator, {**chunk({"content": "x"}, usage=report), **beside}) < 70
    assert grown(accumulator, {**chunk({"content": "x"}, usage=report), **beside}) == 1
    assert grown(accumulator, {**chunk({"content": "x"}, index=1), **beside}) == 1 + 1
    item = {**chunk({"content": "x"}, index=1), **beside}
    item["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -1.5, "bytes": None, "top_logprobs": []}]}
    assert grown(accumulator, item) > 60


@pytest.mark.parametrize("delta", [{"content": "x" * 50}, {"content": "x" * 50, "vendor": ["y"]}])
def test_a_response_may_be_just_as_large(delta: dict[str, Any]) -> None:
    first, second = chunk({"content": "a"}), json.dumps(chunk(delta))
    probe = Accumulator()
    probe.add(first)
    most = probe._merger.size + len(second)
    for limit in (most, most - 1):
        accumulator = Accumulator(limits=Limits(response_size=limit))
        accumulator.add(first)
        if limit == most:
            accumulator.add(second)
        else:
            with pytest.raises(LimitError, match=f"response_size.*{limit}"):
                accumulator.add(second)


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


def test_a_stray_line_that_ends_like_an_error_is_none() -> None:
    body = sse(chunk({"content": "a"}), done=False) + b'server{"message":"x"}\n\n' + sse(chunk(finish="stop"))
    assert outcome([body])[1] is None
    assert (
        outcome([sse(chunk({"content": "a"}), done=False) + b"error: oops\n\n" + sse(chunk(finish="stop"))])[1] is None
    )


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


def test_the_growth_of_a_sum_is_counted() -> None:
    usage = UsageMerge("sum")
    first = usage.add(CompletionUsage(prompt_tokens=9), alone=True)
    assert first > 0
    assert usage.add(CompletionUsage(prompt_tokens=10**15), alone=True) > 0


def test_the_size_of_a_response_begins_at_nothing_and_has_all_of_a_chunk() -> None:
    accumulator = Accumulator()
    assert accumulator._merger.size == 0
    entry = {"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}
    item = chunk({"content": "a" * 100}, usage={"prompt_tokens": 5})
    item["choices"][0]["logprobs"] = {"content": [entry] * 9, "refusal": None}
    accumulator.add(item)
    assert accumulator._merger.size > len(json.dumps([entry] * 9, separators=(",", ":"))) + 100


@pytest.mark.parametrize("name", ["images", "reasoning_details", "tool_calls"])
def test_the_limit_of_items_is_that_of_tool_calls(name: str) -> None:
    accumulator = Accumulator(limits=Limits(tool_calls=2))
    with pytest.raises(LimitError, match="tool_calls") as caught:
        accumulator.add(chunk({name: [{"index": 0, "id": str(n), "type": "x"} for n in range(3)]}))
    assert str(caught.value) == str(LimitError("tool_calls", 2))


def test_usage_of_a_first_chunk_has_a_size() -> None:
    sizes = []
    for more in ({}, {"usage": {"prompt_tokens": 5}}):
        accumulator = Accumulator()
        accumulator.add(chunk({"content": "a"}, **more))
        sizes.append(accumulator._merger.size)
    assert sizes[0] < sizes[1]


def test_usage_added_in_equal_pieces_adds_up() -> None:
    accumulator = Accumulator()
    for _ in range(5):
        accumulator.add(chunk({"content": "a"}, usage={"completion_tokens": 3}))
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    assert snapshot.usage == CompletionUsage(completion_tokens=15, total_tokens=15)


def test_a_body_that_begins_with_a_comment_is_an_event_stream() -> None:
    assert outcome([b": hello\n<html>\n"])[1] is IncompleteStreamError


def test_a_stray_line_after_an_empty_data_line_and_another() -> None:
    found = SSEDecoder(max_event_bytes=1000).read(b"data:\ndata: x\nstray\n\n")
    assert isinstance(found[0], StrayLine)
    assert found[0].inside


def test_images_of_many_chunks_are_counted_together() -> None:
    accumulator = Accumulator(limits=Limits(tool_calls=3))
    images = [{"index": 0, "id": str(n), "type": "x"} for n in range(4)]
    accumulator.add(chunk({"images": images[:2]}))
    with pytest.raises(LimitError):
        accumulator.add(chunk({"images": images[2:]}))


def test_a_last_line_that_is_refused_is_shown() -> None:
    accumulator = Accumulator()
    accumulator.feed(b'{"choices": 5}')
    with pytest.raises(DecodeError) as caught:
        accumulator.finish()
    assert caught.value.excerpt.startswith('{"choices"')
