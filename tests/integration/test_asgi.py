"""`CompletionMiddleware` over a real server with real clients."""

from __future__ import annotations

import importlib
import inspect
import logging
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest
from fastapi import FastAPI, Request
from starlette.middleware.gzip import GZipMiddleware

from streamagg import (
    IncompleteStreamError,
    ProviderError,
)
from streamagg.asgi import Completion, CompletionMiddleware
from tests.support.chat_server import PATH, WORDS, Reported, answered, asking, client, make_app, told
from tests.support.serving import serve

pytestmark = pytest.mark.anyio


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

    @pytest.mark.sampled(3)
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
