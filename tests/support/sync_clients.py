"""Every source that blocking code may hold, made by its real client from a real answer.

A source is given for a base address, whose scenario says what the server of `tests.support.app` does.
"""

from __future__ import annotations

import gzip
import http.client
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import httpx_sse
import niquests
import openai
import requests
import urllib3

from streamagg import ChatCompletionResponse, accumulate_sync, stream_sync, tap_sync

try:
    import httpx2
except ImportError:  # it needs Python 3.11
    httpx2 = None

BODY: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
HEAD = (
    b"POST %s/chat/completions HTTP/1.0\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)


def _stream_sync(source: Any) -> ChatCompletionResponse:
    with stream_sync(source) as chunks:
        for _ in chunks:
            pass
    return chunks.response()


def _tap_sync(source: Any) -> ChatCompletionResponse:
    with tap_sync(source) as body:
        for _ in body:
            pass
    return body.response()


SYNC_WAYS: dict[str, Callable[[Any], ChatCompletionResponse]] = {
    "accumulate_sync": accumulate_sync,
    "stream_sync": _stream_sync,
    "tap_sync": _tap_sync,
}
"""The ways to read a source."""


class SyncSource(NamedTuple):
    """A kind of source for blocking code."""

    open: Callable[[str], AbstractContextManager[Any]]
    traits: str
    """What is true of it, of these words:

    live    the first events are there before the last ones were sent
    bytes   its items are bytes, so that they can be a plain answer as well
    status  it knows the HTTP status of a refusal
    once    it knows that it was read, or closed
    """


STREAMED = "live bytes status once"
READ = "bytes status"
CHECKED = "live bytes once"  # the client has raised for the status
CHUNKS = "live once"
EVENTS = "live"
CONNECTION = "live bytes"
STORED = "bytes"


@contextmanager
def _httpx_sync(base: str, module: Any = httpx) -> Iterator[Any]:
    with (
        module.Client(verify=False) as client,
        client.stream("POST", f"{base}/chat/completions", json=BODY) as response,
    ):
        yield response


@contextmanager
def _httpx_sync_read(base: str, module: Any = httpx) -> Iterator[Any]:
    with module.Client(verify=False) as client:
        yield client.post(f"{base}/chat/completions", json=BODY)


@contextmanager
def _httpx_sse_sync(base: str) -> Iterator[Any]:
    with (
        httpx.Client(verify=False) as client,
        httpx_sse.connect_sse(client, "POST", f"{base}/chat/completions", json=BODY) as events,
    ):
        yield events


@contextmanager
def _httpx_sse_events_sync(base: str) -> Iterator[Any]:
    with _httpx_sse_sync(base) as events:
        yield events.iter_sse()


@contextmanager
def _httpx2_sse_sync(base: str) -> Iterator[Any]:
    with (
        httpx2.Client(verify=False) as client,
        client.sse(f"{base}/chat/completions", method="POST", json=BODY) as events,
    ):
        yield events


@contextmanager
def _httpx2_sse_events_sync(base: str) -> Iterator[Any]:
    with _httpx2_sse_sync(base) as events:
        yield iter(events)


@contextmanager
def _requests(base: str, module: Any = requests) -> Iterator[Any]:
    with (
        module.Session() as session,
        session.post(f"{base}/chat/completions", json=BODY, stream=True) as response,
    ):
        yield response


@contextmanager
def _requests_read(base: str, module: Any = requests) -> Iterator[Any]:
    with module.Session() as session:
        yield session.post(f"{base}/chat/completions", json=BODY)


@contextmanager
def _urllib3(base: str) -> Iterator[Any]:
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", f"{base}/chat/completions", json=BODY, preload_content=False)
        yield response
        response.close()


@contextmanager
def _urllib3_read(base: str) -> Iterator[Any]:
    with urllib3.PoolManager() as pool:
        yield pool.request("POST", f"{base}/chat/completions", json=BODY)


@contextmanager
def _http_client(base: str) -> Iterator[Any]:
    url = urlsplit(base)
    with closing(http.client.HTTPConnection(str(url.hostname), url.port)) as connection:
        connection.request("POST", f"{url.path}/chat/completions", b"{}", {"content-type": "application/json"})
        with connection.getresponse() as response:
            yield response


@contextmanager
def _openai_sync(base: str) -> Iterator[Any]:
    with openai.OpenAI(
        api_key="k", base_url=base, max_retries=0, http_client=openai.DefaultHttpxClient(verify=False)
    ) as client:
        yield client.chat.completions


@contextmanager
def _openai_chunks_sync(base: str) -> Iterator[Any]:
    with _openai_sync(base) as completions, completions.create(**BODY) as chunks:
        yield chunks


@contextmanager
def _openai_streaming_sync(base: str) -> Iterator[Any]:
    with _openai_sync(base) as completions, completions.with_streaming_response.create(**BODY) as response:
        yield response


@contextmanager
def _openai_raw_sync(base: str) -> Iterator[Any]:
    with _openai_sync(base) as completions:
        response = completions.with_raw_response.create(**BODY)
        yield response
        response.http_response.close()


@contextmanager
def _openai_events_sync(base: str) -> Iterator[Any]:
    with _openai_sync(base) as completions, completions.stream(model="m", messages=[]) as events:
        yield events


@contextmanager
def _socket_file(base: str) -> Iterator[Any]:
    url = urlsplit(base)
    with socket.create_connection((url.hostname, url.port)) as connection, connection.makefile("rb") as file:
        connection.sendall(HEAD % url.path.encode())
        while file.readline() != b"\r\n":
            pass
        yield file


def _body(base: str) -> bytes:
    with _httpx_sync_read(base) as response:
        body: bytes = response.content
        return body


@contextmanager
def _path(base: str) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "recording.sse")
        path.write_bytes(_body(base))
        yield path


