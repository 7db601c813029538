"""A response as a stream again: what merges to it, as a server would have sent it, for every client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamagg import (
    Accumulator,
    ChatCompletionResponse,
    IncompleteStreamError,
    StreamAggError,
    accumulate,
    accumulate_sync,
    replay,
    to_sse,
)
from tests.support import shared
from tests.support.forms import RESPONSE_DICT, TOKENS, response_of
from tests.support.helpers import chunk, sse
from tests.support.serving import serve
from tests.support.strategies import CHUNKS, RESPONSE


def events(body: bytes) -> Iterator[Any]:
    *whole, last = body.decode().split("\n\n")
    assert last == ""
    for event in whole:
        assert event.startswith("data: ")
        yield event[6:] if event == "data: [DONE]" else json.loads(event[6:])


def test_what_a_server_would_have_sent() -> None:
    *chunks, last, done = events(to_sse(response_of(RESPONSE_DICT), piece=5))
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    assert [{name: item for name, item in each.items() if name != "choices"} for each in chunks] == [head] * len(chunks)
    said: dict[int, list[Any]] = {0: [], 1: []}
    for each in chunks:
        (choice,) = each["choices"]
        assert choice["finish_reason"] is None or choice is chunks[-1]["choices"][0] or choice["index"] == 1
        said[choice["index"]].append({name: item for name, item in choice.items() if name != "index"})

    def delta(fields: Any, **more: Any) -> Any:
        return {"delta": fields, "finish_reason": None, **more}

    def call(index: int, **fields: Any) -> Any:
        return delta({"tool_calls": [{"index": index, **fields}]})

    assert said[0] == [
        delta({"role": "assistant"}, logprobs={"content": []}),
        delta({"reasoning": "hm, h"}),
        delta({"reasoning": "ello?"}),
        delta({"content": "Hello"}, logprobs={"content": TOKENS[:2]}),
        delta({"content": ", world"}, logprobs={"content": TOKENS[2:4]}),
        delta({"content": "!"}, logprobs={"content": TOKENS[4:]}),
        call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(0, function={"arguments": '{"x":'}),
        call(0, function={"arguments": "1}"}),
        call(1, id="b", type="custom", custom={"name": "g", "input": ""}),
        call(1, custom={"input": "go"}),
        delta({"annotations": [{"type": "url"}]}),
        {"delta": {}, "stop_reason": 7, "finish_reason": "tool_calls"},
    ]
    assert said[1] == [
        delta({"role": "assistant"}),
        delta({"refusal": "No"}),
        {"delta": {}, "finish_reason": "stop"},
    ]
    assert [each["choices"][0]["index"] for each in chunks[:6]] == [0, 1, 0, 1, 0, 1]  # they take turns
    assert last == {**head, "choices": [], "provider": "P", "usage": RESPONSE_DICT["usage"]}
    assert done == "[DONE]"


@given(RESPONSE, st.integers(1, 9))
def test_every_response_comes_back(plain: Any, piece: int) -> None:
    response = response_of(plain)
    before = response.to_dict()
    body = to_sse(response, piece=piece)
    assert accumulate_sync(body, strict=True) == response  # and no repair was needed
    assert accumulate_sync(replay(response, piece=piece)) == response
    assert response.to_dict() == before
    for choice in (choice for each in replay(response, piece=piece) for choice in each.choices or ()):
        assert choice.delta is not None
        for text in (choice.delta.content, choice.delta.reasoning, choice.delta.refusal):
            assert not isinstance(text, str) or len(text) <= piece or choice.logprobs is not None


@given(CHUNKS)
def test_every_streams_response_comes_back(chunks: list[Any]) -> None:
    """But for what a whole `message` said, which may have shapes that no delta gives."""
    accumulator = Accumulator()
    for item in chunks:
        for choice in item.get("choices") or ():
            choice.pop("message", None)
        accumulator.add(item)
    response = accumulator.snapshot()
    if response is not None:
        assert accumulate_sync(to_sse(response, piece=2, done=True)) == response
        again = Accumulator()
        for each in replay(response):
            again.add(each)
        assert again.snapshot() == response


@pytest.mark.sampled(10)
@shared.needs_shared
@pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))
def test_every_recording_comes_back(row: dict[str, Any]) -> None:
    try:
        response = accumulate_sync(shared.body(row["name"]))
    except StreamAggError as error:
        assert error.partial is not None
        response = error.partial
    finished = bool(response.choices) and all(choice.finish_reason for choice in response.choices)
    for piece in (1, 16, 10**6):
        assert accumulate_sync(to_sse(response, piece=piece, done=True), strict=True) == response
    again = accumulate_sync(to_sse(response), incomplete="return")
    assert again == response
    assert to_sse(response).endswith(b"data: [DONE]\n\n") == finished


@pytest.mark.anyio
async def test_under_every_event_loop() -> None:
    response = response_of(RESPONSE_DICT)
    assert await accumulate(to_sse(response)) == await accumulate(replay(response)) == response


@pytest.mark.parametrize(
    "partial",
    [
        [chunk({"content": "Hel"})],
        [chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x'}}]})],
        [chunk({"content": "one"}, finish="stop"), chunk({"content": "tw"}, index=1)],
        [{"id": "c1", "choices": []}],
    ],
)
def test_what_was_cut_stays_cut(partial: list[Any]) -> None:
    with pytest.raises(IncompleteStreamError) as caught:
        accumulate_sync(sse(*partial, done=False))
    response = caught.value.partial
    assert response is not None
    body = to_sse(response)
    assert b"[DONE]" not in body
    for source in (body, replay(response)):
        with pytest.raises(IncompleteStreamError) as again:
            accumulate_sync(source)
        assert again.value.partial == response
    assert to_sse(response, done=True) == body + b"data: [DONE]\n\n"
    assert to_sse(response_of(RESPONSE_DICT), done=False) + b"data: [DONE]\n\n" == to_sse(response_of(RESPONSE_DICT))


def test_what_no_stream_can_say_is_lost() -> None:
    vendor = {"kept": 1, "gone": None, "obfuscation": "x"}
    choice = {"message": {"tool_calls": [], "vendor": vendor}, "finish_reason": ""}
    response = response_of({"object": "other", "choices": [choice], "vendor": float("nan")})
    again = accumulate_sync(to_sse(response, done=True))
    assert again.to_dict() == {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "vendor": {"kept": 1}}}],
    }


@pytest.mark.parametrize("piece", [0, -1])
def test_a_piece_has_a_length(piece: int) -> None:
    for way in (replay, to_sse):
        with pytest.raises(ValueError, match="piece must be a positive number of characters"):
            way(response_of(RESPONSE_DICT), piece=piece)


def told(completion: Any) -> Any:
    """What the openai client makes of a stream, where it makes it right: it drops what it does not know."""
    plain = ChatCompletionResponse.from_openai(completion).to_dict()
    choices = [
        (
            choice["index"],
            choice.get("finish_reason"),
            [choice["message"].get(name) for name in ("role", "content", "refusal", "reasoning", "reasoning_content")],
            [
                (call.get("id"), call["function"].get("name"), call["function"].get("arguments"))
                for call in choice["message"].get("tool_calls", ())
            ],
            (choice.get("logprobs") or {}).get("content"),
        )
        for choice in plain["choices"]
    ]
    return choices, plain.get("usage"), plain.get("model"), plain.get("id")


def test_the_openai_client_reads_it() -> None:
    ours = response_of(RESPONSE_DICT)
    assert ours.choices[0].message.tool_calls is not None
    ours.choices[0].message.tool_calls.pop()  # its stream helper reads no custom calls
    responses = {"ours": ours}
    for row in shared.MANIFEST:
        if row["complete"]:
            response = accumulate_sync(shared.body(row["name"]))
            if not any(isinstance(choice.message.content, list) for choice in response.choices):  # it cannot read parts
                responses[row["name"]] = response

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": to_sse(responses[body["model"]], done=True)})

    with serve(app) as url, openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client:
        for name, response in responses.items():
            with client.chat.completions.stream(model=name, messages=[]) as stream:
                try:
                    for _ in stream:
                        pass
                except openai.LengthFinishReasonError:
                    pass  # its opinion of a response that is all there
                assert told(stream.current_completion_snapshot) == told(response.to_openai()), name
