"""`CompletionMiddleware`: over a real server with real clients, and message by message under every event loop."""

from __future__ import annotations

import gzip
import importlib
import inspect
import json
import logging
import random
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import httpx
import openai
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware.gzip import GZipMiddleware

import streamagg.asgi
from streamagg import (
    ChatCompletionResponse,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    Timing,
)
from streamagg.asgi import Completion, CompletionMiddleware
from tests.support.helpers import chunk, merged, sse
from tests.support.serving import serve
from tests.support.streams import BODY, CHUNKS, CUT, WANTED

pytestmark = pytest.mark.anyio

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


# ------------------------------------------------------------------ a real server


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


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def url(reported: Reported) -> Iterator[str]:
    app = make_app()
    app.add_middleware(CompletionMiddleware, on_completion=reported, request_body=True)
    with serve(app) as url:
        yield url


ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@ASYNCIO
class TestServed:
    async def test_a_stream(self, anyio_backend: str, url: str, reported: Reported) -> None:
        async with client(url) as asker:
            text = ""
            async for item in await asker.chat.completions.create(**asking(7)):
                text += item.choices[0].delta.content or "" if item.choices else ""
        completion = reported.only()
        assert text == "".join(WORDS) == completion.response.text  # type: ignore[union-attr]
        assert completion.response.to_dict() == answered(7)  # type: ignore[union-attr]
        assert (completion.state, completion.error, completion.status) == ("complete", None, 200)
        assert (completion.method, completion.path) == ("POST", PATH)
        assert completion.request == {"model": "m", "messages": [], "stream": True, "number": 7}
        assert dict(completion.scope["headers"])[b"authorization"] == b"Bearer k"

    async def test_a_plain_answer(self, anyio_backend: str, url: str, reported: Reported) -> None:
        async with client(url) as asker:
            answer = await asker.chat.completions.create(**asking(3, stream=False))
        assert answer.choices[0].message.content == "".join(WORDS)
        completion = reported.only()
        assert completion.state == "complete"
        assert completion.response.to_dict() == answered(3)  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("kind", "status", "message"),
        [("refused", 402, "pay first"), ("error", 400, "too long")],
    )
    async def test_an_error_status(
        self, anyio_backend: str, url: str, reported: Reported, kind: str, status: int, message: str
    ) -> None:
        async with client(url) as asker:
            with pytest.raises(openai.APIStatusError):
                await asker.chat.completions.create(**asking(1, kind=kind))
        completion = reported.only()
        assert (completion.state, completion.status, completion.response) == ("failed", status, None)
        assert isinstance(completion.error, ProviderError)
        assert completion.error.message == message
        assert completion.request["number"] == 1

    async def test_an_app_that_raises(self, anyio_backend: str, url: str, reported: Reported) -> None:
        async with client(url) as asker:
            with pytest.raises(openai.InternalServerError):
                await asker.chat.completions.create(**asking(1, kind="broken"))
        async with client(url) as asker:  # a connection of its own: the server closes the first one
            with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):  # by its version
                async for _ in await asker.chat.completions.create(**asking(2, kind="in the middle")):
                    pass
        first, second = reported.wait(2)
        assert (first.state, first.status, first.response) == ("failed", None, None)
        assert isinstance(first.error, ZeroDivisionError)
        assert (second.state, second.status) == ("failed", 200)
        assert isinstance(second.error, ZeroDivisionError)
        assert second.response.text == "".join(WORDS[:2])  # type: ignore[union-attr]

    async def test_what_is_no_completion(self, anyio_backend: str, url: str, reported: Reported) -> None:
        async with httpx.AsyncClient(base_url=url) as plain:
            assert (await plain.post("/v1/embeddings")).json()["object"] == "list"
            assert (await plain.get("/v1/models")).status_code == 200
            assert (await plain.get(PATH)).status_code == 405
            assert (await plain.post("/nowhere")).status_code == 404
            assert (await plain.post(PATH, json={"number": 1, "stream": False})).status_code == 200
        assert reported.only().path == PATH

    @pytest.mark.parametrize("around", [False, True], ids=["alone", "between http middlewares"])
    @pytest.mark.parametrize("slowly", [False, True], ids=["sync", "async"])
    async def test_a_hundred_at_once_and_some_hang_up(self, anyio_backend: str, slowly: bool, around: bool) -> None:
        """Some stay to the end, some hang up where the server waits, some wherever it just is."""
        reported = Reported()
        app = make_app()

        async def passing(request: Request, following: Any) -> Any:
            return await following(request)

        if around:
            app.middleware("http")(passing)
        app.add_middleware(
            CompletionMiddleware, on_completion=reported.slowly if slowly else reported, request_body=True
        )
        if around:
            app.middleware("http")(passing)
        dice = random.Random(4)
        stays = {number: dice.choice(["to the end", "until it waits", "a while"]) for number in range(100)}
        chunks = len(told(0))

        async def ask(asker: openai.AsyncOpenAI, number: int) -> None:
            leaves = None if stays[number] == "to the end" else dice.randrange(chunks)
            stop = leaves if stays[number] == "until it waits" else None
            stream = await asker.chat.completions.create(**asking(number, stop=stop, pause=dice.choice([0, 0.002])))
            count = 0
            if leaves != 0:
                async for _ in stream:
                    count += 1
                    if count == leaves:
                        break
            assert count == (chunks if leaves is None else leaves)
            await stream.close()

        with serve(app) as url:
            async with client(url) as asker, anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(ask, asker, number)
            reported.wait(100)
        assert sorted(completion.request["number"] for completion in reported) == [*range(100)]
        states = set()
        for completion in reported:
            number, response = completion.request["number"], completion.response
            stayed = stays[number]
            if stayed != "a while":
                assert completion.state == ("complete" if stayed == "to the end" else "disconnected"), number
            if completion.state == "complete":
                assert response is not None
                assert response.to_dict() == answered(number)
                assert completion.error is None
            else:
                assert completion.state == "disconnected"
                assert "".join(WORDS).startswith(response.text if response else "")
                assert isinstance(completion.error, IncompleteStreamError | None)
            states.add((stayed, completion.state))
        assert ("to the end", "complete") in states
        assert ("until it waits", "disconnected") in states

    async def test_a_failing_callback_is_logged(
        self, anyio_backend: str, caplog: pytest.LogCaptureFixture, reported: Reported
    ) -> None:
        async def fails(completion: Completion) -> None:
            reported(completion)
            raise ZeroDivisionError("mine")

        app = make_app()
        app.add_middleware(CompletionMiddleware, on_completion=fails)
        with caplog.at_level(logging.ERROR, "streamagg.asgi"), serve(app) as url:
            async with client(url) as asker:
                for number in range(2):
                    answer = await asker.chat.completions.create(**asking(number, stream=False))
                    assert answer.choices[0].message.content == "".join(WORDS)
        assert len(reported.wait(2)) == 2
        assert [record.message for record in caplog.records] == [f"on_completion failed for {PATH}"] * 2
        assert all(record.exc_info[0] is ZeroDivisionError for record in caplog.records)  # type: ignore[index]

    @pytest.mark.parametrize("stream", [True, False])
    async def test_behind_compression(self, anyio_backend: str, reported: Reported, stream: bool) -> None:
        app = make_app()

        @app.middleware("http")
        async def typed(request: Request, following: Any) -> Any:
            response = await following(request)
            response.headers["content-type"] = "application/x-ndjson" if stream else "application/json"
            return response  # compressed by Starlette, which leaves event streams alone

        app.add_middleware(GZipMiddleware, minimum_size=1)
        app.add_middleware(CompletionMiddleware, on_completion=reported)
        with serve(app) as url:
            async with httpx.AsyncClient(base_url=url) as plain:
                response = await plain.post(PATH, json={"number": 5, "stream": stream})
        assert response.headers["content-encoding"] == "gzip"
        assert "word11" in response.text
        completion = reported.only()
        assert completion.state == "complete"
        assert completion.response.to_dict() == answered(5)  # type: ignore[union-attr]
        assert completion.request is None  # it was not asked for


