"""streamagg where no client is installed: run by plain Python, in an environment of its own.

    python tests/support/no_clients.py

Its server and its clients are the standard library's, and anyio.
"""

from __future__ import annotations

import asyncio
import http.client
import http.server
import importlib.util
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

import streamagg

CLIENTS = [
    "aiohttp",
    "attr",
    "fastapi",
    "httpcore",
    "httpx",
    "httpx2",
    "httpx_sse",
    "niquests",
    "openai",
    "pydantic",
    "requests",
    "rich",
    "starlette",
    "trio",
    "urllib3",
    "urllib3_future",
    "uvicorn",
    "uvloop",
]
RECORDING = Path(__file__).parents[1] / "data" / "weather.sse"
BODY = RECORDING.read_bytes()
REFUSAL = b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}'


class Handler(http.server.BaseHTTPRequestHandler):
    """Streams the recording, or refuses to."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        refuses = self.path == "/refuse"
        self.send_response(429 if refuses else 200)
        self.send_header("content-type", "application/json" if refuses else "text/event-stream")
        self.end_headers()
        self.wfile.write(REFUSAL if refuses else BODY)

    def log_message(self, *args: Any) -> None: ...


def check(response: streamagg.ChatCompletionResponse) -> None:
    assert response.usage is not None
    assert response.usage.total_tokens == 139
    calls = response.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls if call.function] == ["Zürich", "Malmö"]


def post(path: str) -> bytes:
    return f"POST {path} HTTP/1.0\r\nhost: test\r\ncontent-length: 2\r\n\r\n{{}}".encode()


async def slices() -> AsyncIterator[bytes]:
    for place in range(0, len(BODY), 100):
        await asyncio.sleep(0)
        yield BODY[place : place + 100]


async def in_async_code(port: int) -> None:
    for source in (RECORDING, BODY, slices(), [BODY[:99], BODY[99:]]):
        check(await streamagg.accumulate(source))
    async with streamagg.stream(slices(), idle_timeout=10) as chunks:
        assert "".join([chunk.text async for chunk in chunks]).startswith("I will look up")
    check(chunks.response())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/"))
    await reader.readuntil(b"\r\n\r\n")
    check(await streamagg.accumulate(reader))
    writer.close()
    await writer.wait_closed()
    async with await anyio.connect_tcp("127.0.0.1", port) as connection:
        await connection.send(post("/"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await connection.receive(1)
        check(await streamagg.accumulate(connection))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", b"{}") as response:  # noqa: ASYNC210 - which is the mistake
        try:
            await streamagg.accumulate(response)
        except TypeError as error:
            assert "accumulate_sync" in str(error)
        else:
            raise AssertionError("a blocking response was read in async code")


def in_blocking_code(port: int) -> None:
    with RECORDING.open("rb") as file:
        for source in (RECORDING, BODY, file, [BODY[:99], BODY[99:]]):
            check(streamagg.accumulate_sync(source))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", b"{}") as response:
        check(streamagg.accumulate_sync(response))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/refuse", b"{}")
    with connection.getresponse() as response, streamagg.stream_sync(response) as chunks:
        try:
            next(chunks)
        except streamagg.ProviderError as error:
            assert (error.status, error.code, error.message) == (429, "rate_limit_exceeded", "Slow down.")
        else:
            raise AssertionError("a refusal was taken for a stream")
    connection.close()


def on_the_command_line() -> None:
    command = [sys.executable, "-m", "streamagg", "--usage", str(RECORDING)]
    lines = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    assert json.loads(lines[0])["usage"] == json.loads(lines[1])


def main() -> None:
    installed = [name for name in CLIENTS if importlib.util.find_spec(name)]
    assert not installed, f"here are clients: {installed}"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        asyncio.run(in_async_code(server.server_port))
        in_blocking_code(server.server_port)
        server.shutdown()
    on_the_command_line()
    print("works without any client")


if __name__ == "__main__":
    main()
