"""What a source tells of the HTTP answer behind it, by its shape: no client is imported.

Each client's words for its status, its body, and "read", "closed" and "blocking" are known here alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

READ_SIZE = 65536


class Answer(NamedTuple):
    """An HTTP answer, or a client's stream of chunks over one."""

    source: Any
    body: bytes | None = None
    """The body, where the client has read it and keeps it."""
    spent: bool = False
    """Whether nothing is left to read: it was read, or closed."""
    iter: Callable[[], Any] | None = None
    """Makes an iterator for blocking code; None where the client is asynchronous."""
    aiter: Callable[[], Any] | None = None
    """Makes an async iterator; None where the client is blocking. It may be a coroutine function."""

    @property
    def status(self) -> int | None:
        """The HTTP status; None for a stream of chunks, whose client has looked at it."""
        status: int | None = getattr(self.source, "status_code", getattr(self.source, "status", None))
        return status

    def content_type(self) -> str:
        """`; content-type: text/html`, for the end of a message: nothing is decided by it."""
        kind = getattr(self.source, "headers", {}).get("content-type")
        return f"; content-type: {kind}" if kind else ""


def answer_of(source: Any) -> Answer | None:
    """The answer that a source is, or reads; None for what has nothing to do with HTTP."""
    if hasattr(source, "http_response"):  # openai: with_streaming_response, with_raw_response
        return answer_of(source.http_response)
    for family in (_event_source, _httpx, _requests, _aiohttp, _starlette, _urllib3, _chunks):
        if (answer := family(source)) is not None:
            return answer
    return None


def _event_source(source: Any) -> Answer | None:
    """Of httpx-sse or httpx2: it has read nothing yet, and the response's bytes are cheaper than its events."""
    is_property = isinstance(getattr(type(source), "response", None), property)
    return answer_of(source.response) if is_property and not hasattr(source, "__anext__") else None


def _httpx(source: Any) -> Answer | None:
    """httpx and httpx2."""
    if not (hasattr(source, "aiter_bytes") and hasattr(source, "iter_bytes")):
        return None
    return Answer(
        source,
        getattr(source, "_content", None),
        source.is_closed or source.is_stream_consumed,
        source.iter_bytes if hasattr(source.stream, "__iter__") else None,
        source.aiter_bytes if hasattr(source.stream, "__aiter__") else None,
    )


def _requests(source: Any) -> Answer | None:
    """requests, and niquests, whose async responses have a coroutine function for `iter_content`."""
    if not hasattr(source, "iter_content"):
        return None
    is_async = inspect.iscoroutinefunction(source.iter_content)
    content, raw = getattr(source, "_content", False), getattr(source, "raw", None)
    return Answer(
        source,
        content if isinstance(content, bytes) else None,
        getattr(source, "_content_consumed", False) or _is_spent(raw),
        None if is_async else lambda: _arriving(source, raw),
        source.iter_content if is_async else None,
    )


def _arriving(response: Any, raw: Any) -> Any:
    """A requests response's body as it arrives: where it is not chunked, `iter_content` waits for its end."""
    if getattr(raw, "chunked", False) or not hasattr(raw, "read1"):
        return response.iter_content(chunk_size=None)
    return iter(lambda: raw.read1(READ_SIZE, decode_content=True), b"")


def _aiohttp(source: Any) -> Answer | None:
    """An aiohttp response, or its `.content`."""
    content: Any = source if hasattr(source, "iter_any") else getattr(source, "content", None)
    if not hasattr(content, "iter_any"):
        return None
    closed = type(content.exception()).__name__ == "ClientConnectionError"  # others tell of a broken connection
    spent = closed or (content.at_eof() and content.total_bytes > 0)
    return Answer(source, getattr(source, "_body", None), spent, aiter=content.iter_any)


def _starlette(source: Any) -> Answer | None:
    return Answer(source, aiter=lambda: source.body_iterator) if hasattr(source, "body_iterator") else None


def _urllib3(source: Any) -> Answer | None:
    """urllib3, and `http.client`: a file with a status."""
    if not (isinstance(getattr(source, "status", None), int) and hasattr(source, "isclosed")):
        return None
    read = getattr(source, "read1", source.read)
    if inspect.iscoroutinefunction(read):  # of urllib3-future: any async `.read` will do
        return None
    return Answer(
        source, getattr(source, "_body", None), _is_spent(source), lambda: iter(lambda: read(READ_SIZE) or b"", b"")
    )


def _is_spent(raw: Any) -> bool:
    """Whether a urllib3 response was read or closed. One without a body is closed from the start."""
    if not hasattr(raw, "isclosed"):
        return False
    closed = raw.isclosed() and raw.headers.get("content-length") != "0"
    return closed or (hasattr(raw, "supports_chunked_reads") and raw.tell() > 0)


def _chunks(source: Any) -> Answer | None:
    """The openai client's stream of chunks, or of its helper's events."""
    response: Any = getattr(source, "response", None) or getattr(source, "_response", None)
    if not (hasattr(response, "is_closed") and hasattr(response, "stream")):
        return None
    return Answer(
        source,
        None,
        response.is_closed and not hasattr(response, "_content"),
        getattr(source, "__iter__", None),
        getattr(source, "__aiter__", None),
    )
