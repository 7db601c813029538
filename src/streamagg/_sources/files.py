"""Files, pipes and paths as iterators of slices.

1. A read returns the bytes that are there: it waits for the first byte only, never for a full buffer.
2. In async code no read blocks the event loop, and cancellation ends each wait.
3. The file at a path is closed at the end, or when its iterator is thrown away. Other files stay open.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from typing import Any

from .http import READ_SIZE


def reader_of(file: Any) -> Any:
    """The `read` of a file that returns the bytes that are there."""
    # `read` of a buffered pipe waits until its buffer is full: a live stream would show late.
    return getattr(file, "read1", None) or file.read


def _is_nonblocking(file: Any) -> bool:
    """Whether a read of a pipe or socket returns at once where no byte is there."""
    try:
        number = file.fileno()
    # io.BytesIO, gzip.GzipFile and the like have no descriptor.
    except (AttributeError, OSError):
        return False
    return not stat.S_ISREG(os.fstat(number).st_mode) and not os.get_blocking(number)


class AsyncReads:
    """The results of an async `read`, up to its end."""

    # A class, because trio warns of each async generator that is thrown away unfinished.
    __slots__ = ("_read",)

    def __init__(self, read: Any) -> None:
        self._read = read

    async def __anext__(self) -> Any:
        if data := await self._read(READ_SIZE):
            return data
        raise StopAsyncIteration


def file_reads(file: Any) -> AsyncReads:
    """The slices of a file or pipe, blocking or not, for async code."""
    return AsyncReads(_read_when_ready(file) if _is_nonblocking(file) else _read_in_thread(reader_of(file)))


def _read_in_thread(read: Any) -> Any:
    """A blocking `read`, awaited in a worker thread."""

    async def read_in_thread(size: int) -> Any:
        from anyio import to_thread

        # The file may be a pipe that stays silent: a cancelled task leaves the thread waiting.
        return await to_thread.run_sync(read, size, abandon_on_cancel=True)

    return read_in_thread


def _read_when_ready(file: Any) -> Any:
    """The `read` of a non-blocking file."""
    read = reader_of(file)

    async def read_when_ready(size: int) -> Any:
        import anyio

        data = read(size)
        # `read1` returns b"" both at the end and where no byte is there: after a wait it means the end.
        while not data:
            await anyio.wait_readable(file)
            data = read(size)
            if data is not None:
                break
        return data

    return read_when_ready


class AsyncPathReads:
    """The slices of the file at a path."""

    __slots__ = ("_file", "_path", "_reads")

    def __init__(self, path: os.PathLike[Any]) -> None:
        self._path = path
        self._file: Any = None
        self._reads: AsyncReads | None = None

    async def __anext__(self) -> Any:
        if self._reads is None:
            from anyio import to_thread

            self._file = await to_thread.run_sync(_open, self._path)
            self._reads = file_reads(self._file)
        return await self._reads.__anext__()

    async def aclose(self) -> None:
        self.__del__()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _open(path: os.PathLike[Any]) -> Any:
    # The open of a named pipe waits for a writer, and no cancellation ends that wait: it is opened as non-blocking.
    if stat.S_ISFIFO(os.stat(path).st_mode):
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    return open(path, "rb")


def file_reads_sync(file: Any) -> Iterator[Any]:
    """The slices of a file. A non-blocking one is waited for."""
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
            # b"" after a wait is the end; None is a wait that ended for no byte.
            if data is not None and not data:
                return


def path_reads_sync(path: os.PathLike[Any]) -> Generator[Any, None, None]:
    """The slices of the file at a path."""
    with open(path, "rb") as file:
        yield from file_reads_sync(file)
