"""Any source as an iterator of slices, chunks or events: recognised by its shape, no client is imported.

1. `SHAPES` is the table of sources. The first shape that fits counts.
2. A source is examined once: its HTTP body is found once, and passed along.
3. The caller closes each source that it opened: a response, a stream, a file.
4. `AsyncItems` and `SyncItems` close the objects that they made: an iterator over the source, the file at a path.
5. A generator is closed even if the caller made it: nobody else closes an unfinished generator.

`next` of both classes gives the next item. It raises `StopIteration` (`StopAsyncIteration`) at the end, and passes on
each exception of the source.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from .._codec.struct import WireStruct
from .files import AsyncPathReads, AsyncReads, file_reads, file_reads_sync, path_reads_sync, reader_of
from .http import HTTPBody, body_of

_LINGER = 0.1
"""Seconds that the end of an HTTP body is awaited after `[DONE]`. See `AsyncItems.linger`.

Measured with uvicorn on the same machine, 300 requests each: the end came within 0.2 ms (median) and 13 ms (longest,
with httpx), 0.13 ms (longest, with aiohttp). Over a network it may come a packet later. With half of it, a connection
whose end takes 50 to 100 ms is closed, and the next request pays for a new one. Twice as much delays each response of a
server that never ends the body by as long."""


class AsyncItems:
    """The items of any source, blocking ones included. Close it on every way out."""

    __slots__ = ("_items", "_owned", "body", "next")

    def __init__(self, source: Any) -> None:
        self.body: HTTPBody | None = _examined(source)
        """The HTTP body that is read, if it is one."""
        self._items: Any = _made(source, self.body, is_async=True)
        self._owned = self._items is not source or inspect.isasyncgen(source)
        self.next: Callable[[], Awaitable[Any]] = self._items.__anext__

    async def linger(self) -> None:
        """Read an HTTP body to its end after `[DONE]`, if that comes soon: its connection may then be used again.

        No error of this read matters, because the response is whole.
        """
        if self.body is None:
            return
        import anyio

        deadline = anyio.current_time() + _LINGER
        try:
            with anyio.CancelScope(deadline=deadline):
                while anyio.current_time() < deadline:
                    await self.next()
        except Exception:  # the end, too
            pass

    async def aclose(self) -> None:
        """Close the iterator that was made here.

        An error of closing is a warning: it neither hides an error that is under way nor loses a whole response.
        """
        if self._owned and hasattr(self._items, "aclose"):
            try:
                await self._items.aclose()
            except Exception as error:  # told as a warning
                _warn(error)


class SyncItems:
    """The items of a blocking source. Close it on every way out."""

    __slots__ = ("_items", "_owned", "body", "next")

    def __init__(self, source: Any) -> None:
        self.body: HTTPBody | None = _examined(source)
        """The HTTP body that is read, if it is one."""
        self._items: Any = _made(source, self.body, is_async=False)
        self._owned = self._items is not source or inspect.isgenerator(source)
        self.next: Callable[[], Any] = self._items.__next__

    def close(self) -> None:
        """As `AsyncItems.aclose`."""
        if self._owned and hasattr(self._items, "close"):
            try:
                self._items.close()
            except Exception as error:  # told as a warning
                _warn(error)


class _BlockingItems:
    """A blocking iterable, for async code. An item that is not there yet blocks the event loop: its maker's choice."""

    __slots__ = ("_items", "_next", "_owned")

    def __init__(self, source: Any) -> None:
        self._items: Any = iter(source)
        self._owned = self._items is not source or inspect.isgenerator(source)
        self._next = self._items.__next__

    async def __anext__(self) -> Any:
        try:
            return self._next()
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        if self._owned and hasattr(self._items, "close"):
            self._items.close()


class _Deferred:
    """The async iterator that a coroutine function gives: niquests' `iter_content`."""

    __slots__ = ("_items", "_make")

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make = make
        self._items: Any = None

    async def __anext__(self) -> Any:
        if self._items is None:
            self._items = await self._make()
        return await self._items.__anext__()

    async def aclose(self) -> None:
        if hasattr(self._items, "aclose"):
            await self._items.aclose()


def _examined(source: Any) -> HTTPBody | None:
    return None if _is_whole(source) else body_of(source)


def _made(source: Any, body: HTTPBody | None, *, is_async: bool) -> Any:
    """The iterator over a source, by the first shape that fits."""
    for shape in SHAPES:
        make = shape.make_async if is_async else shape.make_sync
        if make is not None and shape.fits(source, body):
            return make(source, body)
    raise _unknown(source)


def _is_whole(source: Any) -> bool:
    """Whether a source is itself a body or a chunk. A client's chunk object is a model of pydantic."""
    return isinstance(source, (bytes, bytearray, memoryview, str, Mapping, WireStruct)) or hasattr(source, "model_dump")


