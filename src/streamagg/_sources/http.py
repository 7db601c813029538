"""The HTTP body behind a source, found by the shape of the client's object: no client is imported.

1. `body_of(source)` returns an `HTTPBody`, or None for a source that has nothing to do with HTTP.
2. `_CLIENTS` is the table of shapes, one function for each client. The first one that fits counts.
3. A client's own names (for its status, its body, "read", "closed", "blocking") stand in its function and nowhere else.
4. Each function names the versions that it is for: from the oldest that `pyproject.toml` allows the tests to the newest
   that they ran with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

READ_SIZE = 65536
"""Bytes asked of a file or a socket in one read. Measured with `accumulate_sync` on a recording of 3.2 MB: 32 KiB take
8 % more CPU time, 4 KiB twice as much, 1 MiB takes 4 % less. Half of it costs these 8 %, and breaks nothing."""


class HTTPBody(NamedTuple):
    """The body of an HTTP response, or a client's stream of chunks over one."""

    source: Any
    content: bytes | None = None
    """The whole body, where the client has read it and keeps it."""
    spent: bool = False
    """Whether the body was read or closed, and cannot be read again."""
    iter: Callable[[], Any] | None = None
    """Makes an iterator for blocking code; None where the client is asynchronous."""
    aiter: Callable[[], Any] | None = None
    """Makes an async iterator; None where the client is blocking. It may be a coroutine function."""

    @property
    def status(self) -> int | None:
        """The HTTP status; None for a stream of chunks, whose client has checked it."""
        status: int | None = getattr(self.source, "status_code", getattr(self.source, "status", None))
        return status

    def content_type(self) -> str:
        """`; content-type: text/html`, for the end of a message: no decision depends on it."""
        kind = getattr(self.source, "headers", {}).get("content-type")
        return f"; content-type: {kind}" if kind else ""


def body_of(source: Any) -> HTTPBody | None:
    """The HTTP body that a source is, or reads; None for a source without HTTP."""
    for client in _CLIENTS:
        if (body := client(source)) is not None:
            return body
    return None


def _openai_response(source: Any) -> HTTPBody | None:
    """openai, from 1.60 to 2.54: `with_streaming_response` and `with_raw_response` wrap a response of httpx."""
    return body_of(source.http_response) if hasattr(source, "http_response") else None


def _event_source(source: Any) -> HTTPBody | None:
    """httpx-sse 0.4, and httpx2 from 2.0 to 2.16: an `EventSource` has read nothing yet.

    Its response is read instead, because bytes cost less than its events.
    """
    is_property = isinstance(getattr(type(source), "response", None), property)
    return body_of(source.response) if is_property and not hasattr(source, "__anext__") else None


def _httpx(source: Any) -> HTTPBody | None:
    """httpx 0.27 and 0.28, and httpx2 from 2.0 to 2.16."""
    if not (hasattr(source, "aiter_bytes") and hasattr(source, "iter_bytes")):
        return None
    return HTTPBody(
        source,
        getattr(source, "_content", None),
        source.is_closed or source.is_stream_consumed,
        source.iter_bytes if hasattr(source.stream, "__iter__") else None,
        source.aiter_bytes if hasattr(source.stream, "__aiter__") else None,
    )


def _requests(source: Any) -> HTTPBody | None:
    """requests from 2.32 to 2.34, and niquests from 3.10 to 3.21.

    The async responses of niquests have a coroutine function for `iter_content`.
    """
    if not hasattr(source, "iter_content"):
        return None
    is_async = inspect.iscoroutinefunction(source.iter_content)
    content, raw = getattr(source, "_content", False), getattr(source, "raw", None)
    return HTTPBody(
        source,
        content if isinstance(content, bytes) else None,
        getattr(source, "_content_consumed", False) or _is_spent(raw),
        None if is_async else lambda: _requests_slices(source, raw),
        source.iter_content if is_async else None,
    )


def _requests_slices(response: Any, raw: Any) -> Any:
    """The body of a requests response as it arrives."""
    # Without chunked transfer encoding `iter_content` waits for the end of the body, and a live stream shows nothing.
    if not getattr(raw, "chunked", False) and hasattr(raw, "read1"):
        return iter(lambda: raw.read1(READ_SIZE, decode_content=True), b"")
    return response.iter_content(chunk_size=None)


def _aiohttp(source: Any) -> HTTPBody | None:
    """aiohttp, from 3.10 to 3.14: a response, or its `.content`."""
    content: Any = source if hasattr(source, "iter_any") else getattr(source, "content", None)
    if not hasattr(content, "iter_any"):
        return None
    # Other exceptions tell of a broken connection, which reading raises.
    closed = type(content.exception()).__name__ == "ClientConnectionError"
    spent = closed or (content.at_eof() and content.total_bytes > 0)
    return HTTPBody(source, getattr(source, "_body", None), spent, aiter=content.iter_any)


def _starlette(source: Any) -> HTTPBody | None:
    """starlette, up to 1.10: a `StreamingResponse` that a server is about to send."""
    return HTTPBody(source, aiter=lambda: source.body_iterator) if hasattr(source, "body_iterator") else None


def _urllib3(source: Any) -> HTTPBody | None:
    """urllib3 from 2.2 to 2.8, urllib3-future 2.25, and `http.client`: a file with a status."""
    if not (isinstance(getattr(source, "status", None), int) and hasattr(source, "isclosed")):
        return None
    read = getattr(source, "read1", source.read)
    # The async responses of urllib3-future are read as any other object with an async `read`.
    if inspect.iscoroutinefunction(read):
        return None
    return HTTPBody(
        source, getattr(source, "_body", None), _is_spent(source), lambda: iter(lambda: read(READ_SIZE) or b"", b"")
    )


def _is_spent(raw: Any) -> bool:
    """Whether a urllib3 response was read or closed."""
    if not hasattr(raw, "isclosed"):
        return False
    # A response without a body is closed from the start, and reads as an empty stream.
    closed = raw.isclosed() and raw.headers.get("content-length") != "0"
    return closed or (hasattr(raw, "supports_chunked_reads") and raw.tell() > 0)


def _openai_stream(source: Any) -> HTTPBody | None:
    """openai, from 1.60 to 2.54: a stream of chunks, or the events of its stream helper."""
    response: Any = getattr(source, "response", None) or getattr(source, "_response", None)
    if not (hasattr(response, "is_closed") and hasattr(response, "stream")):
        return None
    return HTTPBody(
        source,
        None,
        response.is_closed and not hasattr(response, "_content"),
        getattr(source, "__iter__", None),
        getattr(source, "__aiter__", None),
    )


_CLIENTS = (_openai_response, _event_source, _httpx, _requests, _aiohttp, _starlette, _urllib3, _openai_stream)