@contextmanager
def _file(base: str) -> Iterator[Any]:
    with _path(base) as path, path.open("rb") as file:
        yield file


@contextmanager
def _text_file(base: str) -> Iterator[Any]:
    with _path(base) as path, path.open(encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _gzip_file(base: str) -> Iterator[Any]:
    with _path(base) as path:
        path.write_bytes(gzip.compress(path.read_bytes()))
        with gzip.open(path) as file:
            yield file


@contextmanager
def _memory_file(base: str) -> Iterator[Any]:
    yield io.BytesIO(_body(base))


@contextmanager
def _list(base: str) -> Iterator[Any]:
    body = _body(base)
    yield [body[place : place + 100] for place in range(0, len(body), 100)]


@contextmanager
def _slices_sync(base: str) -> Iterator[Any]:
    with _httpx_sync(base) as response:
        yield (data for data in response.iter_bytes())


SYNC_SOURCES: dict[str, SyncSource] = {
    "httpx": SyncSource(_httpx_sync, STREAMED),
    "httpx, read": SyncSource(_httpx_sync_read, READ),
    "httpx-sse": SyncSource(_httpx_sse_sync, STREAMED),
    "httpx-sse, its iterator": SyncSource(_httpx_sse_events_sync, EVENTS),
    "requests": SyncSource(_requests, STREAMED),
    "requests, read": SyncSource(_requests_read, READ),
    "urllib3": SyncSource(_urllib3, STREAMED),
    "urllib3, read": SyncSource(_urllib3_read, READ),
    "http.client": SyncSource(_http_client, "live bytes status"),
    "niquests": SyncSource(partial(_requests, module=niquests), STREAMED),
    "niquests, read": SyncSource(partial(_requests_read, module=niquests), READ),
    "openai, chunks": SyncSource(_openai_chunks_sync, CHUNKS),
    "openai, helper": SyncSource(_openai_events_sync, CHUNKS),
    "openai, with_streaming_response": SyncSource(_openai_streaming_sync, CHECKED),
    "openai, with_raw_response": SyncSource(_openai_raw_sync, CHECKED),
    "socket file": SyncSource(_socket_file, CONNECTION),
    "path": SyncSource(_path, STORED),
    "file": SyncSource(_file, STORED),
    "text file": SyncSource(_text_file, STORED),
    "gzip file": SyncSource(_gzip_file, STORED),
    "file in memory": SyncSource(_memory_file, STORED),
    "list": SyncSource(_list, STORED),
    "generator": SyncSource(_slices_sync, CONNECTION),
}
if httpx2 is not None:
    SYNC_SOURCES |= {
        "httpx2": SyncSource(partial(_httpx_sync, module=httpx2), STREAMED),
        "httpx2, read": SyncSource(partial(_httpx_sync_read, module=httpx2), READ),
        "httpx2, event source": SyncSource(_httpx2_sse_sync, STREAMED),
        "httpx2, event source, its iterator": SyncSource(_httpx2_sse_events_sync, EVENTS),
    }
