"""`accumulate_all` and `sum_usage`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

from streamagg import (
    ChatCompletionResponse,
    CompletionUsage,
    DecodeError,
    IncompleteStreamError,
    ProviderError,
    accumulate_all,
    stream,
    sum_usage,
    tap,
)
from tests.support.helpers import chunk, merged, sse
from tests.support.serving import serve
from tests.support.streams import BODY, CHUNKS, CUT, WANTED, Closable, Watched

# trio tells of async generators that clients leave unfinished themselves when they are not read to their end
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object"),
    pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning"),
]


def told(number: int) -> list[Any]:
    """The chunks that answer request `number`."""
    usage = {"prompt_tokens": number, "completion_tokens": 1, "total_tokens": number + 1}
    return [chunk({"content": f"number {number}"}), chunk(finish="stop", usage=usage)]


def plain(results: list[ChatCompletionResponse | Exception]) -> list[Any]:
    return [item.to_dict() if isinstance(item, ChatCompletionResponse) else type(item) for item in results]


class TestAccumulateAll:
    async def test_order_and_errors(self) -> None:
        sources = [
            BODY,
            CUT,
            CHUNKS,
            [b'data: {"error": "no"}\n\n'],
            Closable(CUT, error=ConnectionResetError("gone")),
            Watched(BODY),
            b"nonsense",
            5,
            stream(BODY),
            tap(BODY),
        ]
        results = await accumulate_all(sources)
        assert plain(results) == [
            WANTED,
            IncompleteStreamError,
            WANTED,
            ProviderError,
            ConnectionResetError,
            WANTED,
            DecodeError,
            TypeError,
            WANTED,
            WANTED,
        ]
        assert results[1].partial.text == "Hel"  # type: ignore[union-attr]

    async def test_options_arrive(self) -> None:
        results = await accumulate_all([CUT, [*CHUNKS, CHUNKS[-1]]], incomplete="return", usage="sum")
        assert [item.text for item in results if isinstance(item, ChatCompletionResponse)] == ["Hel", "Hello"]
        assert results[1].usage.total_tokens == 10  # type: ignore[union-attr]
        assert plain(await accumulate_all([[{"type": "ping"}]], strict=True)) == [DecodeError]

    async def test_wrong_options_are_raised(self) -> None:
        with pytest.raises(ValueError, match="limit must be 1 or more, not 0"):
            await accumulate_all([BODY], limit=0)
        with pytest.raises(ValueError, match="incomplete must be"):
            await accumulate_all([BODY], incomplete="ignore")  # type: ignore[arg-type]

    async def test_nothing(self) -> None:
        assert await accumulate_all([]) == []

    @pytest.mark.parametrize("limit", [1, 3, 100])
    async def test_at_most_so_many_at_once_and_none_asked_for_before(self, limit: int) -> None:
        running: set[int] = set()
        most = 0
        asked = 0

        async def answer(number: int) -> AsyncIterator[Any]:
            nonlocal most
            running.add(number)
            most = max(most, len(running))
            try:
                for item in told(number):
                    for _ in range(number % 4):
                        await anyio.lowlevel.checkpoint()
                    yield item
            finally:
                running.remove(number)

        def sources() -> Iterator[Any]:
            nonlocal asked
            for number in range(20):
                asked += 1
                assert len(running) < limit
                yield answer(number)

        results = await accumulate_all(sources(), limit=limit)
        assert plain(results) == [merged(*told(number)) for number in range(20)]
        assert min(limit, 3) <= most <= limit
        assert asked == 20

    async def test_what_opens_a_source(self) -> None:
        watched = Watched(*CHUNKS)
        opened: list[Closable] = []

        async def opens() -> Closable:
            await anyio.lowlevel.checkpoint()
            opened.append(Closable(BODY))
            return opened[-1]

        @asynccontextmanager
        async def manages() -> AsyncIterator[Closable]:
            source = await opens()
            yield source
            await source.aclose()

        async def fails() -> None:
            raise ConnectionRefusedError

        results = await accumulate_all(
            [
                opens(),
                opens,
                manages(),
                manages,
                watched.agen,
                watched.gen,
                lambda: BODY,
                fails(),
                fails,
                lambda: fails(),
            ]
        )
        assert plain(results) == [WANTED] * 7 + [ConnectionRefusedError] * 3
        assert [source.closed for source in opened] == [True] * 4
        assert watched.open == 0

    async def test_what_was_open_stays_open(self) -> None:
        source = Closable(BODY)
        send, receive = anyio.create_memory_object_stream[bytes](1)
        async with send, receive:
            await send.send(BODY)
            assert plain(await accumulate_all([source, receive])) == [WANTED] * 2
            assert not source.closed
            await send.send(BODY)
            assert await receive.receive() == BODY

    async def test_what_the_iterable_raises_is_raised(self) -> None:
        watched = Watched(*CHUNKS)

        def sources() -> Iterator[Any]:
            yield watched.agen()
            yield Closable(error=AssertionError("was to be cancelled"))
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            await accumulate_all(sources())
        assert watched.open == 0

    async def test_cancellation_passes(self) -> None:
        begun = []

        async def never() -> Any:
            begun.append(None)
            if len(begun) == 2:
                scope.cancel()
            await anyio.sleep_forever()

        with anyio.CancelScope() as scope:
            await accumulate_all([never] * 5, limit=2)
        assert scope.cancelled_caught
        assert len(begun) == 2

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_task_that_was_cancelled_itself(self, anyio_backend: str) -> None:
        task = asyncio.ensure_future(asyncio.sleep(1000))
        task.cancel()
        results = await accumulate_all([BODY, task, BODY])
        assert plain(results) == [WANTED, IncompleteStreamError, WANTED]
        assert str(results[1]) == "the source was cancelled"


class Counting:
    """An app that answers `{"number": n}` with `told(n)`, and counts the calls that it serves at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.app = FastAPI()
        self.app.post("/chat/completions")(self.answer)

    async def answer(self, request: Request) -> StreamingResponse:
        asked = await request.json()
        return StreamingResponse(self.body(asked["number"]), media_type="text/event-stream")

    async def body(self, number: int) -> AsyncIterator[bytes]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for item in told(number):
                yield sse(item, done=False)
                await anyio.sleep(0.005)
            yield b"data: [DONE]\n\n"
        finally:
            self.now -= 1


