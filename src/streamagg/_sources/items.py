"""Any source as an iterator of slices, chunks or events; recognised by shape, no client is imported.

The first shape that fits counts. What the caller opened, the caller closes: a response, a stream, a
file. What is made of it here is closed here: its iterator, a path's file. An iterator that is itself
a generator is always closed, so that none is left unfinished.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .._codec.struct import WireStruct
from .files import PathItems, Reads, file_items, file_items_sync, path_items_sync, reader_of
from .http import Answer, answer_of

_LINGER = 0.1
"""For so many seconds after `[DONE]` the end of an HTTP answer is waited for."""


# ------------------------------------------------------------------ async


class AsyncItems:
    """The items of any source, sync ones included. Close it on every way out."""

    __slots__ = ("_begin", "_items", "_owned", "answer", "next")

    def __init__(self, source: Any) -> None:
        self.answer: Answer | None = _answer_of(source)
        """The HTTP answer that is read, if it is one."""
        self._items: Any = _async_iterator(source, self.answer)
        self._owned = self._items is not source or inspect.isasyncgen(source)
        self.next: Callable[[], Awaitable[Any]]
        """Gives the next item; raises `StopAsyncIteration` at the end."""
        if inspect.iscoroutinefunction(self._items):
            self._begin = self._items
            self.next = self._next_awaited
        else:
            self.next = self._items.__anext__

    async def _next_awaited(self) -> Any:
        """The next item of an iterator that must be awaited."""
        if self._items is self._begin:
            self._items = await self._begin()
        return await self._items.__anext__()

    async def linger(self) -> None:
        """After `[DONE]`: read an HTTP answer to its end if that comes soon, so that its connection may
        be used again. Nothing that goes wrong now matters: the response is whole."""
        if self.answer is None:
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
        """Close what was made here. What goes wrong in it is warned of, and neither hides an error that is
        under way nor loses a response that is whole."""
        if self._owned and hasattr(self._items, "aclose"):
            try:
                await self._items.aclose()
            except Exception as error:  # told as a warning
                _warn(error)


class _Turned:
    """A sync source's items for async code."""

    __slots__ = ("_items",)

    def __init__(self, source: Any) -> None:
        self._items = SyncItems(source)

    async def __anext__(self) -> Any:
        try:
            return self._items.next()
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self._items.close()


def _async_iterator(source: Any, answer: Answer | None) -> Any:
    """An async iterator, or a coroutine function that gives one."""
    if _is_whole(source):
        return _Turned(source)
    if isinstance(source, os.PathLike):
        return PathItems(source)
    if hasattr(source, "__await__") and not hasattr(source, "__aiter__"):
        raise _unknown(source)
    if answer is not None:
        if answer.body is not None:
            return _Turned(answer.body)
        if answer.aiter is None:
            raise _blocking(source)
        if answer.spent:
            raise _spent(source)
        return answer.aiter if inspect.iscoroutinefunction(answer.aiter) else answer.aiter().__aiter__()
    if inspect.iscoroutinefunction(getattr(source, "read", None)):  # asyncio.StreamReader, anyio files
        return Reads(reader_of(source))
    if hasattr(source, "__aiter__"):
        return source.__aiter__()
    if callable(getattr(source, "read", None)):
        return file_items(source)
    if hasattr(source, "__iter__"):
        return _Turned(source)
    raise _unknown(source)


# ------------------------------------------------------------------ sync


class SyncItems:
    """The items of a blocking source. Close it on every way out."""

    __slots__ = ("_items", "_owned", "answer", "next")

    def __init__(self, source: Any) -> None:
        self.answer: Answer | None = _answer_of(source)
        """The HTTP answer that is read, if it is one."""
        self._items: Any = _iterator(source, self.answer)
        self._owned = self._items is not source or inspect.isgenerator(source)
        self.next: Callable[[], Any] = self._items.__next__
        """Gives the next item; raises `StopIteration` at the end."""

    def close(self) -> None:
        """As `AsyncItems.aclose`."""
        if self._owned and hasattr(self._items, "close"):
            try:
                self._items.close()
            except Exception as error:  # told as a warning
                _warn(error)


def _iterator(source: Any, answer: Answer | None) -> Any:
    if _is_whole(source):
        return iter((source,))
    if isinstance(source, os.PathLike):
        return path_items_sync(source)
    if hasattr(source, "__await__"):
        raise _unknown(source)
    if answer is not None:
        if answer.body is not None:
            return iter((answer.body,))
        if answer.iter is None:
            raise _asynchronous(source)
        if answer.spent:
            raise _spent(source)
        return iter(answer.iter())
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        raise _asynchronous(source)
    if callable(getattr(source, "read", None)):
        return file_items_sync(source)
    if hasattr(source, "__iter__"):
        return iter(source)
    raise _asynchronous(source) if hasattr(source, "__aiter__") else _unknown(source)


# ------------------------------------------------------------------ both


def _is_whole(source: Any) -> bool:
    """Whether a source is a body or a chunk, not something to iterate."""
    return isinstance(source, (bytes, bytearray, memoryview, str, Mapping, WireStruct)) or hasattr(source, "model_dump")


def _answer_of(source: Any) -> Answer | None:
    return None if _is_whole(source) else answer_of(source)


def _name(source: Any) -> str:
    return type(source).__name__


def _warn(error: Exception) -> None:
    warnings.warn(f"closing a source failed: {error!r}", ResourceWarning, stacklevel=3)


def _blocking(source: Any) -> TypeError:
    return TypeError(f"{_name(source)} is a blocking response: use accumulate_sync(...) or stream_sync(...) for it")


def _asynchronous(source: Any) -> TypeError:
    return TypeError(f"{_name(source)} is asynchronous: use `await accumulate(...)` or `stream(...)` for it")


def _spent(source: Any) -> RuntimeError:
    return RuntimeError(
        f"{_name(source)} was read already, or is closed: read it once, inside the block that opened it;"
        " of what was read, give the bytes or the chunks"
    )


def _unknown(source: Any) -> TypeError:
    if hasattr(source, "__await__"):
        return TypeError(f"{_name(source)} was not awaited: await it first, or enter it with `async with`")
    if hasattr(source, "__aenter__") or hasattr(source, "__enter__"):
        return TypeError(f"{_name(source)} was not entered: use it in a `with` or `async with` statement")
    return TypeError(
        f"cannot read a stream from {_name(source)}: expected a response, bytes, a path, a file,"
        " or an iterable of bytes or chunks"
    )
