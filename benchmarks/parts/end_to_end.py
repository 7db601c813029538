"""End to end: the CPU time of a client process that reads a stream over loopback HTTP, with and without
accumulating it. One process for each client; the server is in another one, which counts for nothing.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import streamagg

from ..measure.answers import wrong_parts
from ..measure.child import reason_of
from ..streams.generated import KINDS, Json

BURST = 5000
PACED = 1000
ROUNDS = {"burst": 7, "paced": 3}
CLIENTS = {
    "httpx": "httpx, `aiter_bytes`",
    "httpx2": "httpx2, `aiter_bytes`",
    "aiohttp": "aiohttp, `iter_any`",
    "aiohttp-chunks": "aiohttp, `iter_chunks`: one event per read at any speed",
    "openai": "openai, `with_streaming_response`",
}
DISTRIBUTIONS = {"aiohttp-chunks": "aiohttp"}

_MESSAGES = [{"role": "user", "content": "Hello"}]
_BODY = {"model": "gpt-4o", "messages": _MESSAGES, "stream": True}

Row = dict[str, Any]
Way = Callable[[str], Awaitable[Any]]
"""Reads the stream at a base address: to the answer, or to the number of reads."""


def run(client: str, burst: int, paced: int, rounds: dict[str, int]) -> list[Row]:
    """The rows of one client: one for each pace."""
    with _server(burst, paced) as port:
        return asyncio.run(_measured(client, port, {"burst": burst, "paced": paced}, rounds))


@contextmanager
def _server(burst: int, paced: int) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.parts.server", str(burst), str(paced)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _measured(client: str, port: int, sizes: dict[str, int], rounds: dict[str, int]) -> list[Row]:
    rows: list[Row] = []
    async with _WAYS[client]() as ways:
        for pace, size in sizes.items():
            base = f"http://127.0.0.1:{port}/{pace}/v1"
            row: Row = {"client": client, "pace": pace}
            try:
                row |= {"state": "measured", **await _row(ways, base, size, rounds[pace])}
            except Exception as error:  # whatever a library raises is its row in the report
                row |= {"state": "failed", "reason": reason_of(error)}
            rows.append(row)
    return rows


async def _row(ways: dict[str, Way], base: str, size: int, rounds: int) -> Row:
    case = KINDS["text"].case(size)
    wrong = []
    for name, way in ways.items():  # warm-up, and the answers
        result = await way(base)
        if isinstance(result, int):
            reads = result
        elif parts := wrong_parts(case.answer, result, whole=name == "accumulate"):
            wrong.append(f"{name}: {', '.join(parts)}")
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            await way(base)
            times[name].append(time.process_time() - start)
    return {
        "chunks": len(case.payloads),
        "reads": reads,
        "wrong": wrong,
        "us_per_chunk": {name: 1e6 * statistics.median(took) / len(case.payloads) for name, took in times.items()},
        "to_read": {name: _ratio(took, times["read"]) for name, took in times.items()},
        "stream_to_accumulate": _ratio(times["stream"], times["accumulate"]) if "stream" in times else None,
    }


def _ratio(mine: list[float], its: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(mine, its, strict=True))


def _httpx_ways(client: Any) -> dict[str, Way]:
    """For httpx and httpx2, whose names are the same."""

    async def read(base: str) -> int:
        reads = 0
        async with client.stream("POST", f"{base}/chat/completions", json=_BODY) as response:
            async for _ in response.aiter_bytes():
                reads += 1
        return reads

    async def accumulate(base: str) -> Json:
        async with client.stream("POST", f"{base}/chat/completions", json=_BODY) as response:
            return (await streamagg.accumulate(response)).to_dict()

    return {"read": read, "accumulate": accumulate}


@asynccontextmanager
async def _httpx() -> AsyncIterator[dict[str, Way]]:
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        yield _httpx_ways(client)


@asynccontextmanager
async def _httpx2() -> AsyncIterator[dict[str, Way]]:
    import httpx2

    async with httpx2.AsyncClient(trust_env=False) as client:
        yield _httpx_ways(client)


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[dict[str, Way]]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def read(base: str) -> int:
            reads = 0
            async with session.post(f"{base}/chat/completions", json=_BODY) as response:
                async for _ in response.content.iter_any():
                    reads += 1
            return reads

        async def accumulate(base: str) -> Json:
            async with session.post(f"{base}/chat/completions", json=_BODY) as response:
                return (await streamagg.accumulate(response)).to_dict()

        yield {"read": read, "accumulate": accumulate}


@asynccontextmanager
async def _aiohttp_chunks() -> AsyncIterator[dict[str, Way]]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def read(base: str) -> int:
            reads = 0
            async with session.post(f"{base}/chat/completions", json=_BODY) as response:
                async for _ in response.content.iter_chunks():
                    reads += 1
            return reads

        async def accumulate(base: str) -> Json:
            accumulator = streamagg.Accumulator()
            async with session.post(f"{base}/chat/completions", json=_BODY) as response:
                async for data, _ in response.content.iter_chunks():
                    accumulator.feed(data)
            return accumulator.finish().to_dict()

        yield {"read": read, "accumulate": accumulate}


@asynccontextmanager
async def _openai() -> AsyncIterator[dict[str, Way]]:
    import httpx
    from openai import AsyncOpenAI

    async with httpx.AsyncClient(trust_env=False) as http_client:

        def completions(base: str) -> Any:
            return AsyncOpenAI(api_key="none", base_url=base, http_client=http_client).chat.completions

        async def read(base: str) -> int:
            reads = 0
            async with completions(base).with_streaming_response.create(**_BODY) as response:
                async for _ in response.iter_bytes():
                    reads += 1
            return reads

        async def accumulate(base: str) -> Json:
            async with completions(base).with_streaming_response.create(**_BODY) as response:
                return (await streamagg.accumulate(response)).to_dict()

        async def stream(base: str) -> Json:
            async with completions(base).stream(model="gpt-4o", messages=_MESSAGES) as chunks:
                async for _ in chunks:
                    pass
                completion = await chunks.get_final_completion()
            answer: Json = completion.to_dict(mode="json")
            return answer

        yield {"read": read, "accumulate": accumulate, "stream": stream}


_WAYS = {
    "httpx": _httpx,
    "httpx2": _httpx2,
    "aiohttp": _aiohttp,
    "aiohttp-chunks": _aiohttp_chunks,
    "openai": _openai,
}
