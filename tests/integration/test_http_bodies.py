"""HTTP answers that are no stream, and what is left of a connection: real clients, real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import httpx
import httpx_sse
import niquests
import openai
import pytest
import requests
import urllib3
from starlette.responses import StreamingResponse

from streamagg import (
    DecodeError,
    IncompleteStreamError,
    ProviderError,
    accumulate,
    accumulate_sync,
    stream,
)
from tests.support.app import GATES, PORTS, REFUSALS, STREAM, WANTED
from tests.support.async_clients import BODY, SOURCES, WAYS
from tests.support.sync_clients import SYNC_SOURCES, SYNC_WAYS

pytestmark = pytest.mark.anyio

HTML = REFUSALS["html"][1].decode()
SAID: dict[str, dict[str, Any]] = {
    "openai": {"message": "Slow down.", "code": "rate_limit_exceeded", "type": "requests"},
    "fastapi": {"message": "Not Found", "code": None, "body": {"detail": "Not Found"}},
    "gemini": {"message": "API key not valid.", "code": 400},
    "string": {"message": "model is overloaded", "body": "model is overloaded"},
    "events": {"message": "No such model.", "code": 404, "body": {"message": "No such model.", "code": 404}},
    "text": {
        "message": "HTTP status 418; the body begins 'upstream connect error'; content-type: text/plain; charset=utf-8",
        "body": "upstream connect error",
    },
    "html": {
        "message": f"HTTP status 418; the body begins {HTML[:120] + '...'!r}; content-type: text/html; charset=utf-8",
        "body": HTML,
    },
    "array": {
        "message": 'HTTP status 418; the body begins \'["no", "no"]\'; content-type: application/json',
        "body": '["no", "no"]',
    },
    "empty": {
        "message": "HTTP status 418 and an empty body; content-type: text/plain; charset=utf-8",
        "code": None,
        "body": "",
    },
}


class TestRefusals:
    @pytest.mark.parametrize("body", REFUSALS)
    async def test_what_the_server_said(self, server: str, body: str) -> None:
        with SYNC_SOURCES["httpx"].open(f"{server}/418-{body}") as source, pytest.raises(ProviderError) as caught:
            accumulate_sync(source, incomplete="return")
        async with SOURCES["httpx"].open(f"{server}/418-{body}") as source, stream(source) as chunks:
            for _ in range(2):
                with pytest.raises(ProviderError) as caught_too:
                    await anext(chunks)
                with pytest.raises(ProviderError) as caught_too:
                    chunks.response()
            assert not chunks.complete
        for error in (caught.value, caught_too.value):
            assert error.status == 418
            assert error.partial is None
            assert {name: getattr(error, name) for name in SAID[body]} == SAID[body]
            assert str(error).startswith("the server reported an error (418")
            assert str(error).endswith(f": {error.message}")

    def test_a_code_that_is_the_status_is_not_said_twice(self) -> None:
        assert (
            str(ProviderError({"message": "no", "code": 404}, status=404)) == "the server reported an error (404): no"
        )

    def test_a_long_body_is_not_read_to_its_end(self) -> None:
        read = []

        def body() -> Iterator[bytes]:
            for number in range(10_000):
                read.append(number)
                yield b"x" * 65536

        transport = httpx.MockTransport(lambda request: httpx.Response(500, content=body()))
        with (
            httpx.Client(transport=transport) as client,
            client.stream("GET", "http://test") as response,
            pytest.raises(ProviderError, match="HTTP status 500; the body begins 'xxx") as caught,
        ):
            accumulate_sync(response)
        assert len(read) == len(caught.value.body) / 65536 == 17

    def test_a_server_that_reads_its_own(self, server: str) -> None:
        """A Starlette response has a status, its `.body_iterator` alone has none."""
        for what, error in (("response", "ProviderError"), ("body_iterator", "DecodeError")):
            headers = {"x-read-by": f"accumulate {what}"}
            answer = httpx.post(f"{server}/own/418-html/chat/completions", headers=headers)
            assert answer.json()[0] == error

    async def test_words_instead_of_bytes(self) -> None:
        async def words() -> AsyncIterator[str]:
            yield '{"error": '
            yield '"höher"}'

        with pytest.raises(ProviderError, match="höher"):
            await accumulate(StreamingResponse(words(), 400))


UNEXPLAINED = [
    ("html", DecodeError, "neither an event stream nor JSON; content-type: text/html; charset=utf-8; it begins"),
    ("empty", IncompleteStreamError, "the source was empty; content-type: text/plain"),
    ("fastapi", IncompleteStreamError, "it begins .*Not Found.*; content-type: application/json"),
]


class TestExplanations:
    """The content type decides nothing; it is said where a failure needs explaining."""

    @pytest.mark.parametrize(("body", "error", "words"), UNEXPLAINED)
    @pytest.mark.parametrize("kind", ["httpx", "aiohttp", "niquests"])
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(
        self, server: str, anyio_backend: str, kind: str, body: str, error: type[Exception], words: str
    ) -> None:
        async with SOURCES[kind].open(f"{server}/200-{body}") as source:
            with pytest.raises(error, match=words):
                await accumulate(source)

    @pytest.mark.parametrize(("body", "error", "words"), UNEXPLAINED)
    @pytest.mark.parametrize("kind", ["httpx", "requests", "urllib3", "niquests", "http.client"])
    def test_sync(self, server: str, kind: str, body: str, error: type[Exception], words: str) -> None:
        with SYNC_SOURCES[kind].open(f"{server}/200-{body}") as source, pytest.raises(error, match=words):
            accumulate_sync(source)

    def test_no_content_type(self) -> None:
        with pytest.raises(IncompleteStreamError, match=r"the source was empty$"):
            accumulate_sync(httpx.Response(200, content=b""))
        with pytest.raises(ProviderError, match=r"HTTP status 500 and an empty body$"):
            accumulate_sync(httpx.Response(500, content=b""))


@asynccontextmanager
async def _httpx_client(ports: str, module: Any = httpx) -> AsyncIterator[Any]:
    async with module.AsyncClient(verify=False, headers={"x-ports": ports}) as client:
        yield lambda url: client.stream("POST", url, json=BODY)


@asynccontextmanager
async def _aiohttp_client(ports: str) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession(headers={"x-ports": ports}) as client:
        yield lambda url: client.post(url, json=BODY)


@asynccontextmanager
async def _niquests_client(ports: str) -> AsyncIterator[Any]:
    @asynccontextmanager
    async def ask(url: str) -> AsyncIterator[Any]:
        async with await client.post(url, json=BODY, headers={"x-ports": ports}, stream=True) as response:
            yield response

    async with niquests.AsyncSession() as client:
        yield ask


@asynccontextmanager
async def _openai_client(ports: str) -> AsyncIterator[Any]:
    def ask(url: str) -> Any:
        completions = client.with_options(base_url=url.removesuffix("/chat/completions")).chat.completions
        return completions.with_streaming_response.create(**BODY)

    http_client = openai.DefaultAsyncHttpxClient(verify=False)
    async with openai.AsyncOpenAI(api_key="k", http_client=http_client, default_headers={"x-ports": ports}) as client:
        yield ask


class TestConnections:
    @pytest.mark.parametrize("client", [_httpx_client, _aiohttp_client, _niquests_client, _openai_client])
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    @pytest.mark.usefixtures("end_is_waited_for")
    async def test_a_connection_is_used_again(self, server: str, anyio_backend: str, client: Any, way: str) -> None:
        """After [DONE] the answer's end is read, for which clients wait before they keep a connection."""
        name = f"{client.__name__} {way}"
        async with client(name) as ask:
            for _ in range(3):
                async with ask(f"{server}/stream/chat/completions") as response:
                    assert (await WAYS[way](response)).to_dict() == WANTED
        assert len(PORTS[name]) == 3
        assert len(set(PORTS[name])) == 1

    @pytest.mark.usefixtures("end_is_waited_for")
    async def test_also_where_the_reader_stops_at_the_last_chunk(self, server: str) -> None:
        name = f"stops {id(self)}"
        async with _httpx_client(name) as ask:
            for _ in range(2):
                async with ask(f"{server}/stream/chat/completions") as response, stream(response) as chunks:
                    async for chunk in chunks:
                        if chunk.usage:
                            break
                    await anext(chunks, None)
        assert len(set(PORTS[name])) == 1

    @pytest.mark.parametrize("way", ["accumulate", "stream"])
    async def test_nobody_waits_long_for_one_that_stays_open(self, server: str, way: str) -> None:
        gate = f"{way}{id(self)}"
        with anyio.fail_after(5):  # the server waits for ten seconds
            async with SOURCES["httpx"].open(f"{server}/open-{gate}") as source:
                assert (await WAYS[way](source)).to_dict() == WANTED
        GATES[gate].set()

    @pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object")  # httpx nests them, trio tells
    async def test_what_is_sent_after_done_keeps_nobody(self) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield STREAM
            while True:  # never waits
                yield b": still here\n\n"

        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=endless()))
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", "http://x") as response:
            with anyio.fail_after(5):
                assert (await accumulate(response)).to_dict() == WANTED

    @pytest.mark.parametrize("way", ["accumulate_sync", "stream_sync"])
    @pytest.mark.parametrize("kind", ["httpx", "requests", "urllib3", "niquests"])
    def test_blocking_code_does_not_wait_at_all(self, server: str, kind: str, way: str) -> None:
        gate = f"{kind}{way}{id(self)}"
        with SYNC_SOURCES[kind].open(f"{server}/open-{gate}") as source:
            assert SYNC_WAYS[way](source).to_dict() == WANTED
            assert not GATES[gate].is_set()
        GATES[gate].set()

    async def test_an_end_that_comes_soon_is_read(self) -> None:
        ended = []

        async def soon() -> AsyncIterator[bytes]:
            yield STREAM
            await anyio.lowlevel.checkpoint()
            ended.append(None)

        for way in WAYS.values():
            transport = httpx.MockTransport(lambda request: httpx.Response(200, content=soon()))
            async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", "http://x") as response:
                assert (await way(response)).to_dict() == WANTED
        assert len(ended) == len(WAYS)

    async def test_an_error_after_done_is_none(self) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield STREAM
            raise httpx.ReadError("gone")

        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=broken()))
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", "http://x") as response:
            assert (await accumulate(response)).to_dict() == WANTED


