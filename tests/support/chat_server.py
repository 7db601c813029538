"""A server of chat completions, its clients, and the list of what a middleware in it reports."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import openai
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse

from streamagg.asgi import Completion
from tests.support.helpers import chunk, merged, sse

PATH = "/v1/chat/completions"
WORDS = [f"word{number} " for number in range(12)]


class Reported(list[Completion]):
    """The completions that a middleware reported, from the server's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, completion: Completion) -> None:
        with self._changed:
            self.append(completion)
            self._changed.notify_all()

    async def slowly(self, completion: Completion) -> None:
        await anyio.sleep(0.01)
        self(completion)

    def wait(self, count: int) -> Reported:
        """Wait for so many; more must not come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= count, 20), f"{len(self)} of {count}"
            assert not self._changed.wait_for(lambda: len(self) > count, 0.02)
        return self

    def only(self) -> Completion:
        (completion,) = self.wait(1)
        return completion


def told(number: int) -> list[Any]:
    """The chunks that answer request `number`."""
    usage = {"prompt_tokens": number, "completion_tokens": len(WORDS), "total_tokens": number + len(WORDS)}
    chunks = [chunk({"content": word}, id=f"c{number}") for word in WORDS]
    end = {**chunk(id=f"c{number}"), "choices": [], "usage": usage}
    return [
        chunk({"role": "assistant", "content": ""}, id=f"c{number}"),
        *chunks,
        chunk(finish="stop", id=f"c{number}"),
        end,
    ]


def answered(number: int) -> dict[str, Any]:
    return merged(*told(number))


async def body(number: int, stop: int | None, pause: float) -> AsyncIterator[bytes]:
    """The stream that answers request `number`; it says nothing more after `stop` chunks."""
    for count, item in enumerate(told(number)):
        if count == stop:
            await anyio.sleep_forever()
        yield sse(item, done=False)
        await anyio.sleep(pause)
    yield b"data: [DONE]\n\n"


def make_app() -> FastAPI:
    app = FastAPI()

    @app.post(PATH)
    async def completions(request: Request) -> Any:
        asked = await request.json()
        number, kind = asked["number"], asked.get("kind")
        if kind == "refused":
            raise HTTPException(402, "pay first")
        if kind == "error":
            return JSONResponse({"error": {"message": "too long", "code": "length"}}, 400)
        if kind == "broken":
            raise ZeroDivisionError("broken")
        if kind == "in the middle":
            return StreamingResponse(breaking(number), media_type="text/event-stream")
        if not asked["stream"]:
            return answered(number)
        return StreamingResponse(
            body(number, asked.get("stop"), asked.get("pause", 0.001)), media_type="text/event-stream"
        )

    @app.post("/v1/embeddings")
    async def embeddings() -> Any:
        return {"object": "list", "data": [{"embedding": [0.5] * 100}]}

    @app.get("/v1/models")
    async def models() -> Any:
        return {"object": "list", "data": []}

    return app


async def breaking(number: int) -> AsyncIterator[bytes]:
    yield sse(*told(number)[:3], done=False)
    raise ZeroDivisionError("broken")


def client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0)


def asking(number: int, *, stream: bool = True, **extra: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [], "stream": stream, "extra_body": {"number": number, **extra}}
