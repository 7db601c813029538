"""Typed answers: content and arguments as the caller's own types, and errors that say where."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, Literal

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from typing_extensions import TypedDict

from streamagg import (
    ChatCompletionMessage,
    ParseError,
    StreamAggError,
    ToolCallFunction,
    accumulate_sync,
)
from tests.support.helpers import chunk, sse


class AsStruct(msgspec.Struct):
    city: str
    days: list[int] = []


@dataclass
class AsDataclass:
    city: str
    days: list[int]


class AsTypedDict(TypedDict):
    city: str
    days: list[int]


@attrs.define
class AsAttrs:
    city: str
    days: list[int]


class AsPydantic(pydantic.BaseModel):
    city: str
    days: list[int] = []


@pydantic.dataclasses.dataclass
class AsPydanticDataclass:
    city: str
    days: list[int] = pydantic.Field(max_length=3)


KINDS = [AsStruct, AsDataclass, AsAttrs, AsPydantic, AsPydanticDataclass]
TEXT = '{"city": "Malmö", "days": [1, 2]}'


@pytest.mark.parametrize("kind", KINDS)
def test_content_and_arguments_as_every_kind_of_class(kind: type) -> None:
    for value in (ChatCompletionMessage(content=TEXT).parse(kind), ToolCallFunction(arguments=TEXT).parse(kind)):
        assert type(value) is kind
        assert (value.city, value.days) == ("Malmö", [1, 2])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (AsTypedDict, TEXT, {"city": "Malmö", "days": [1, 2]}),
        (list[AsStruct], f"[{TEXT}]", [AsStruct("Malmö", [1, 2])]),
        (AsStruct | list[int], "[1]", [1]),
        (Literal["yes", "no"], '"yes"', "yes"),
        (Any, "\n 1.5 ", 1.5),
    ],
)
def test_what_is_made_of_them(kind: Any, text: str, value: Any) -> None:
    assert ChatCompletionMessage(content=text).parse(kind) == value


def test_text_parts_are_joined() -> None:
    parts = [
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": TEXT[:9]},
        {"type": "text", "text": TEXT[9:]},
    ]
    assert ChatCompletionMessage(content=parts).parse(AsStruct) == AsStruct("Malmö", [1, 2])


def test_from_a_stream() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": TEXT[:7]}}
    more = {"index": 0, "function": {"arguments": TEXT[7:]}}
    body = sse(chunk({"content": TEXT, "tool_calls": [call]}), chunk({"tool_calls": [more]}, finish="tool_calls"))
    message = accumulate_sync(body).choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function is not None
    assert message.parse(AsStruct) == message.tool_calls[0].function.parse(AsStruct) == AsStruct("Malmö", [1, 2])


@pytest.mark.parametrize("arguments", ["", None])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    class Nothing(msgspec.Struct):
        limit: int = 10

    assert ToolCallFunction(name="f", arguments=arguments).parse(Nothing).limit == 10
    with pytest.raises(ParseError, match="the arguments of 'f' cannot be read: Object missing required field `city`"):
        ToolCallFunction(name="f", arguments=arguments).parse(AsStruct)


@pytest.mark.parametrize(
    ("kind", "text", "path", "reason"),
    [
        (AsStruct, '{"city": "x", "days": [1, "two"]}', "$.days[1]", "Expected `int`, got `str`"),
        (AsDataclass, '{"city": 1, "days": []}', "$.city", "Expected `str`, got `int`"),
        (AsTypedDict, '{"city": "x"}', "$", "Object missing required field `days`"),
        (dict[int, int], '{"a": 1}', "$", "Expected `int`, got `str` as a key"),
        (AsStruct, '{"city": "x"', "$", "Input data was truncated"),
        (AsStruct, "Sure! {}", "$", "JSON is malformed: invalid character (byte 0)"),
        (
            AsPydantic,
            '{"city": "x", "days": [1, "two"]}',
            "$.days[1]",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (AsPydantic, '{"city": 1, "days": 2}', "$.city", "Input should be a valid string (and 1 more)"),
        (AsPydantic, '{"city":', "$", "Invalid JSON: EOF while parsing a value at line 1 column 8"),
        (
            AsPydanticDataclass,
            '{"city": "x", "days": [1, 2, 3, 4]}',
            "$.days",
            "List should have at most 3 items after validation, not 4",
        ),
        (Any, "[" * 9999, "$", "maximum recursion depth exceeded while deserializing an object"),
        (Any, '"\ud83d"', "$", "'utf-8' codec can't encode character '\\ud83d' in position 1: surrogates not allowed"),
    ],
)
def test_errors_keep_the_path_and_the_text(kind: Any, text: str, path: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        ChatCompletionMessage(content=text).parse(kind)
    error = caught.value
    assert (error.path, error.text, error.reason) == (path, text, reason)
    assert isinstance(error, StreamAggError)
    assert isinstance(error, ValueError)
    assert error.__cause__ is not None
    at = "" if path == "$" else f" at {path}"
    assert str(error).startswith(f"the content cannot be read{at}: {reason}; it begins ")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (ChatCompletionMessage(), "there is none"),
        (ChatCompletionMessage(content=""), "there is none"),
        (ChatCompletionMessage(content=[]), "there is none"),
        (ChatCompletionMessage(refusal="I can't help with that."), """the model refused: "I can't help with that.\""""),
    ],
)
def test_no_content(message: ChatCompletionMessage, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        message.parse(AsStruct)
    assert str(caught.value) == f"the content cannot be read: {reason}"
    assert (caught.value.text, caught.value.path) == ("", "$")


def test_a_type_that_cannot_be_read_is_the_callers_mistake() -> None:
    with pytest.raises(TypeError, match="more than one dict-like type"):
        ChatCompletionMessage(content="{}").parse(AsStruct | AsDataclass)