BREAKS: dict[str, type[Exception]] = {
    "httpx": httpx.TransportError,
    "httpx-sse": httpx.TransportError,
    "aiohttp": aiohttp.ClientError,
    "niquests": niquests.exceptions.RequestException,
    # openai wraps what its transport raises from version 3 on.
    "openai, chunks": (openai.APIConnectionError, httpx.TransportError),
}
SYNC_BREAKS: dict[str, type[Exception]] = {
    "httpx": httpx.TransportError,
    "requests": requests.exceptions.RequestException,
    "urllib3": urllib3.exceptions.ProtocolError,
    "niquests": niquests.exceptions.RequestException,
    "openai, chunks": (openai.APIConnectionError, httpx.TransportError),
}
"""What a client raises where its connection breaks: which of its errors is a matter of the moment."""


class TestBrokenConnections:
    """What the client raises passes unchanged, and what came before is kept."""

    @pytest.mark.parametrize("kind", BREAKS)
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async(self, server: str, anyio_backend: str, kind: str) -> None:
        async with SOURCES[kind].open(f"{server}/cut") as source:
            with pytest.raises(BREAKS[kind]):
                await accumulate(source, incomplete="return")
        async with SOURCES[kind].open(f"{server}/cut") as source, stream(source) as chunks:
            with pytest.raises(BREAKS[kind]):
                await accumulate(chunks)
            snapshot = chunks.snapshot()
            assert snapshot is not None
            assert snapshot.choices[0].message.reasoning_content == "They ask for "

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_before_it_is_read(self, server: str, anyio_backend: str) -> None:
        """aiohttp receives on its own: that the connection broke is no reason to say that it was closed."""
        async with SOURCES["aiohttp"].open(f"{server}/cut") as source:
            with anyio.fail_after(5):
                while source.content.exception() is None:  # noqa: ASYNC110 - of another library
                    await anyio.sleep(0.002)
            with pytest.raises(aiohttp.ClientPayloadError):
                await accumulate(source)

    @pytest.mark.parametrize("kind", SYNC_BREAKS)
    def test_sync(self, server: str, kind: str) -> None:
        with SYNC_SOURCES[kind].open(f"{server}/cut") as source, pytest.raises(SYNC_BREAKS[kind]):
            accumulate_sync(source, incomplete="return")


