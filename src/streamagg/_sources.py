"""Any source as an iterator of slices, chunks or events; recognised by shape, no client is imported.

The first shape that fits counts. What the caller opened, the caller closes: a response, a stream, a
file. What is opened here is closed here: a path's file, and the iterator made from a source. An
iterator that is itself a generator is always closed, so that none is left unfinished.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ._chunk import ChatCompletionChunk

READ_SIZE = 65536


# ------------------------------------------------------------------ async


class AsyncItems:
    """The items of any source, sync ones included. Close it on every way out."""

    __slots__ = ("_file", "_items", "_owned")

    def __init__(self, source: Any) -> None:
        self._file: Any = None
        self._items: Any = source if isinstance(source, os.PathLike) else _async_iterable(source).__aiter__()
        self._owned = self._items is not source or inspect.isasyncgen(source) or isinstance(source, os.PathLike)

    async def next(self) -> Any:
        """The next item; `StopAsyncIteration` at the end."""
        if isinstance(self._items, os.PathLike):
            import anyio

            self._file = await anyio.open_file(self._items, "rb")
            self._items = _reads(self._file.read)
        return await self._items.__anext__()

    async def aclose(self) -> None:
        if self._owned and hasattr(self._items, "aclose"):
            await self._items.aclose()
        if self._file is not None:
            await self._file.aclose()


def _async_iterable(source: Any) -> Any:
    if _is_whole(source):
        return _from_sync(source)
    if hasattr(source, "http_response"):  # openai: with_raw_response
        return _async_iterable(source.http_response)
    if hasattr(source, "aiter_bytes"):  # httpx, httpx2
        _refuse_other(source, "__aiter__", "blocking", "accumulate_sync(...) or stream_sync(...)")
        return source.aiter_bytes()
    if callable(iter_bytes := getattr(source, "iter_bytes", None)):  # openai: with_streaming_response
        made = iter_bytes()
        if hasattr(made, "__aiter__"):
            return made
        raise _blocking(source)
    if hasattr(source, "iter_content"):  # requests, niquests
        raise _blocking(source)
    if hasattr(source, "iter_any"):  # aiohttp: response.content
        return source.iter_any()
    if hasattr(getattr(source, "content", None), "iter_any"):  # aiohttp: response
        return source.content.iter_any()
    if hasattr(source, "body_iterator"):  # Starlette
        return _async_iterable(source.body_iterator)
    if inspect.iscoroutinefunction(getattr(source, "read", None)):  # asyncio.StreamReader, anyio files
        return _reads(source.read)
    if hasattr(source, "__aiter__"):
        return source
    if callable(getattr(source, "read", None)):
        return _reads(_in_thread(_reader_of(source)) if hasattr(source, "fileno") else _awaited(_reader_of(source)))
    if hasattr(source, "__iter__"):
        return _from_sync(source)
    raise _unknown(source)


def _blocking(source: Any) -> TypeError:
    return TypeError(
        f"{type(source).__name__} is a blocking response: use accumulate_sync(...) or stream_sync(...) for it"
    )


def _refuse_other(source: Any, needed: str, kind: str, instead: str) -> None:
    """Refuse an httpx response that belongs to the other kind of client, unless it was read already."""
    stream = getattr(source, "stream", None)
    if stream is not None and not hasattr(stream, needed) and not hasattr(source, "_content"):
        raise TypeError(f"{type(source).__name__} comes from a client of the other kind ({kind}): use {instead} for it")


async def _reads(read: Any) -> AsyncGenerator[bytes, None]:
    while data := await read(READ_SIZE):
        yield data


async def _from_sync(source: Any) -> AsyncGenerator[Any, None]:
    items = Items(source)
    try:
        while True:
            try:
                item = items.next()
            except StopIteration:
                return
            yield item
    finally:
        items.close()


def _in_thread(read: Any) -> Any:
    """A blocking `read`, awaited in a worker thread: the file may be a pipe."""

    async def read_in_thread(size: int) -> Any:
        from anyio import to_thread

        return await to_thread.run_sync(read, size, abandon_on_cancel=True)

    return read_in_thread


def _awaited(read: Any) -> Any:
    """A `read` from memory, awaited for form's sake."""

    async def read_now(size: int) -> Any:
        return read(size)

    return read_now


# ------------------------------------------------------------------ sync


class Items:
    """The items of a blocking source. Close it on every way out."""

    __slots__ = ("_file", "_items", "_owned")

    def __init__(self, source: Any) -> None:
        self._file: Any = None
        if isinstance(source, os.PathLike):
            self._file = source = open(source, "rb")  # noqa: SIM115 - closed in `close`
        self._items = iter(_iterable(source))
        self._owned = self._items is not source or inspect.isgenerator(source)

    def next(self) -> Any:
        """The next item; `StopIteration` at the end."""
        return next(self._items)

    def close(self) -> None:
        if self._owned and callable(close := getattr(self._items, "close", None)):
            close()
        if self._file is not None:
            self._file.close()


def _iterable(source: Any) -> Any:
    if _is_whole(source):
        return [source]
    if hasattr(source, "http_response"):
        return _iterable(source.http_response)
    if callable(iter_bytes := getattr(source, "iter_bytes", None)):  # httpx, openai
        _refuse_other(source, "__iter__", "async", "await accumulate(...) or stream(...)")
        made = iter_bytes()
        if hasattr(made, "__iter__"):
            return made
        raise _asynchronous(source)
    if hasattr(source, "iter_content"):  # requests, niquests: as the bytes arrive
        return source.iter_content(chunk_size=None)
    if inspect.iscoroutinefunction(getattr(source, "read", None)) or _only_async(source):
        raise _asynchronous(source)
    if callable(getattr(source, "read", None)):
        read = _reader_of(source)
        return iter(lambda: read(READ_SIZE) or b"", b"")
    if hasattr(source, "__iter__"):
        return source
    raise _unknown(source)


def _only_async(source: Any) -> bool:
    return hasattr(source, "__aiter__") and not hasattr(source, "__iter__")


def _asynchronous(source: Any) -> TypeError:
    return TypeError(f"{type(source).__name__} is asynchronous: use `await accumulate(...)` or `stream(...)` for it")


# ------------------------------------------------------------------ both


def _is_whole(source: Any) -> bool:
    """Whether a source is a body or a chunk, not something to iterate."""
    return isinstance(source, (bytes, bytearray, memoryview, str, Mapping, ChatCompletionChunk))


def _reader_of(file: Any) -> Any:
    """The `read` of a file that returns what is there: `read` of a pipe would wait to be full."""
    return getattr(file, "read1", None) or file.read


def _unknown(source: Any) -> TypeError:
    return TypeError(
        f"cannot read a stream from {type(source).__name__}: expected a response, bytes, a path, a file,"
        " or an iterable of bytes or chunks"
    )