def add_by_path(app: FastAPI, path: str) -> None:
    """As `vllm serve --middleware` does."""
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert inspect.isclass(found)
    app.add_middleware(found)


@ASYNCIO
class TestByImportPath:
    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        (tmp_path / "billing_of_tests.py").write_text(
            "from streamagg.asgi import CompletionMiddleware\n"
            "seen = []\n"
            "async def bill(completion):\n"
            "    seen.append(completion)\n"
            "class Billing(CompletionMiddleware):\n"
            "    def __init__(self, app):\n"
            "        super().__init__(app, request_body=True)\n"
            "    async def on_completion(self, completion):\n"
            "        await bill(completion)\n"
            "class Counting(CompletionMiddleware):\n"
            "    def on_completion(self, completion):\n"
            "        seen.append(completion)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        yield importlib.import_module("billing_of_tests")
        del sys.modules["billing_of_tests"]

    @pytest.mark.parametrize(
        "path", ["streamagg.asgi.CompletionMiddleware", "billing_of_tests.Billing", "billing_of_tests.Counting"]
    )
    async def test_configured(
        self, anyio_backend: str, module: Any, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        if path.startswith("streamagg"):
            monkeypatch.setenv("STREAMAGG_ON_COMPLETION", "billing_of_tests:bill")
        app = make_app()
        add_by_path(app, path)
        with serve(app) as url:
            async with client(url) as asker:
                async for _ in await asker.chat.completions.create(**asking(9)):
                    pass
        (completion,) = module.seen
        assert completion.state == "complete"
        assert completion.response.to_dict() == answered(9)
        assert (completion.request is not None) is path.endswith("Billing")

    @pytest.mark.parametrize("value", ["", "os", ":path", "os:"])
    async def test_no_callback(self, anyio_backend: str, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("STREAMAGG_ON_COMPLETION", value)
        with pytest.raises(ValueError, match="no callback: pass on_completion"):
            CompletionMiddleware(make_app())

    async def test_a_wrong_one(self, anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STREAMAGG_ON_COMPLETION", "os:nothing_of_the_kind")
        with pytest.raises(AttributeError, match="nothing_of_the_kind"):
            CompletionMiddleware(make_app())
        with pytest.raises(ValueError, match="usage must be"):
            CompletionMiddleware(make_app(), print, usage="most")  # type: ignore[arg-type]


# ------------------------------------------------------------------ message by message


class Call:
    """One call of a middleware by a server that keeps what it is sent."""

    def __init__(self, messages: list[Any], *, request: bytes = b"", **options: Any) -> None:
        self.messages = messages  # what the app sends
        self.sent: list[Any] = []  # what the server got
        self.reported: list[Completion] = []
        self.request = [
            {"type": "http.request", "body": request[:5], "more_body": True},
            {"type": "http.request", "body": request[5:]},
        ]
        self.scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
        self.middleware = CompletionMiddleware(self.app, self.report, **options)

    def report(self, completion: Completion) -> None:
        assert self.sent == [item for item in self.messages if isinstance(item, dict)][: len(self.sent)]
        self.reported.append(completion)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope is self.scope
        for message in self.messages:
            if isinstance(message, BaseException):
                raise message
            if callable(message):
                await message(receive)
            else:
                await send(message)

    async def receive(self) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.request.pop(0) if self.request else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        if isinstance(message, dict) and message.get("body") == b"refuse":
            raise BrokenPipeError
        self.sent.append(message)
        assert not self.reported, "reported before the last message was sent"

    async def run(self, path: str = PATH) -> Call:
        self.scope["path"] = path
        await self.middleware(self.scope, self.receive, self.send)
        return self

    @property
    def states(self) -> list[str]:
        return [completion.state for completion in self.reported]


def start(kind: str = "text/event-stream", status: int = 200, **headers: str) -> dict[str, Any]:
    pairs = [
        (b"Content-Type", kind.encode()),
        *((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()),
    ]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def part(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


END = {"type": "http.response.body"}


async def read_all(receive: Any) -> None:
    while (await receive())["type"] == "http.request":
        pass


async def read_request(receive: Any) -> None:
    while (await receive()).get("more_body"):
        pass


PLAIN = json.dumps(WANTED).encode()


class TestMessages:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    async def test_in_any_slices(self, size: int) -> None:
        slices = [part(BODY[place : place + size]) for place in range(0, len(BODY), size)]
        call = await Call([start(), *slices, END]).run()
        assert call.sent == call.messages
        assert call.states == ["complete"]
        assert call.reported[0].response.to_dict() == WANTED  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("path", "messages", "state"),
        [
            (PATH, [start(), part(CUT), END], "cut"),
            (PATH, [start(), part(CUT)], "cut"),
            (PATH, [start(), END], "cut"),
            (PATH, [], "cut"),
            (PATH, [start("text/plain"), part(BODY), END], "complete"),
            (PATH, [{"type": "http.response.start", "status": 200}, part(BODY, more=False)], "complete"),
            (PATH, [start("application/json"), part(PLAIN[:9]), part(PLAIN[9:], more=False)], "complete"),
            (PATH, [start("application/json"), part(PLAIN[:9]), END], "cut"),
            (PATH, [start("application/json"), part(PLAIN[:9])], "cut"),
            (PATH, [start("text/html", 502), part(b"<p>Bad", more=False)], "failed"),
            (PATH, [start("text/plain", 500), END], "failed"),
            (PATH, [start("text/plain"), part(b"Hello.\n\n", more=False)], "failed"),
            (PATH, [start(), part(sse("nonsense")), part(BODY), END], "failed"),
            (PATH, [start(), part(sse(CHUNKS[1], {"error": "x"})), END], "failed"),
            (PATH, [start(status=400), part(sse({"error": "x"})), END], "failed"),
            (PATH, [start(), part(BODY), ZeroDivisionError()], "complete"),
            (PATH, [start(), part(CUT), ZeroDivisionError()], "failed"),
            (PATH, [start(), part(CUT), END, ZeroDivisionError()], "failed"),
            (PATH, [start(), part(CUT), read_all], "disconnected"),
            (PATH, [start(), part(CUT), read_all, part(BODY[len(CUT) :]), END], "disconnected"),
            (PATH, [read_all], "disconnected"),
            (PATH, [start(), part(sse(*CHUNKS[:4], done=False)), read_all], "disconnected"),
            (PATH, [start(), part(sse(*CHUNKS, done=False)), read_all], "complete"),
            (PATH, [start(), part(BODY), read_all], "complete"),
            (PATH, [start(), part(CUT), END, read_all], "cut"),
            (PATH, [start(), part(CUT), part(b"refuse")], "disconnected"),
            (PATH, [start(), part(CUT), part(b"refuse", more=False)], "disconnected"),
            (PATH, [start(), part(BODY), part(b"refuse", more=False)], "complete"),
            ("/chat", [start(), part(BODY), END], "complete"),
            ("/chat", [start("text/event-stream; charset=utf-8"), part(CUT), END], "cut"),
            ("/chat", [start("application/x-ndjson"), part(json.dumps(CHUNKS[1]).encode() + b"\n"), END], "cut"),
            ("/chat", [start("application/json"), part(PLAIN, more=False)], "complete"),
            ("/chat", [start(), read_all], "disconnected"),
            ("/chat", [start(), part(b'data: {"error": "x"}\n\n'), END], "failed"),
            ("/chat", [], None),
            ("/chat", [ZeroDivisionError()], None),
            ("/chat", [start("text/plain"), part(BODY), END], None),
            ("/chat", [start("application/json"), part(PLAIN[:50]), END], None),
            ("/chat", [start("application/json"), part(b'{"choices": [{"text": "a"}]}', more=False)], None),
            ("/chat", [start("application/json", 400), part(b'{"error": "x"}', more=False)], None),
            ("/chat", [start(), part(b"data: hello\n\n"), END], None),
            ("/chat", [start(), part(b'data: {"type": "ping"}\n\n'), END], None),
            ("/mcp", [start(), part(b'data: {"jsonrpc": "2.0", "id": 1, "result": {}}\n\n'), END], None),
            ("/v1/responses", [start(), part(sse({"type": "response.created", "response": {"id": "r"}}, done=False)), END], None),
            ("/v1/messages", [start(), part(sse({"type": "message_delta", "usage": {"output_tokens": 1}}, done=False)), END], None),
            ("/chat", [start("image/png"), {"type": "http.response.pathsend", "path": "/x"}], None),
            (PATH, [start("text/plain"), {"type": "http.response.pathsend", "path": "/x"}, read_all], "cut"),
            (PATH, [{**start(), "trailers": True}, part(BODY, more=False), {"type": "http.response.trailers"}], "complete"),
            (PATH, [{"type": "http.response.push", "path": "/x"}, start(), part(BODY, more=False)], "complete"),
        ],
    )  # fmt: skip
    async def test_states(self, path: str, messages: list[Any], state: str | None) -> None:
        call = Call(messages)
        error = next((item for item in messages if isinstance(item, BaseException)), None)
        if error is not None or part(b"refuse") in messages or part(b"refuse", more=False) in messages:
            with pytest.raises(type(error) if error is not None else BrokenPipeError):
                await call.run(path)
        else:
            await call.run(path)
        assert call.sent == [item for item in messages if isinstance(item, dict) and item.get("body") != b"refuse"]
        assert call.states == ([] if state is None else [state])
        for completion in call.reported:
            whole = completion.response is not None and completion.response.choices[0].finish_reason is not None
            assert (completion.error is None) is (state == "complete" or (state == "disconnected" and whole))
            if completion.response is not None:
                assert completion.response.text in ("Hel", "Hello")

    async def test_errors_tell(self) -> None:
        for messages, kind, word in (
            ([start("text/html", 502), part(b"<p>Bad", more=False)], ProviderError, "<p>Bad"),
            ([start("text/plain", 500), END], ProviderError, "status 500"),
            ([start("application/json", 422), part(b'{"detail": "no model"}', more=False)], ProviderError, "no model"),
            ([start(content_encoding="br"), part(b"xyz"), END], DecodeError, "its content-encoding is br"),
            ([start(content_encoding="gzip"), part(b"xyz"), part(b"more"), END], DecodeError, "content-encoding is wrong"),
            ([start(), part(CUT), END], IncompleteStreamError, "no finish_reason for choice 0"),
            ([start(), part(sse({"error": {"message": "full"}})), END], ProviderError, "full"),
        ):  # fmt: skip
            (completion,) = (await Call(messages).run()).reported
            assert type(completion.error) is kind
            assert word in str(completion.error)
        assert (await Call([start(content_encoding="br"), part(b"xyz"), END]).run("/chat")).reported == []

    @pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "identity"])
    @pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
    async def test_encodings(self, encoding: str, kind: str) -> None:
        whole = BODY if kind == "text/event-stream" else PLAIN
        data = {"identity": lambda x: x, "deflate": zlib.compress}.get(encoding, gzip.compress)(whole)
        slices = [part(data[place : place + 11]) for place in range(0, len(data), 11)]
        call = await Call([start(kind, content_encoding=encoding), *slices, END]).run("/chat")
        assert call.states == ["complete"]
        assert call.reported[0].response.to_dict() == WANTED  # type: ignore[union-attr]

    async def test_what_grows_is_read_in_slices(self) -> None:
        long = gzip.compress(b":" * 10**6 + b"\n\n" + BODY)
        call = await Call([start(content_encoding="gzip"), part(long), END], limits=Limits(event_bytes=2 * 10**6)).run()
        assert call.states == ["complete"]
        call = await Call([start(content_encoding="gzip"), part(long), END], limits=Limits(event_bytes=10**5)).run()
        assert isinstance(call.reported[0].error, LimitError)

    async def test_limits(self) -> None:
        limits = Limits(event_bytes=len(PLAIN))
        messages = [start("application/json"), part(PLAIN[:5]), part(PLAIN[5:])]
        for path in (PATH, "/chat"):
            assert (await Call([*messages, END], limits=limits).run(path)).states == ["complete"]
        long = [*messages, part(b" "), part(b" "), END]
        (completion,) = (await Call(long, limits=limits).run()).reported
        assert completion.state == "failed"
        assert isinstance(completion.error, LimitError)
        assert completion.error.limit == "event_bytes"
        assert (await Call(long, limits=limits).run("/chat")).reported == []

    async def test_timing(self) -> None:
        """From the call to when a part was sent; what the app does after the end does not count."""
        went_on: list[float] = []

        async def go_on(receive: Any) -> None:
            went_on.append(perf_counter())

        slices = [part(sse(CHUNKS[1], done=False)), go_on, part(sse(*CHUNKS[2:])), go_on, END]
        began = perf_counter()
        timing = (await Call([start(), *slices]).run()).reported[0].timing
        assert timing.first_byte == timing.first_text is not None
        assert timing.first_byte <= went_on[0] - began <= went_on[1] - began
        assert timing.last_text == timing.last_chunk is not None
        assert timing.first_byte <= timing.last_chunk <= went_on[1] - began
        json_parts = [start("application/json"), part(PLAIN[:9]), part(PLAIN[9:], more=False), go_on]
        began = perf_counter()
        timing = (await Call(json_parts).run()).reported[0].timing
        assert timing.first_byte is not None
        assert timing.first_chunk is not None
        assert timing.first_byte <= timing.first_chunk <= went_on[2] - began
        for nothing in ([start(), END], [start("application/json", 400), part(b"{}"), END]):
            assert (await Call(nothing).run()).reported[0].timing == Timing()

    async def test_usage_mode(self) -> None:
        messages = [start(), part(sse(*CHUNKS, CHUNKS[-1])), END]
        for mode, total in (("auto", 5), ("sum", 10)):
            (completion,) = (await Call(messages, usage=mode).run()).reported
            assert completion.response.usage.total_tokens == total  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("request_body", "wanted"),
        [
            (b'{"model": "m", "x": [1]}', {"model": "m", "x": [1]}),
            (b"", None),
            (b"model=m", None),
            (b"\xff" * 9, None),
            (b'{"model": "' + b"m" * 1000 + b'"}', None),
            (b"[" * 100_000, None),
        ],
        ids=["json", "none", "form", "bytes", "long", "deep"],
    )
    async def test_the_request(self, request_body: bytes, wanted: Any) -> None:
        limits = Limits(event_bytes=1000) if len(request_body) < 10_000 else Limits()
        messages = [read_request, start(), part(BODY), END]
        call = await Call(messages, request=request_body, request_body=True, limits=limits).run()
        assert call.reported[0].request == wanted
        assert call.states == ["complete"]
        assert (await Call(messages, request=request_body).run()).reported[0].request is None

    async def test_headers_that_can_be_read_but_once(self) -> None:
        message = start()
        call = await Call([{**message, "headers": iter(message["headers"])}, part(BODY), END]).run()
        assert call.sent[0] == message

    @pytest.mark.parametrize(
        "scope", [{"type": "lifespan"}, {"type": "websocket", "path": PATH}, {"type": "http", "method": "HEAD"}]
    )
    async def test_everything_else_passes_untouched(self, scope: Any) -> None:
        given: list[Any] = []

        async def app(*args: Any) -> None:
            given.extend(args)

        async def receive() -> Any: ...

        async def send(message: Any) -> None: ...

        await CompletionMiddleware(app, print)(scope, receive, send)
        assert given == [scope, receive, send]
        assert given[0] is scope

    async def test_a_message_goes_on_before_it_is_read(self) -> None:
        """While the server takes its time over a slice, what came before it is all that was read."""
        call = Call([])
        taken: list[Any] = []

        async def slow(message: Any) -> None:
            if message["type"] == "http.response.body":
                await call.receive()  # tells of a disconnect
                taken.append(message["body"])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start())
            await send(part(CUT))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, part(BODY[len(CUT) :]))
                tasks.start_soon(read_all, receive)  # the client has [DONE] and leaves before `send` returns

        call.middleware.app = app
        await call.middleware(call.scope, call.receive, slow)
        assert taken == [CUT, BODY[len(CUT) :]]
        assert call.states == ["complete"]

    async def test_cancellation(self) -> None:
        """A callback that awaits is shielded from it."""
        done: list[Completion] = []

        async def slowly(completion: Completion) -> None:
            await anyio.sleep(0.01)
            done.append(completion)

        async def stall(receive: Any) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        for messages, state in (
            ([start(), part(CUT), stall], "disconnected"),
            ([stall], "disconnected"),
            ([start(), part(BODY), stall], "complete"),
            ([start(), part(CUT), END, stall], "cut"),
        ):
            call = Call(messages)
            middleware = CompletionMiddleware(call.app, slowly)
            with anyio.CancelScope() as scope:
                await middleware(call.scope, call.receive, call.send)
            assert scope.cancelled_caught
            assert [completion.state for completion in done] == [state]
            done.clear()

    async def test_what_is_no_error_of_the_app(self) -> None:
        """An interruption, or a group of errors with a cancellation in it."""
        call = Call([start(), part(CUT), KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            await call.run()
        assert call.states == ["disconnected"]

    async def test_a_coroutine_that_is_thrown_away(self) -> None:
        call = Call([start(), part(CUT), END])
        running = call.middleware(call.scope, call.receive, call.send)
        running.send(None)
        running.close()
        assert call.reported == []

    @pytest.mark.parametrize("stage", ["sync", "async"])
    async def test_a_failing_callback(self, stage: str, caplog: pytest.LogCaptureFixture) -> None:
        def fails(completion: Completion) -> Any:
            if stage == "sync":
                raise ZeroDivisionError
            return fails_later()

        async def fails_later() -> None:
            await anyio.lowlevel.checkpoint()
            raise ZeroDivisionError

        call = Call([start(), part(BODY), END])
        await CompletionMiddleware(call.app, fails)(call.scope, call.receive, call.send)
        assert call.sent == call.messages
        assert [record.name for record in caplog.records] == ["streamagg.asgi"]


class TestModule:
    def test_it_is_imported_by_itself_alone(self) -> None:
        code = "import sys, streamagg; assert 'streamagg.asgi' not in sys.modules; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert "logging" not in loaded

    def test_it_needs_no_framework(self) -> None:
        code = "import sys, streamagg.asgi; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not {name.partition(".")[0] for name in loaded} & {"starlette", "fastapi", "uvicorn", "pydantic"}

    def test_its_names(self) -> None:
        assert all(getattr(streamagg.asgi, name) for name in streamagg.asgi.__all__)
        assert ChatCompletionResponse.__name__ in str(inspect.get_annotations(Completion)["response"])
