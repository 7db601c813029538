"""A chat-completions server for the tests, as a FastAPI app: streams, plain answers, and refusals.

`POST /{scenario}/chat/completions`, where a scenario is one of

    stream            text, reasoning, two tool calls at once, usage, [DONE]
    json              the same as a plain answer
    gated-{name}      a stream that stops after two events until `GATES[name]` is set
    open-{name}       a stream whose connection stays open after [DONE] until `GATES[name]` is set
    cut               a stream whose connection breaks
    {status}-{body}   a refusal: its body is one of `REFUSALS`

Below `/own` a middleware reads what the app streams, and answers with what it came to.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from streamagg import StreamAggError
from tests.support.helpers import chunk, merged, sse

CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "They ask for "}),
    chunk({"reasoning_content": "two cities."}),
    chunk({"content": "Ich schaue nach: Zürich, "}),
    chunk({"content": "Malmö 🌦"}),
    chunk(
        {
            "tool_calls": [
                {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ]
        }
    ),
    chunk(
        {
            "tool_calls": [
                {"index": 1, "id": "call_b", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ]
        }
    ),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":"Zür'}}]}),
    chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"city":"Mal'}}]}),
    chunk(
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": 'ich"}'}},
                {"index": 1, "function": {"arguments": 'mö"}'}},
            ]
        }
    ),
    chunk(finish="tool_calls"),
    {**chunk(), "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}},
]
WANTED = merged(*CHUNKS)
FIRST = 2
"""So many events come before the gate."""
STREAM = sse(*CHUNKS)
EVENTS = [event + b"\n\n" for event in STREAM.split(b"\n\n")[:-1]]

REFUSALS: dict[str, tuple[str, bytes]] = {
    "openai": (
        "application/json",
        b'{"error": {"message": "Slow down.", "type": "requests", "param": null, "code": "rate_limit_exceeded"}}',
    ),
    "fastapi": ("application/json", b'{"detail": "Not Found"}'),
    "gemini": (
        "application/json; charset=UTF-8",
        b'[{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}]',
    ),
    "string": ("application/json", b'{"error": "model is overloaded"}'),
    "events": ("text/event-stream", b'data: {"error": {"message": "No such model.", "code": 404}}\n\ndata: [DONE]\n\n'),
    "text": ("text/plain", b"upstream connect error"),
    "html": ("text/html", b"<html><head><title>502 Bad Gateway</title></head>" + 100 * b"<p>no</p>" + b"</html>"),
    "array": ("application/json", b'["no", "no"]'),
    "empty": ("text/plain", b""),
}

GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
PORTS: defaultdict[str, list[int]] = defaultdict(list)
"""Of each value of the header `x-ports`, the client's port of every request: one for each connection."""

Read = Callable[[str, Any], Awaitable[dict[str, Any]]]


async def _events(scenario: str) -> AsyncIterator[bytes]:
    kind, _, gate = scenario.partition("-")
    stops_at = {"gated": FIRST, "open": len(EVENTS), "cut": FIRST}.get(kind)
    for number, event in enumerate((*EVENTS, b"")):
        if number == stops_at:
            if kind == "cut":
                raise RuntimeError("the server breaks down")
            with anyio.fail_after(10):  # the test opens the gate, or fails
                while not GATES[gate].is_set():  # noqa: ASYNC110 - of another thread
                    await anyio.sleep(0.002)
        yield event
        await anyio.lowlevel.checkpoint()


async def _complete(scenario: str, request: Request) -> Response:
    assert request.client is not None
    PORTS[request.headers.get("x-ports", "")].append(request.client.port)
    status, _, body = scenario.partition("-")
    if status.isdigit():
        kind, content = REFUSALS[body]
        return Response(content, int(status), media_type=kind)
    if scenario == "json":
        return JSONResponse(WANTED)
    return StreamingResponse(_events(scenario), media_type="text/event-stream")


def make_app(read: Read) -> FastAPI:
    """The app. Below `/own` it reads its own streams by `read`, in the way that the header `x-read-by` names."""
    app, own = FastAPI(), FastAPI()
    for each in (app, own):
        each.post("/{scenario}/chat/completions")(_complete)
    app.mount("/own", own)

    @own.middleware("http")
    async def read_own(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Response:
        response = await call_next(request)
        way, what = request.headers["x-read-by"].split()
        try:
            return JSONResponse(await read(way, response if what == "response" else response.body_iterator))
        except StreamAggError as error:
            return JSONResponse([type(error).__name__, str(error)])

    return app