class TestForgottenSteps:
    """What was not awaited or entered is named as such, and is of use once it was."""

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_async_clients(self, server: str, anyio_backend: str) -> None:
        url = f"{server}/stream/chat/completions"
        async with (
            httpx.AsyncClient(verify=False) as client,
            aiohttp.ClientSession() as session,
            _openai_client("") as ask_openai,
        ):
            awaited = asyncio.ensure_future(client.post(url, json=BODY))
            coroutine, request = client.post(url, json=BODY), session.post(url, json=BODY)
            for forgotten in (awaited, coroutine, request):
                for read in (*WAYS.values(), *SYNC_WAYS.values()):
                    with pytest.raises(
                        TypeError, match="was not awaited: await it first, or enter it with `async with`"
                    ):
                        await read(forgotten)
            for done in (awaited, coroutine, request):
                assert (await accumulate(await done)).to_dict() == WANTED
            for manager in (
                client.stream("POST", url, json=BODY),
                httpx_sse.aconnect_sse(client, "POST", url, json=BODY),
                ask_openai(url),
            ):
                for read in (*WAYS.values(), *SYNC_WAYS.values()):
                    with pytest.raises(
                        TypeError, match="was not entered: use it in a `with` or `async with` statement"
                    ):
                        await read(manager)
                async with manager as entered:
                    assert (await accumulate(entered)).to_dict() == WANTED

    def test_blocking_clients(self, server: str) -> None:
        url = f"{server}/stream/chat/completions"
        http_client = openai.DefaultHttpxClient(verify=False)
        with (
            httpx.Client(verify=False) as client,
            openai.OpenAI(api_key="k", base_url=f"{server}/stream", http_client=http_client) as openai_client,
        ):
            for manager in (
                client.stream("POST", url, json=BODY),
                httpx_sse.connect_sse(client, "POST", url, json=BODY),
                openai_client.chat.completions.with_streaming_response.create(**BODY),
                openai_client.chat.completions.stream(model="m", messages=[]),
            ):
                with pytest.raises(TypeError, match="was not entered"):
                    accumulate_sync(manager)
                with manager as entered:
                    assert accumulate_sync(entered).to_dict() == WANTED
