"""Files, pipes and paths as iterators of what is there: no read waits for more than the first bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from typing import Any

from .http import READ_SIZE


def reader_of(file: Any) -> Any:
    """The `read` of a file that returns what is there: `read` of a pipe would wait to be full."""
    return getattr(file, "read1", None) or file.read


def _is_nonblocking(file: Any) -> bool:
    """Whether a pipe or the like says "nothing yet" instead of waiting."""
    try:
        number = file.fileno()
    except (AttributeError, OSError):
        return False
    return not stat.S_ISREG(os.fstat(number).st_mode) and not os.get_blocking(number)


# ------------------------------------------------------------------ async


class Reads:
    """What an async `read` gives, up to its end. No generator, as trio warns of those that are thrown away."""

    __slots__ = ("_read",)

    def __init__(self, read: Any) -> None:
        self._read = read

    async def __anext__(self) -> Any:
        if data := await self._read(READ_SIZE):
            return data
        raise StopAsyncIteration


def file_items(file: Any) -> Reads:
    """What a blocking file gives, read so that other tasks run meanwhile and cancellation ends the wait."""
    return Reads(_when_ready(file) if _is_nonblocking(file) else _in_thread(reader_of(file)))


def _in_thread(read: Any) -> Any:
    """A blocking `read`, awaited in a worker thread, which cancellation abandons: the file may be a pipe."""

    async def read_in_thread(size: int) -> Any:
        from anyio import to_thread

        return await to_thread.run_sync(read, size, abandon_on_cancel=True)

    return read_in_thread


def _when_ready(file: Any) -> Any:
    """The `read` of a non-blocking file. `read1` has nothing both when there is nothing yet and at the end:
    it is the end if the file was readable."""
    read = reader_of(file)

    async def read_when_ready(size: int) -> Any:
        import anyio

        data = read(size)
        while not data:
            await anyio.wait_readable(file)
            data = read(size)
            if data is not None:
                break
        return data

    return read_when_ready


class PathItems:
    """What the file at a path gives; it is closed at the end, or when this is thrown away."""

    __slots__ = ("_file", "_items", "_path")

    def __init__(self, path: os.PathLike[Any]) -> None:
        self._path = path
        self._file: Any = None
        self._items: Reads | None = None

    async def __anext__(self) -> Any:
        if self._items is None:
            from anyio import to_thread

            self._file = await to_thread.run_sync(_opened, self._path)
            self._items = file_items(self._file)
        return await self._items.__anext__()

    async def aclose(self) -> None:
        self.__del__()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _opened(path: os.PathLike[Any]) -> Any:
    """Opened at once: a named pipe would wait for its writer, so it is opened as non-blocking."""
    if stat.S_ISFIFO(os.stat(path).st_mode):
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    return open(path, "rb")


# ------------------------------------------------------------------ sync


def file_items_sync(file: Any) -> Iterator[Any]:
    """What a file gives; waits where it is non-blocking."""
    if _is_nonblocking(file):
        return _ready_reads_sync(file)
    read = reader_of(file)
    return iter(lambda: read(READ_SIZE) or b"", b"")


def _ready_reads_sync(file: Any) -> Generator[Any, None, None]:
    import selectors

    read = reader_of(file)
    data = read(READ_SIZE)
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while True:
            if data:
                yield data
            selector.select()
            data = read(READ_SIZE)
            if data is not None and not data:
                return


def path_items_sync(path: os.PathLike[Any]) -> Generator[Any, None, None]:
    """What the file at a path gives; it is closed at the end."""
    with open(path, "rb") as file:
        yield from file_items_sync(file)
