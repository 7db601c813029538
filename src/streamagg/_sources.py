"""Any source as an iterator of slices, chunks or events; recognised by shape, no client is imported.

The first shape that fits counts. What the caller opened, the caller closes: a response, a stream, a
file. What is opened here is closed here: a path's file, and the iterator made from a source. An
iterator that is itself a generator is always closed, so that none is left unfinished.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from ._struct import WireStruct

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
            self._items = _Reads(self._file.read1)
        return await self._items.__anext__()

    async def aclose(self) -> None:
        if self._owned and hasattr(self._items, "aclose"):
            await self._items.aclose()
        if self._file is not None:
            await self._file.aclose()

    def __del__(self) -> None:
        if self._file is not None:  # thrown away unfinished; closing it twice does nothing
            self._file.wrapped.close()


def _async_iterable(source: Any) -> Any:
    if hasattr(source, "__await__") and not hasattr(source, "__aiter__"):  # aiohttp's requests can be iterated too
        raise _unknown(source)
    if _is_whole(source):
        return _FromSync(source)
    if hasattr(source, "http_response"):  # openai: with_raw_response
        return _async_iterable(source.http_response)
    if hasattr(source, "aiter_bytes"):  # httpx, httpx2
        _refuse_other(source, "__aiter__", "blocking", "accumulate_sync(...) or stream_sync(...)")
        return source.aiter_bytes()
    if hasattr(source, "iter_content"):  # requests, niquests
        raise _blocking(source)
    if hasattr(source, "iter_any"):  # aiohttp: response.content
        return source.iter_any()
    if hasattr(getattr(source, "content", None), "iter_any"):  # aiohttp: response
        return source.content.iter_any()
    if hasattr(source, "body_iterator"):  # Starlette
        return _async_iterable(source.body_iterator)
    if inspect.iscoroutinefunction(getattr(source, "read", None)):  # asyncio.StreamReader, anyio files
        return _Reads(_reader_of(source))
    if hasattr(source, "__aiter__"):
        return source
    if callable(getattr(source, "read", None)):
        return _Reads(_in_thread(_reader_of(source)))
    if hasattr(source, "__iter__"):
        return _FromSync(source)
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


class _Reads:
    """What a `read` gives, up to nothing; no generator, as trio warns of those that are thrown away."""

    __slots__ = ("_read",)

    def __init__(self, read: Any) -> None:
        self._read = read

    def __aiter__(self) -> _Reads:
        return self

    async def __anext__(self) -> Any:
        if data := await self._read(READ_SIZE):
            return data
        raise StopAsyncIteration


class _FromSync:
    """The items of a blocking source for async code; no generator either."""

    __slots__ = ("_items",)

    def __init__(self, source: Any) -> None:
        self._items = SyncItems(source)

    def __aiter__(self) -> _FromSync:
        return self

    async def __anext__(self) -> Any:
        try:
            return self._items.next()
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._items.close()


def _in_thread(read: Any) -> Any:
    """A blocking `read`, awaited in a worker thread: the file may be a pipe."""

    async def read_in_thread(size: int) -> Any:
        from anyio import to_thread

        return await to_thread.run_sync(read, size, abandon_on_cancel=True)

    return read_in_thread


# ------------------------------------------------------------------ sync


class SyncItems:
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

    def __del__(self) -> None:
        if self._file is not None:  # thrown away unfinished; closing it twice does nothing
            self._file.close()


def _iterable(source: Any) -> Any:
    if _is_whole(source):
        return [source]
    if hasattr(source, "http_response"):
        return _iterable(source.http_response)
    if hasattr(source, "iter_bytes"):  # httpx, httpx2
        _refuse_other(source, "__iter__", "async", "await accumulate(...) or stream(...)")
        return source.iter_bytes()
    if hasattr(source, "iter_content"):  # requests
        return _content_of(source)
    if inspect.iscoroutinefunction(getattr(source, "read", None)) or _only_async(source):
        raise _asynchronous(source)
    if callable(getattr(source, "read", None)):
        read = _reader_of(source)
        return iter(lambda: read(READ_SIZE) or b"", b"")
    if hasattr(source, "__iter__"):
        return source
    raise _unknown(source)


def _content_of(response: Any) -> Any:
    """A requests response's body as it arrives: `iter_content` waits for the end where it is not chunked."""
    read = getattr(getattr(response, "raw", None), "read1", None)
    if read is None or getattr(response, "_content_consumed", True):
        return response.iter_content(chunk_size=None)
    return iter(lambda: read(READ_SIZE, decode_content=True) or b"", b"")


def _only_async(source: Any) -> bool:
    return hasattr(source, "__aiter__") and not hasattr(source, "__iter__")


def _asynchronous(source: Any) -> TypeError:
    return TypeError(f"{type(source).__name__} is asynchronous: use `await accumulate(...)` or `stream(...)` for it")


# ------------------------------------------------------------------ both


def _is_whole(source: Any) -> bool:
    """Whether a source is a body or a chunk, not something to iterate."""
    return isinstance(source, (bytes, bytearray, memoryview, str, Mapping, WireStruct)) or hasattr(source, "model_dump")


def _reader_of(file: Any) -> Any:
    """The `read` of a file that returns what is there: `read` of a pipe would wait to be full."""
    return getattr(file, "read1", None) or file.read


def _unknown(source: Any) -> TypeError:
    if hasattr(source, "__await__"):
        return TypeError(f"{type(source).__name__} was not awaited: await it first, or enter it with `async with`")
    if hasattr(source, "__aenter__") or hasattr(source, "__enter__"):
        return TypeError(f"{type(source).__name__} was not entered: use it in a `with` or `async with` statement")
    return TypeError(
        f"cannot read a stream from {type(source).__name__}: expected a response, bytes, a path, a file,"
        " or an iterable of bytes or chunks"
    )
