"""The README's table of sources: each line to write, as it stands there, with the real client and server."""

from __future__ import annotations

import asyncio
import gzip
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx_sse
import niquests
import openai
import pytest
import requests
import urllib3
from starlette.responses import StreamingResponse

from streamagg import accumulate, accumulate_sync, stream
from tests.docs.test_readme import table_after
from tests.support.app import CHUNKS, STREAM, WANTED
from tests.support.sync_clients import BODY, httpx2

LINES = {row[0]: match[1] for row in table_after("## Sources") if (match := re.match("`(.*?)`", row[1]))}
FIRST = {title.split(",")[0].split()[0] for title in LINES}


def record() -> None:
    Path("recording.sse").write_bytes(STREAM)
    Path("recording.sse.gz").write_bytes(gzip.compress(STREAM))


async def slices() -> AsyncIterator[bytes]:
    yield STREAM


async def call_next(request: Any) -> StreamingResponse:
    return StreamingResponse(slices())


async def names_for(title: str, base: str, stack: AsyncExitStack) -> dict[str, Any]:
    """What a line takes for granted."""
    reader = asyncio.StreamReader()
    reader.feed_data(STREAM)
    reader.feed_eof()
    names: dict[str, Any] = {"url": f"{base}/chat/completions", "BODY": BODY, "reader": reader, "slices": slices}
    names |= {"call_next": call_next, "request": None, "stream": stream, "aconnect_sse": httpx_sse.aconnect_sse}
    names |= {"Path": Path, "gzip": gzip, "chunks": CHUNKS, "body": STREAM}
    if title.startswith("openai"):
        http_client = openai.DefaultAsyncHttpxClient(verify=False)
        names["client"] = openai.AsyncOpenAI(api_key="k", base_url=base, http_client=http_client)
    elif title.startswith("httpx2"):
        names["client"] = httpx2.AsyncClient(verify=False)
    elif title.startswith("httpx"):
        names["client"] = httpx.AsyncClient(verify=False)
    elif title.startswith("aiohttp"):
        names["session"] = aiohttp.ClientSession()
    elif title.startswith("niquests"):
        names["session"] = niquests.AsyncSession()
    elif title.startswith("requests"):
        names["session"] = stack.enter_context(requests.Session())
    elif title.startswith("urllib3"):
        names["pool"] = stack.enter_context(urllib3.PoolManager())
    for name in {"client", "session"} & names.keys():
        if hasattr(names[name], "__aenter__"):
            await stack.enter_async_context(names[name])
    return names


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("title", LINES)
async def test_line(
    title: str, anyio_backend: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if title.startswith("httpx2") and httpx2 is None:
        pytest.skip("httpx2 needs Python 3.11")
    monkeypatch.chdir(tmp_path)
    record()
    responses = []

    async def noted(source: Any) -> None:
        responses.append(await accumulate(source))

    def noted_sync(source: Any) -> None:
        responses.append(accumulate_sync(source))

    request = "**BODY" if title.startswith("openai") else "json=BODY"
    if title == "openai's helper":
        request = "model='m', messages=[]"
    line = LINES[title].replace("...", request)
    async with AsyncExitStack() as stack:
        names = await names_for(title, f"{server}/stream", stack)
        names |= {"accumulate": noted, "accumulate_sync": noted_sync}
        exec("async def run():\n" + textwrap.indent(line, "    "), names)
        await names["run"]()
    assert [response.to_dict() for response in responses] == [WANTED]


def test_the_table_has_every_client() -> None:
    assert len(LINES) >= 15
    assert {
        "openai",
        "httpx",
        "httpx-sse",
        "httpx2",
        "aiohttp",
        "niquests",
        "requests",
        "urllib3",
        "Starlette",
    } <= FIRST
