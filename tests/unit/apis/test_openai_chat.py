"""Reading a payload: strictly, tolerantly, or as an object of some client; the same chunk every way."""

from __future__ import annotations

import json
from collections import UserDict
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletionChunk as OpenAIChunk

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    ChatCompletionChunkDelta,
    DecodeError,
    LimitError,
    Limits,
    ProviderError,
    accumulate_sync,
)
from streamagg._apis.base import Payload
from streamagg._apis.openai_chat import OpenAIChat
from tests.support import shared
from tests.support.helpers import chunk, merged, outcome, sse


def refused(payload: Any, **options: Any) -> DecodeError:
    accumulator = Accumulator(**options)
    with pytest.raises(DecodeError) as caught:
        accumulator.add(payload)
    return caught.value


class TestTolerance:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ({"created": "5"}, {"created": 5}),
            ({"created": "1.5"}, {"created": 1.5}),
            ({"id": 7}, {"id": "7"}),
            ({"model": {"name": "m"}}, {"model": '{"name":"m"}'}),
            ({"id": True}, {"id": "true"}),
            ({"choices": [{"index": "0", "delta": {"content": "a"}}]}, {"choices": [{"index": 0, "delta": {"content": "a"}}]}),
            ({"choices": [{"index": 0.0, "delta": {"content": "a"}}]}, {"choices": [{"index": 0, "delta": {"content": "a"}}]}),
            ({"choices": [None, {"index": 0, "delta": {"content": 1.5}}]}, {"choices": [{"index": 0, "delta": {"content": "1.5"}}]}),
            ({"choices": [{"index": 0, "delta": {"tool_calls": [None]}}]}, {"choices": [{"index": 0, "delta": {}}]}),
            ({"choices": [{"index": 0, "delta": []}]}, {"choices": [{"index": 0, "delta": {}}]}),
            ({"usage": {"prompt_tokens": "3", "completion_tokens": 2.0}}, {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
            ({"choices": [{"index": 0, "delta": {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}}]}, {"choices": [{"index": 0, "delta": {"tool_calls": [{"function": {"arguments": '{"a":1}'}}]}}]}),
            ({"choices": [{"index": 0, "logprobs": {"content": [{"token": "a", "logprob": "-1"}]}}]}, {"choices": [{"index": 0, "logprobs": {"content": [{"token": "a", "logprob": -1.0}]}}]}),
        ],
    )  # fmt: skip
    def test_reads(self, given: dict[str, Any], meant: dict[str, Any]) -> None:
        for way in (dict, json.dumps):
            assert merged(way({"object": "x", **given})) == merged({"object": "x", **meant})

    @pytest.mark.parametrize(
        ("payload", "path", "reason"),
        [
            ({"id": "x", "choices": 5}, "$.choices", "expected a list, got a number"),
            ({"id": "x", "choices": {}}, "$.choices", "expected a list, got an object"),
            ({"id": "x", "choices": ["a"]}, "$.choices[0]", "expected an object, got a string"),
            ({"id": "x", "choices": [{}, {"delta": "hi"}]}, "$.choices[1].delta", "expected an object, got a string"),
            ({"id": "x", "choices": [{"index": True}]}, "$.choices[0].index", "expected a number, got a boolean"),
            ({"id": "x", "choices": [{"index": "a"}]}, "$.choices[0].index", "expected a number, got a string"),
            ({"id": "x", "choices": [{"delta": {"tool_calls": [{"function": 5}]}}]}, "$.choices[0].delta.tool_calls[0].function", "expected an object, got a number"),
            ({"id": "x", "usage": "lots"}, "$.usage", "expected an object, got a string"),
            ({"id": "x", "usage": {"prompt_tokens": []}}, "$.usage.prompt_tokens", "expected a number, got a list"),
            ({"id": "x", "created": "now"}, "$.created", "expected a number, got a string"),
            ({"id": "x", "x_groq": {"usage": {"prompt_tokens": "?"}}}, "$.x_groq.usage.prompt_tokens", "expected a number, got a string"),
        ],
    )  # fmt: skip
    def test_refuses(self, payload: dict[str, Any], path: str, reason: str) -> None:
        for way in (dict, json.dumps):
            error = refused(way(payload))
            assert (error.path, error.reason, error.event) == (path, reason, 1)
            assert error.__cause__ is not None
        assert str(refused(json.dumps(payload))).startswith(
            f'event 1 cannot be read at {path}: {reason}; it begins \'{{"id"'
        )

    @pytest.mark.parametrize(
        "payload", ["[]", "5", "null", '"text"', "nonsense", '{"id": "x"', '{"id": "x"}}', "{'id': 'x'}", "\x00"]
    )
    def test_refuses_what_is_no_json_object(self, payload: str) -> None:
        error = refused(payload)
        assert error.path == "$"
        assert isinstance(error, ValueError)
        assert "event 1 cannot be read" in str(error)
        assert len(str(error)) < 400

    def test_the_excerpt_is_short_and_harmless(self) -> None:
        error = refused("\x1b[31m" + "x" * 10_000)
        assert "\x1b" not in str(error)
        assert len(str(error)) < 300

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
    def test_numbers_that_are_none(self, number: str) -> None:
        assert refused('{"id":"x","created":' + number + "}").event == 1
        if not number.startswith("9"):
            body = (
                '{"id":"x","choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"a","logprob":'
                + number
                + "}]}}]}"
            )
            assert '"logprob":null' in accumulate_sync(sse(body)).to_json()

    @pytest.mark.parametrize("text", ['{"id":"x","choices":[]}\x00', '{"id":"x","choices":[],"y":"a\tb"}'])
    def test_nearly_json(self, text: str) -> None:
        assert merged(text)["id"] == "x"

    def test_duplicate_keys_are_the_last(self) -> None:
        strict = '{"id":"a","id":"b","choices":[{"index":0,"delta":{"content":"x"},"delta":{"content":"y"}}]}'
        tolerant = strict.replace('{"id":"a"', '{"unknown":1,"id":"a"')
        for text in (strict, tolerant):
            response = merged(text)
            assert (response["id"], response["choices"][0]["message"]["content"]) == ("b", "y")

    def test_bad_utf8_is_replaced(self) -> None:
        body = (
            b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"a\xff\xe2\x82b"},"finish_reason":"stop"}]}\n\n'
        )
        assert accumulate_sync(body).text == "a\ufffd\ufffdb"


