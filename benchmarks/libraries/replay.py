"""A transport for httpx that answers every request with the reads it was given last: no socket, no server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reads

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for data in self._reads:
            yield data


class Replay(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers with `reads`, each a read of its own."""

    reads: list[bytes]

    def response(self) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(self.reads))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self.response()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.response()