class TestOverHTTP:
    """Each client's own way to ask, a hundred times, five at once."""

    WANTED = [merged(*told(number)) for number in range(100)]

    @pytest.fixture
    def counting(self) -> Counting:
        return Counting()

    @pytest.fixture
    def url(self, counting: Counting) -> Iterator[str]:
        with serve(counting.app) as url:
            yield url

    async def test_httpx(self, url: str, counting: Counting) -> None:
        responses: list[httpx.Response] = []

        async with httpx.AsyncClient(base_url=url) as client:

            async def send(number: int) -> httpx.Response:
                request = client.build_request("POST", "/chat/completions", json={"number": number})
                responses.append(await client.send(request, stream=True))
                return responses[-1]

            asks = [partial(client.stream, "POST", "/chat/completions", json={"number": n}) for n in range(50)]
            sends = [partial(send, number) for number in range(50, 100)]
            results = await accumulate_all(
                [*(ask() for ask in asks[:25]), *asks[25:], *(ask() for ask in sends[:25]), *sends[25:]], limit=5
            )
        assert plain(results) == self.WANTED
        assert counting.most <= 5
        assert len(responses) == 50
        assert all(response.is_closed for response in responses)

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_aiohttp(self, anyio_backend: str, url: str, counting: Counting) -> None:
        async with aiohttp.ClientSession(url) as session:
            asks = [partial(session.post, "/chat/completions", json={"number": number}) for number in range(100)]
            results = await accumulate_all((ask() if n % 2 else ask for n, ask in enumerate(asks)), limit=5)
        assert plain(results) == self.WANTED
        assert counting.most <= 5

    async def test_openai(self, url: str, counting: Counting) -> None:
        kinds: list[Any] = []
        async with AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            completions = client.chat.completions
            for number in range(100):
                create = [
                    completions.create,
                    completions.with_streaming_response.create,
                    completions.with_raw_response.create,
                ][number % 3]
                kinds.append(
                    partial(create, model="m", messages=[], stream=True, extra_body={"number": number})  # type: ignore[call-overload]
                )
            results = await accumulate_all((ask() if n % 2 else ask for n, ask in enumerate(kinds)), limit=5)
        assert plain(results) == self.WANTED
        assert counting.most <= 5
        assert sum_usage(results) == CompletionUsage(
            prompt_tokens=sum(range(100)), completion_tokens=100, total_tokens=sum(range(100)) + 100
        )
