"""`CompletionMiddleware`, message by message, under every event loop."""

from __future__ import annotations

import gzip
import inspect
import json
import subprocess
import sys
import zlib
from time import perf_counter
from typing import Any

import anyio
import pytest

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
from tests.support.chat_server import PATH
from tests.support.helpers import sse
from tests.support.streams import BODY, CHUNKS, CUT, WANTED

pytestmark = pytest.mark.anyio


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