def _open_body(source: Any, body: Any) -> Any:
    if body.aiter is None:
        raise TypeError(f"{_name(source)} is a blocking response: use accumulate_sync(...) or stream_sync(...) for it")
    _check_unread(source, body)
    # niquests: `iter_content` of its async responses is a coroutine function.
    return _Deferred(body.aiter) if inspect.iscoroutinefunction(body.aiter) else body.aiter().__aiter__()


def _open_body_sync(source: Any, body: Any) -> Any:
    if body.iter is None:
        _refuse_async(source, body)
    _check_unread(source, body)
    return iter(body.iter())


def _check_unread(source: Any, body: HTTPBody) -> None:
    if body.spent:
        raise RuntimeError(
            f"{_name(source)} was read already, or is closed: read it once, inside the block that opened it;"
            " of what was read, give the bytes or the chunks"
        )


def _refuse_async(source: Any, body: Any) -> NoReturn:
    raise TypeError(f"{_name(source)} is asynchronous: use `await accumulate(...)` or `stream(...)` for it")


def _refuse_unawaited(source: Any, body: Any) -> NoReturn:
    raise TypeError(f"{_name(source)} was not awaited: await it first, or enter it with `async with`")


def _unknown(source: Any) -> TypeError:
    if hasattr(source, "__aenter__") or hasattr(source, "__enter__"):
        return TypeError(f"{_name(source)} was not entered: use it in a `with` or `async with` statement")
    return TypeError(
        f"cannot read a stream from {_name(source)}: expected a response, bytes, a path, a file,"
        " or an iterable of bytes or chunks"
    )


class Shape(NamedTuple):
    """One kind of source: a test, and the makers of its iterator for async and for blocking code.

    All three are called with the source and its `HTTPBody` or None. A maker may raise the reason why there is no
    iterator. If a maker is None, that kind of code skips the row, and a later row may fit.
    """

    fits: Callable[[Any, Any], bool]
    make_async: Callable[[Any, Any], Any] | None
    make_sync: Callable[[Any, Any], Any] | None


SHAPES = (
    # A whole body (bytes, str), or one chunk (a dict, a struct, an object of a client).
    Shape(
        lambda source, _: _is_whole(source),
        lambda source, _: _BlockingItems((source,)),
        lambda source, _: iter((source,)),
    ),
    # A path: its file is opened and closed here.
    Shape(
        lambda source, _: isinstance(source, os.PathLike),
        lambda source, _: AsyncPathReads(source),
        lambda source, _: path_reads_sync(source),
    ),
    # A client's call that was not awaited: `accumulate(client.chat.completions.create(...))`. Some calls are async
    # iterables too, which async code reads.
    Shape(
        lambda source, _: hasattr(source, "__await__") and not hasattr(source, "__aiter__"),
        _refuse_unawaited,
        _refuse_unawaited,
    ),
    Shape(lambda source, _: hasattr(source, "__await__"), None, _refuse_unawaited),
    # An HTTP body that the client has read and keeps.
    Shape(
        lambda _, body: body is not None and body.content is not None,
        lambda _, body: _BlockingItems((body.content,)),
        lambda _, body: iter((body.content,)),
    ),
    # Any other HTTP body, or a client's stream of chunks over one.
    Shape(lambda _, body: body is not None, _open_body, _open_body_sync),
    # An async file: asyncio.StreamReader, a file of anyio, an async response of urllib3-future.
    Shape(
        lambda source, _: inspect.iscoroutinefunction(getattr(source, "read", None)),
        lambda source, _: AsyncReads(reader_of(source)),
        _refuse_async,
    ),
    # An async iterable: an async generator, a byte stream of anyio, what `stream` made.
    Shape(lambda source, _: hasattr(source, "__aiter__"), lambda source, _: source.__aiter__(), None),
    # A file, a pipe, or a file-like object of any library.
    Shape(
        lambda source, _: callable(getattr(source, "read", None)),
        lambda source, _: file_reads(source),
        lambda source, _: file_reads_sync(source),
    ),
    # An iterable: a list, a generator, what `stream_sync` made.
    Shape(
        lambda source, _: hasattr(source, "__iter__"),
        lambda source, _: _BlockingItems(source),
        lambda source, _: iter(source),
    ),
    # An async iterable that fits no row above. It stands last, because some are blocking iterables or files too.
    Shape(lambda source, _: hasattr(source, "__aiter__"), None, _refuse_async),
)


def _name(source: Any) -> str:
    return type(source).__name__


def _warn(error: Exception) -> None:
    warnings.warn(f"closing a source failed: {error!r}", ResourceWarning, stacklevel=3)
