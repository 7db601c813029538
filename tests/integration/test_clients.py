"""Every source of the README's table, from its real client and a real server, in every way to read it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from streamagg import ProviderError, stream, stream_sync
from tests.support.app import CHUNKS, FIRST, GATES, WANTED
from tests.support.async_clients import SOURCES, WAYS
from tests.support.sync_clients import SYNC_SOURCES, SYNC_WAYS

LOOPS = {"asyncio": ("asyncio", {}), "uvloop": ("asyncio", {"use_uvloop": True}), "trio": ("trio", {})}

UNFINISHED = [
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object"),
    pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning"),
]


def rows(trait: str = "", but: str = "none") -> Any:
    """The async sources that have a trait, and not another; each with the loops that its client runs on."""
    return pytest.mark.parametrize(
        ("kind", "anyio_backend"),
        [
            pytest.param(kind, LOOPS[loop], id=f"{kind}-{loop}", marks=UNFINISHED if "nested" in traits else ())
            for kind, (_, traits, loops) in SOURCES.items()
            for loop in loops.split()
            if trait in ("", *traits.split()) and but not in traits.split()
        ],
    )


def sync_rows(trait: str = "") -> Any:
    return pytest.mark.parametrize(
        "kind", [kind for kind, (_, traits) in SYNC_SOURCES.items() if trait in ("", *traits.split())]
    )


pytestmark = [pytest.mark.anyio, pytest.mark.sampled(7)]


class TestStreams:
    @rows()
    @pytest.mark.parametrize("way", WAYS)
    async def test_async(self, server: str, kind: str, way: str) -> None:
        async with SOURCES[kind].open(f"{server}/stream") as source:
            response = await WAYS[way](source)
        assert response.to_dict() == WANTED

    @sync_rows()
    @pytest.mark.parametrize("way", SYNC_WAYS)
    def test_sync(self, server: str, kind: str, way: str) -> None:
        with SYNC_SOURCES[kind].open(f"{server}/stream") as source:
            response = SYNC_WAYS[way](source)
        assert response.to_dict() == WANTED

    def test_what_was_streamed(self) -> None:
        """The answer that all of them are held against."""
        message = WANTED["choices"][0]["message"]
        assert message["content"] == "Ich schaue nach: Zürich, Malmö 🌦"
        assert message["reasoning_content"] == "They ask for two cities."
        assert [call["function"]["arguments"] for call in message["tool_calls"]] == [
            '{"city":"Zürich"}',
            '{"city":"Malmö"}',
        ]
        assert WANTED["usage"]["total_tokens"] == 18

    @rows("live")
    async def test_chunks_come_as_they_are_sent(self, server: str, kind: str) -> None:
        """The server goes on only once the first ones were seen."""
        gate = re.sub(r"\W", "", f"{kind}{id(self)}")
        async with SOURCES[kind].open(f"{server}/gated-{gate}") as source, stream(source) as chunks:
            first = [await anext(chunks) for _ in range(FIRST)]
            GATES[gate].set()
            assert len(first) + len([chunk async for chunk in chunks]) == len(CHUNKS)
            assert chunks.response().to_dict() == WANTED

    @sync_rows("live")
    def test_chunks_come_as_they_are_sent_sync(self, server: str, kind: str) -> None:
        gate = re.sub(r"\W", "", f"{kind}{id(self)}")
        with SYNC_SOURCES[kind].open(f"{server}/gated-{gate}") as source, stream_sync(source) as chunks:
            first = [next(chunks) for _ in range(FIRST)]
            GATES[gate].set()
            assert len(first) + len(list(chunks)) == len(CHUNKS)
            assert chunks.response().to_dict() == WANTED

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("what", ["response", "body_iterator"])
    def test_starlette(self, server: str, way: str, what: str) -> None:
        """A middleware of the server itself reads what the app streams."""
        headers = {"x-read-by": f"{way} {what}"}
        assert httpx.post(f"{server}/own/stream/chat/completions", headers=headers).json() == WANTED
        assert httpx.post(f"{server}/own/json/chat/completions", headers=headers).json() == WANTED


class TestPlainAnswers:
    @rows("bytes")
    @pytest.mark.parametrize("way", WAYS)
    async def test_async(self, server: str, kind: str, way: str) -> None:
        async with SOURCES[kind].open(f"{server}/json") as source:
            assert (await WAYS[way](source)).to_dict() == WANTED

    @sync_rows("bytes")
    @pytest.mark.parametrize("way", SYNC_WAYS)
    def test_sync(self, server: str, kind: str, way: str) -> None:
        with SYNC_SOURCES[kind].open(f"{server}/json") as source:
            assert SYNC_WAYS[way](source).to_dict() == WANTED


class TestRefusals:
    @rows("status")
    @pytest.mark.parametrize("way", WAYS)
    async def test_async(self, server: str, kind: str, way: str) -> None:
        for status, body, words in ((429, "openai", "Slow down"), (503, "empty", "HTTP status 503 and an empty body")):
            async with SOURCES[kind].open(f"{server}/{status}-{body}") as source:
                with pytest.raises(ProviderError, match=words) as caught:
                    await WAYS[way](source)
            assert caught.value.status == status

    @sync_rows("status")
    @pytest.mark.parametrize("way", SYNC_WAYS)
    def test_sync(self, server: str, kind: str, way: str) -> None:
        for status, body, words in ((429, "openai", "Slow down"), (503, "empty", "HTTP status 503 and an empty body")):
            with (
                SYNC_SOURCES[kind].open(f"{server}/{status}-{body}") as source,
                pytest.raises(ProviderError, match=words) as caught,
            ):
                SYNC_WAYS[way](source)
            assert caught.value.status == status


class TestReadOnce:
    """A second reading is an error that says so, not an empty stream."""

    @rows("once")
    @pytest.mark.parametrize("way", WAYS)
    async def test_read_already(self, server: str, kind: str, way: str) -> None:
        async with SOURCES[kind].open(f"{server}/stream") as source:
            await WAYS[way](source)
            with pytest.raises(RuntimeError, match="was read already, or is closed"):
                await WAYS[way](source)

    @rows("once")
    async def test_closed(self, server: str, kind: str) -> None:
        gate = re.sub(r"\W", "", f"{kind}{id(self)}")
        async with SOURCES[kind].open(f"{server}/gated-{gate}") as source:
            pass
        GATES[gate].set()
        with pytest.raises(RuntimeError, match="was read already, or is closed"):
            await WAYS["accumulate"](source)

    @sync_rows("once")
    @pytest.mark.parametrize("way", SYNC_WAYS)
    def test_read_already_sync(self, server: str, kind: str, way: str) -> None:
        with SYNC_SOURCES[kind].open(f"{server}/stream") as source:
            SYNC_WAYS[way](source)
            with pytest.raises(RuntimeError, match="was read already, or is closed"):
                SYNC_WAYS[way](source)

    @sync_rows("once")
    def test_closed_sync(self, server: str, kind: str) -> None:
        gate = re.sub(r"\W", "", f"{kind}{id(self)}")
        with SYNC_SOURCES[kind].open(f"{server}/gated-{gate}") as source:
            pass
        GATES[gate].set()
        with pytest.raises(RuntimeError, match="was read already, or is closed"):
            SYNC_WAYS["accumulate_sync"](source)


class TestKinds:
    @sync_rows("once")
    @pytest.mark.parametrize("way", WAYS)
    async def test_a_blocking_source_in_async_code(self, server: str, kind: str, way: str) -> None:
        with (
            SYNC_SOURCES[kind].open(f"{server}/stream") as source,
            pytest.raises(TypeError, match=r"is a blocking response: use accumulate_sync\(\.\.\.\) or stream_sync"),
        ):
            await WAYS[way](source)

    @rows("sync")
    @pytest.mark.parametrize("way", SYNC_WAYS)
    async def test_what_async_code_keeps_in_memory(self, server: str, kind: str, way: str) -> None:
        async with SOURCES[kind].open(f"{server}/stream") as source:
            assert SYNC_WAYS[way](source).to_dict() == WANTED

    @rows(but="sync")
    @pytest.mark.parametrize("way", SYNC_WAYS)
    async def test_an_async_source_in_blocking_code(self, server: str, kind: str, way: str) -> None:
        async with SOURCES[kind].open(f"{server}/stream") as source:
            with pytest.raises(TypeError, match=r"is asynchronous: use `await accumulate\(\.\.\.\)` or `stream"):
                SYNC_WAYS[way](source)
