"""A small HTTP server that streams one body, one event per chunk of the transfer encoding.

`/burst/...` writes as fast as the client reads; `/paced/...` waits after each event, as a model
does, so that each is a read of its own. Prints its port. Run it in a process of its own.
"""

from __future__ import annotations

import asyncio
import sys

from ..streams.generated import KINDS

PAUSE = 0.001
_BATCH = 64  # events per write where nothing waits
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"


def _frames(chunks: int) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(event), event) for event in KINDS["text"].case(chunks).events]


class _Server:
    def __init__(self, burst: int, paced: int) -> None:
        frames = _frames(burst)
        self._burst = [b"".join(frames[start : start + _BATCH]) for start in range(0, len(frames), _BATCH)]
        self._paced = _frames(paced)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the requests of one connection, until the client closes it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(head))
                paced = head.split(b" ", 2)[1].startswith(b"/paced")
                writer.write(_HEAD)
                for data in self._paced if paced else self._burst:
                    writer.write(data)
                    await writer.drain()
                    if paced:
                        await asyncio.sleep(PAUSE)
                writer.write(_END)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def _serve(burst: int, paced: int) -> None:
    server = await asyncio.start_server(_Server(burst, paced).answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
