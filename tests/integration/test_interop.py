"""Into other libraries' types and back, the wire's JSON Schema, and OpenTelemetry's names."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import jsonschema
import openai
import pytest
from hypothesis import given
from openai.types.chat import ChatCompletion, ChatCompletionMessageCustomToolCall

from streamagg import (
    ChatCompletionChunk,
    ChatCompletionResponse,
    DecodeError,
    LimitError,
    accumulate_sync,
    replay,
)
from tests.support import shared
from tests.support.forms import RESPONSE_DICT, response_of
from tests.support.serving import serve
from tests.support.strategies import RESPONSE

COMPLETE = [row for row in shared.MANIFEST if row["complete"]]
every_complete_recording = pytest.mark.parametrize("row", COMPLETE, ids=shared.ids(COMPLETE))


def answered(plain: Any) -> ChatCompletion:
    """The completion that the openai client makes of a server's plain answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(plain).encode()})

    with serve(app) as url, openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client:
        return client.chat.completions.create(model="m", messages=[])


@pytest.mark.parametrize(
    "plain",
    [RESPONSE_DICT, {**RESPONSE_DICT, "created": 1.5, "id": None, "choices": [{"message": {"content": [1]}, "finish_reason": "eos"}]}],
    ids=["usual", "odd"],
)  # fmt: skip
def test_it_is_what_the_openai_client_makes(plain: Any) -> None:
    theirs = answered(plain)
    ours = response_of(plain).to_openai()
    assert type(ours) is ChatCompletion
    assert ours.model_dump(exclude_none=True, warnings=False) == response_of(plain).to_dict()
    assert ChatCompletionResponse.from_openai(theirs) == ChatCompletionResponse.from_openai(ours) == response_of(plain)


def test_its_parts_have_their_own_types() -> None:
    completion = response_of(RESPONSE_DICT).to_openai()
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.arguments == '{"x":1}'
    assert isinstance(calls[1], ChatCompletionMessageCustomToolCall)
    assert completion.usage is not None
    assert completion.usage.total_tokens == 8
    assert completion.choices[1].message.content is None
    assert completion.model_extra == {"provider": "P"}


@shared.needs_shared
@pytest.mark.sampled(10)
@every_complete_recording
def test_every_recording_goes_there_and_back(row: dict[str, Any]) -> None:
    response = accumulate_sync(shared.body(row["name"]))
    assert ChatCompletionResponse.from_openai(response.to_openai()) == response
    assert ChatCompletionResponse.from_openai(response.to_dict()) == response


def test_from_openai_refuses_what_is_no_completion() -> None:
    with pytest.raises(DecodeError, match="expected an object with choices"):
        ChatCompletionResponse.from_openai({"id": "x"})
    with pytest.raises(DecodeError, match="expected plain data, got object"):
        ChatCompletionResponse.from_openai(object())
    with pytest.raises(DecodeError, match=r"at \$.choices\[0\].message: expected an object, got a string"):
        ChatCompletionResponse.from_openai({"choices": [{"message": "hi"}]})
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(LimitError, match="depth"):
        ChatCompletionResponse.from_openai({"choices": deep})


def test_without_openai_it_says_so() -> None:
    code = (
        "import sys; sys.modules['openai'] = None; import streamagg\n"
        "try: streamagg.ChatCompletionResponse().to_openai()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "to_openai() needs the openai package: pip install openai\n"


SCHEMA = ChatCompletionResponse.json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CHUNK_VALIDATOR = jsonschema.Draft202012Validator(ChatCompletionChunk.json_schema())


def test_the_schema_is_of_the_wires_shape() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$ref"] == "#/$defs/ChatCompletionResponse"
    for definition in SCHEMA["$defs"].values():
        assert "extra" not in definition["properties"]
        assert "additionalProperties" not in definition
    VALIDATOR.validate({**RESPONSE_DICT, "vendor": {"extra": 1}, "extra": 2})
    for wrong in ({"choices": {}}, {"choices": [{"message": "hi"}]}, {"usage": {"prompt_tokens": "3"}}, []):
        assert not VALIDATOR.is_valid(wrong)


@shared.needs_shared
@pytest.mark.sampled(10)
@every_complete_recording
def test_every_recording_is_valid(row: dict[str, Any]) -> None:
    response = accumulate_sync(shared.body(row["name"]))
    VALIDATOR.validate(response.to_dict())
    for each in replay(response):
        CHUNK_VALIDATOR.validate(each.to_dict())


@given(RESPONSE)
def test_every_response_is_valid(plain: Any) -> None:
    VALIDATOR.validate(response_of(plain).to_dict())
