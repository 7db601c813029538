"""A proxy before an OpenAI-compatible server that keeps the bill of each API key.

UPSTREAM=https://api.example.com uvicorn proxy:app
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

import streamagg

bills: dict[str, streamagg.CompletionUsage] = defaultdict(streamagg.CompletionUsage)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=None) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/chat/completions")
async def completions(request: Request) -> StreamingResponse:
    asked = await request.json()
    if asked.get("stream"):
        asked["stream_options"] = {**(asked.get("stream_options") or {}), "include_usage": True}
    key = request.headers.get("authorization", "")
    client: httpx.AsyncClient = request.app.state.client
    upstream = await client.send(
        client.build_request("POST", request.url.path, json=asked, headers={"authorization": key}), stream=True
    )
    return StreamingResponse(
        relay(upstream, key),
        upstream.status_code,
        media_type=upstream.headers.get("content-type"),
        background=BackgroundTask(upstream.aclose),  # where the client left before the relay began
    )


async def relay(upstream: httpx.Response, key: str) -> AsyncIterator[bytes]:
    """Every slice as it comes; and the bill, also when the client hangs up or the server breaks off."""
    body = streamagg.tap(upstream)
    try:
        async with body:
            async for data in body:
                yield data
    finally:
        if usage := body.usage:
            bills[key] += usage
        with anyio.CancelScope(shield=True):
            await upstream.aclose()
