"""A server on loopback that answers byte for byte as a test tells it, and then breaks as it is told."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum, auto
from typing import Any

import anyio
import sniffio
import trio

HEAD = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n"


class Then(Enum):
    """What becomes of a connection once all was sent."""

    CLOSE = auto()
    RESET = auto()
    """Closed so that the client gets a RST."""
    STALL = auto()
    """Nothing more comes, until the client closes it."""
    FLOOD = auto()
    """Comments come without end, until the client closes it."""
    AGAIN = auto()
    """Another request may come."""


def head(*lines: bytes, status: bytes = b"200 OK", kind: bytes = b"text/event-stream") -> bytes:
    """The head of an answer with some more lines; without a length the body ends where the connection does."""
    return HEAD % (status, kind) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def sized(body: bytes, *lines: bytes, **options: bytes) -> bytes:
    """A whole answer with its length."""
    return head(b"content-length: %d" % len(body), *lines, **options) + body


CHUNKED = head(b"transfer-encoding: chunked")


def framed(slices: list[bytes]) -> bytes:
    """A body in chunked encoding, with a frame for each slice."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*slices, b""))


class FaultServer:
    """Answers each path that `url` gave with the bytes it was given for, in a thread for each connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answers: list[tuple[tuple[bytes, ...], Then]] = []
        self.connections = 0
        """How many were made."""
        self._thread = threading.Thread(target=self._accept, name="faults")
        self._thread.start()

    def url(self, *packets: bytes, then: Then) -> str:
        """The address that is answered with these bytes, a packet each, and then so."""
        self._answers.append((packets, then))
        return f"{self._address}/{len(self._answers) - 1}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while self._answer(connection):
                    pass
        except OSError:  # the client is gone
            pass

    def _answer(self, connection: socket.socket) -> bool:
        """Answer one request; returns whether another may come."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = connection.recv(65536)
            if not received:
                return False
            request += received
        packets, then = self._answers[int(request[len("GET /") :].split()[0])]
        for packet in packets:
            connection.sendall(packet)
        if then is Then.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif then is Then.STALL:
            connection.recv(1)
        while then is Then.FLOOD:
            connection.sendall(b": still here\n\n")
            threading.Event().wait(0.001)
        return then is Then.AGAIN


@contextmanager
def fault_server() -> Iterator[FaultServer]:
    """A server for as long as the block runs."""
    server = FaultServer()
    try:
        yield server
    finally:
        server.close()


def _left() -> dict[str, set[Any]]:
    """What may stay behind: descriptors, threads, tasks."""
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread")}  # it keeps them
    if sniffio.current_async_library() == "trio":
        tasks: set[Any] = set(range(trio.lowlevel.current_statistics().tasks_living))
    else:
        tasks = set(asyncio.all_tasks())
    return {"descriptors": set(_descriptors()), "threads": threads, "tasks": tasks}


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # of the listing itself
            yield os.readlink(f"/proc/self/fd/{name}")


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """At the end nothing is there that was not there before: at once, or as soon as both sides have closed."""
    before = _left()
    yield
    gc.collect()  # what was left unclosed warns now, which is an error
    with anyio.move_on_after(5):
        while any(now - before[kind] for kind, now in _left().items()):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.001)
    assert {kind: now - before[kind] for kind, now in _left().items()} == {"descriptors": set(), "threads": set(), "tasks": set()}  # fmt: skip