class TestSurrogates:
    def halves(self, *halves: str) -> list[str]:
        return ['{"id":"x","choices":[{"index":0,"delta":{"content":"%s"}}]}' % half for half in halves]

    def test_halves_in_two_chunks_meet(self) -> None:
        assert merged(*self.halves("a\\ud83d", "\\ude00b"))["choices"][0]["message"]["content"] == "a😀b"

    def test_a_half_alone_is_replaced(self) -> None:
        assert merged(*self.halves("a\\ud83d", "b"))["choices"][0]["message"]["content"] == "a\ufffdb"

    @pytest.mark.parametrize("field", ["id", "unknown", "\\ud83d"])
    def test_anywhere_they_do_no_harm(self, field: str) -> None:
        payload = '{"object":"x","choices":[],"%s":["\\ud83d"]}' % field
        accumulator = Accumulator()
        chunks: list[ChatCompletionChunk] = []
        accumulator.deliver = chunks.append
        accumulator.add(payload)
        response = accumulator.snapshot()
        assert response is not None
        for struct in (response, *chunks):
            struct.to_json().encode()

    def test_in_dicts(self) -> None:
        assert (
            merged(chunk({"content": "\ud83d"}), chunk({"content": "\ude00"}))["choices"][0]["message"]["content"]
            == "😀"
        )
        assert (
            merged(chunk({"tool_calls": [{"function": {"arguments": {"a": "\ud83d"}}}]}))["choices"][0]["message"][
                "tool_calls"
            ][0]["function"]["arguments"]
            == '{"a":"\\ud83d"}'
        )


class Color(str, Enum):
    RED = "red"


@dataclass
class Attributes:
    id: Any
    choices: Any
    _private: Any = "hidden"


class Slotted:
    __slots__ = ("content", "unset")

    def __init__(self) -> None:
        self.content = "a"


class Foreign(msgspec.Struct):
    content: str


class PydanticOne:
    """As pydantic 1 models look."""

    def dict(self, *, exclude_unset: bool) -> dict[str, Any]:
        return {"content": "a"}


