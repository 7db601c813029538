"""Every recording of real servers: its expected response, in many slicings and by every way in."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from streamagg import (
    ChatCompletionResponse,
    IncompleteStreamError,
    ProviderError,
    StreamAggError,
    accumulate,
)
from tests.support import reference, shared
from tests.support.forms import structs_of, texts_of
from tests.support.helpers import Outcome, outcome, slicings, strip_nulls

pytestmark = [shared.needs_shared, pytest.mark.sampled(10)]

every_recording = pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))


def wanted(row: dict[str, Any]) -> Outcome:
    error = ProviderError if row["error"] == "provider" else None if row["complete"] else IncompleteStreamError
    return shared.expected(row["name"]), error, row["complete"]


@every_recording
def test_response_in_every_slicing(row: dict[str, Any]) -> None:
    for slices in slicings(shared.body(row["name"])):
        assert outcome(slices) == wanted(row)


@pytest.mark.anyio
async def test_every_recording_through_the_async_driver() -> None:
    """Under each event loop, in slices as a network gives them."""

    async def slices(body: bytes) -> AsyncIterator[bytes]:
        for place in range(0, len(body), 1400):
            yield body[place : place + 1400]

    for row in shared.MANIFEST:
        body = shared.body(row["name"])
        try:
            response, error = await accumulate(slices(body)), None
        except StreamAggError as caught:
            assert caught.partial is not None
            response, error = caught.partial, type(caught)
        assert (strip_nulls(response.to_dict()), error) == wanted(row)[:2]


@every_recording
def test_chunks_as_bytes_dicts_and_structs(row: dict[str, Any]) -> None:
    chunks, done = reference.chunks_of(shared.body(row["name"]))
    end = ["[DONE]"] * done
    for way in (list, texts_of, structs_of):
        assert outcome(way(chunks) + end, add=True) == wanted(row)


@every_recording
def test_reference_agrees(row: dict[str, Any]) -> None:
    """The rules, read again slowly and literally, give the same."""
    chunks, _ = reference.chunks_of(shared.body(row["name"]))
    response, _ = reference.merge(chunks)
    assert reference.strip_nulls(response) == shared.expected(row["name"])


def openai_can_express(response: dict[str, Any]) -> bool:
    """Whether the stream gave what openai's type requires, in the values that it knows."""
    reasons = {"stop", "length", "tool_calls", "content_filter", "function_call"}
    return (
        all(response.get(name) is not None for name in ("id", "created", "model"))
        and response.get("service_tier") in (None, "auto", "default", "flex", "scale", "priority", "fast")
        and all(choice.get("finish_reason") in reasons for choice in response["choices"])
        and all(isinstance(choice["message"].get("content"), (str, type(None))) for choice in response["choices"])
        and not any("reasoning_content" in choice.get("logprobs", {}) for choice in response["choices"])
    )


EXPRESSIBLE = [row for row in shared.MANIFEST if row["complete"] and openai_can_express(shared.expected(row["name"]))]


@pytest.mark.parametrize("row", EXPRESSIBLE, ids=shared.ids(EXPRESSIBLE))
def test_openai_accepts_the_response(row: dict[str, Any]) -> None:
    response, _, _ = outcome([shared.body(row["name"])])
    assert response is not None
    completion = ChatCompletion.model_validate(response)
    assert completion.choices[0].message.content == response["choices"][0]["message"].get("content")


def test_most_recordings_can_be_expressed() -> None:
    assert len(EXPRESSIBLE) > 0.75 * len(shared.MANIFEST)


@every_recording
def test_json_round_trip(row: dict[str, Any]) -> None:
    response = ChatCompletionResponse.from_json(json.dumps(shared.expected(row["name"])))
    assert strip_nulls(response.to_dict()) == shared.expected(row["name"])
    assert ChatCompletionResponse.from_json(response.to_json()) == response


def normalised(value: Any) -> Any:
    """A message as clients send it back: without what they leave out, arguments as data."""
    message = {name: value.get(name) for name in ("content", "refusal") if value.get(name)}
    if isinstance(message.get("content"), list):
        message["content"] = "".join(part.get("text", "") for part in message["content"])
    calls = [
        (call["function"]["name"], arguments(call["function"].get("arguments")))
        for call in value.get("tool_calls") or ()
    ]
    said = re.sub(
        r"<think>\n.*\n</think>", "", message.get("content") or "", flags=re.DOTALL
    )  # pydantic-ai sends reasoning so
    return {**message, "content": said.strip(), "tool_calls": calls}


def arguments(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


SENT_BACK = [
    (row, told["assistant_message"])
    for row in shared.MANIFEST
    if row.get("expected")
    for told in [shared.load(f"corpus/expected/{row['name']}.json", {})]
    if "assistant_message" in told
]


@pytest.mark.parametrize(("row", "told"), SENT_BACK, ids=[row["name"] for row, _ in SENT_BACK])
def test_independent_clients_agree(row: dict[str, Any], told: dict[str, Any]) -> None:
    """What another client made of the same stream, as it sent it back on its next turn."""
    response, _, _ = outcome([shared.body(row["name"])])
    assert response is not None
    assert normalised(response["choices"][0]["message"]) == normalised(told)
