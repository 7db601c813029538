"""The example of an agent loop, as a program, against a real server that calls tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from streamagg import ChatCompletionResponse, to_sse
from tests.support.places import EXAMPLES
from tests.support.serving import serve

PROGRAM = EXAMPLES / "agent_loop.py"


def answer(message: dict[str, Any], reason: str) -> ChatCompletionResponse:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}]
    return ChatCompletionResponse.from_json(json.dumps({"id": "c", "model": "m", "choices": choices, "usage": usage}))


def calls(*arguments: str) -> ChatCompletionResponse:
    listed = [
        {"id": f"call_{place}", "type": "function", "function": {"name": "get_weather", "arguments": text}}
        for place, text in enumerate(arguments)
    ]
    return answer({"tool_calls": listed}, "tool_calls")


def test_the_loop() -> None:
    """Two calls at once, one of which is wrong and tried again; then the answer."""
    asked: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = json.loads((await receive())["body"])
        asked.append(request)
        said = request["messages"]
        results = [message["content"] for message in said if message["role"] == "tool"]
        if not results:
            response = calls('{"city":"Zürich"}', '{"city":5}')
        elif len(results) == 2:
            response = calls('{"city":"Malmö","unit":"fahrenheit"}')
        else:
            response = answer({"content": " / ".join(results)}, "stop")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": to_sse(response, piece=3)})

    with serve(app) as url:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), "m", "Weather in Zürich and Malmö?"],
            env={**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, usage = done.stdout.splitlines()
    right, wrong, again = first.split(" / ")
    assert right == "Zürich: 21 degrees celsius"
    assert wrong.startswith("error: the arguments of 'get_weather' cannot be read at $.city: Expected `str`, got `int`")
    assert again == "Malmö: 21 degrees fahrenheit"
    assert usage == "30 + 9 tokens"
    parameters = asked[0]["tools"][0]["function"]["parameters"]
    assert parameters["type"] == "object"
    assert parameters["required"] == ["city"]
    roles = [message["role"] for message in asked[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "tool"]


def test_it_gives_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": to_sse(calls("{}"))})

    with serve(app) as url:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), "m", "?"],
            env={**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no answer after 10 turns\n")