class TestObjects:
    def deltas(self) -> list[Any]:
        return [
            {"content": "a"},
            SimpleNamespace(content="a"),
            UserDict(content="a"),
            Slotted(),
            Foreign("a"),
            PydanticOne(),
        ]

    def test_of_every_shape(self) -> None:
        for delta in self.deltas():
            item = Attributes(id=Color.RED, choices=({"index": 0, "delta": delta},))
            assert merged(item) == merged({"id": "red", "choices": [{"index": 0, "delta": {"content": "a"}}]})

    @pytest.mark.parametrize(
        "value",
        [b"x", object(), int, {1: 2}, {"id": b"x"}, {"id": object()}, None, 10**5000],
        ids=lambda value: type(value).__name__,
    )
    def test_what_is_no_plain_data_is_refused(self, value: Any) -> None:
        assert refused({"id": "x", "k": value} if value is not None else None).event == 1

    def test_empty_objects_are_empty(self) -> None:
        for empty in (SimpleNamespace(), ChatCompletionChunkDelta(), {}, UserDict()):
            assert merged({"id": "x", "choices": [{"index": 0, "delta": empty}]}) == merged(
                chunk({}, created=None, id="x", model=None)
            )
        Accumulator().add(ChatCompletionChunk())

    def test_a_loop_is_too_deep(self) -> None:
        loop: dict[str, Any] = {"id": "x"}
        loop["self"] = loop
        with pytest.raises(LimitError, match="depth"):
            Accumulator().add(loop)

    def test_openai_objects(self) -> None:
        item = chunk({"content": "a", "vendor": {"k": [1]}}, finish="stop", vendor=1)
        assert merged(OpenAIChunk.model_validate(item)) == merged(item)

    @pytest.mark.full
    @shared.needs_shared
    def test_openai_objects_of_every_recording(self) -> None:
        from tests.support import reference

        for row in shared.MANIFEST:
            chunks, _ = reference.chunks_of(shared.body(row["name"]))
            objects = [OpenAIChunk.construct(**item) for item in chunks]
            assert outcome(objects, add=True) == outcome(chunks, add=True), row["name"]

    def test_events_of_other_libraries(self) -> None:
        item = json.dumps(chunk({"content": "a"}, finish="stop"))
        events = [SimpleNamespace(event="message", data=item), SimpleNamespace(data="[DONE]", id=None)]
        assert accumulate_sync(events).text == "a"
        assert accumulate_sync([SimpleNamespace(event=None, data=json.loads(item))]).text == "a"
        for data in ("boom", {"message": "boom"}, {"error": {"message": "boom"}}):
            with pytest.raises(ProviderError, match="the server reported an error: boom"):
                Accumulator().add(SimpleNamespace(event="error", data=data))
        accumulator = Accumulator()
        accumulator.add(SimpleNamespace(event="message", data=None, id="5"))
        assert accumulator.repairs == {"empty_event": 1}
        accumulator.add(SimpleNamespace(type="chunk", chunk=OpenAIChunk.model_validate_json(item)))
        assert accumulator.finish().text == "a"


class TestWays:
    """The strict and the tolerant way make the same chunk of whatever both can read."""

    def both(self, payload: bytes) -> tuple[Any, Any]:
        reader = OpenAIChat(lambda kind: None, Limits())
        return reader.read(payload), reader.read_tolerantly(payload)

    @shared.needs_shared
    def test_of_every_recording(self) -> None:
        from tests.support import reference

        seen = 0
        for row in shared.MANIFEST:
            for text in reference.payloads(shared.body(row["name"])):
                if text.startswith("{") and "\n" not in text:
                    strict, tolerant = self.both(text.encode())
                    assert strict == tolerant
                    assert msgspec.json.encode(strict) == msgspec.json.encode(tolerant)
                    seen += 1
        assert seen > 14_000

    def test_after_failures_the_strict_way_rests_and_is_tried_again(self) -> None:
        reader = OpenAIChat(lambda kind: None, Limits())
        odd, plain = b'{"id":"x","choices":[],"unknown":1}', b'{"id":"x","choices":[]}'
        for _ in range(300):
            assert isinstance(reader.read(odd), ChatCompletionChunk)
        for _ in range(300):
            assert reader.read(plain) == ChatCompletionChunk(id="x", choices=[])
        assert reader._skip == 0

    def test_sentinels(self) -> None:
        reader = OpenAIChat(lambda kind: None, Limits())
        assert reader.read(b" [DONE]\t") is Payload.DONE
        assert reader.read(b" ") is Payload.SKIPPED
        assert reader.read(b'{"type":"ping"}') is Payload.SKIPPED
        assert reader.read(b"{}") is Payload.SKIPPED


def test_groq_writes_a_number_as_a_string() -> None:
    assert merged(chunk({"content": "a"}, x_groq={"usage": {"prompt_tokens": "5"}}))["usage"] == {"prompt_tokens": 5}
