"""The proxy of the examples, between real clients and a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import openai
import pytest

from streamagg import CompletionUsage
from streamagg.asgi import CompletionMiddleware
from tests.examples import proxy
from tests.support.chat_server import PATH, WORDS, Reported, answered, asking, client, make_app, told
from tests.support.serving import serve

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


@pytest.fixture
def reported() -> Reported:
    """What the server behind the proxy reports."""
    return Reported()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, reported: Reported) -> Iterator[str]:
    proxy.bills.clear()
    with serve(CompletionMiddleware(make_app(), reported)) as upstream:
        monkeypatch.setenv("UPSTREAM", upstream)
        with serve(proxy.app, lifespan="on") as url:
            yield url


async def bill_of(key: str, total: int) -> CompletionUsage:
    """The bill of a key, once it has come to so much: another thread writes it after the last byte is out."""
    with anyio.fail_after(10):
        while (proxy.bills[key].total_tokens or 0) < total:  # noqa: ASYNC110 - of another thread
            await anyio.sleep(0.005)
    return proxy.bills[key]


async def test_every_answer_is_passed_and_billed(anyio_backend: str, url: str) -> None:
    async with client(url) as asker:
        for number in (1, 2):
            stream = await asker.chat.completions.create(**asking(number))
            text = "".join([item.choices[0].delta.content or "" async for item in stream if item.choices])
            assert text == "".join(WORDS)
        answer = await asker.chat.completions.create(**asking(3, stream=False))
        assert answer.choices[0].message.content == text
        async with openai.AsyncOpenAI(api_key="other", base_url=f"{url}/v1") as other:
            await other.chat.completions.create(**asking(10, stream=False))
    words = len(WORDS)
    bill = await bill_of("Bearer k", 6 + 3 * words)
    assert bill.to_dict() == {"prompt_tokens": 6, "completion_tokens": 3 * words, "total_tokens": 6 + 3 * words}
    assert (await bill_of("Bearer other", 10 + words)).prompt_tokens == 10


async def test_the_bytes_are_the_servers(anyio_backend: str, url: str) -> None:
    asked: dict[str, Any] = {"number": 4, "stream": True, "kind": None}
    async with httpx.AsyncClient() as plain:
        passed = await plain.post(url + PATH, json=asked)
    assert passed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert passed.content.count(b"data: ") == len(told(4)) + 1
    assert passed.content.endswith(b"data: [DONE]\n\n")
    assert answered(4)["usage"] == (await bill_of("", 4 + len(WORDS))).to_dict()


async def test_errors_pass_and_cost_nothing(anyio_backend: str, url: str) -> None:
    async with client(url) as asker:
        with pytest.raises(openai.BadRequestError, match="too long"):
            await asker.chat.completions.create(**asking(1, kind="error"))
        with pytest.raises(openai.APIStatusError) as caught:
            await asker.chat.completions.create(**asking(1, kind="refused"))
    assert caught.value.response.json() == {"detail": "pay first"}
    assert proxy.bills == {}


async def test_a_client_that_hangs_up(anyio_backend: str, url: str, reported: Reported) -> None:
    """The server behind the proxy is told, and the proxy goes on serving."""
    async with client(url) as asker:
        for stop in range(5):
            stream = await asker.chat.completions.create(**asking(1, stop=stop))
            for _ in range(stop):
                await anext(stream)
            await stream.close()
        await asker.chat.completions.create(**asking(3, stream=False))
    assert (await bill_of("Bearer k", 3 + len(WORDS))).prompt_tokens == 3
    assert sorted(completion.state for completion in reported.wait(6)) == ["complete"] + ["disconnected"] * 5
