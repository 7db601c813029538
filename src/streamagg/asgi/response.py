"""The response of an ASGI app, read as one chat completion.

1. An event stream or NDJSON goes to a tap as it comes. A JSON body is kept until it is whole.
2. No method raises because of the body. `result` returns the error.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from streamagg import (
    ChatCompletionResponse,
    DecodeError,
    LimitError,
    Limits,
    ProviderError,
    Timing,
    UsageMode,
    tap_sync,
)

from .._error_shapes import error_in

_STREAM_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
_ZLIB_ENCODINGS = (b"gzip", b"x-gzip", b"deflate")
_ANY_ZLIB_HEADER = zlib.MAX_WBITS + 32  # zlib reads from the first bytes whether the header is gzip's or its own
_SLICE = 65536
"""A compressed body is inflated in slices of this size, so that 64 KiB of a zip bomb are in memory at a time. It is the
size of one read elsewhere in the library; half of it doubles the calls and gains no memory that counts."""


class ResponseReader:
    """Reads the response to one request. Call `begin` once, then `read` for each part of the body, then `end`."""

    def __init__(self, path: str, *, usage: UsageMode, limits: Limits) -> None:
        self.status: int | None = None
        """The HTTP status; None before `begin`."""
        self._error: Exception | None = None
        """The first fault outside the tap: encoding, limit or error status. `result` joins it with the tap's error."""
        self._for_completions = path.endswith("/completions")
        self._limit = limits.event_bytes
        self._parts: deque[bytes] = deque()  # the tap's source
        self._tap = tap_sync(iter(self._parts.popleft, None), usage=usage, limits=limits)
        self._tap.__enter__()  # starts the tap's clock: times count from the request
        self._is_stream = False
        self._buffer: BodyBuffer | None = None
        self._decompressor: Any = None

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Decide from the status and the headers how to read the body."""
        self.status = status
        values = {name.lower(): value.strip().lower() for name, value in headers}
        content_type = values.get(b"content-type", b"").partition(b";")[0].strip()
        is_json = content_type == b"application/json"
        # Some apps stream with no content type, or with text/plain. At a completions path any type but JSON is a
        # stream. An error status is the exception: its body is one text.
        self._is_stream = content_type in _STREAM_TYPES or (self._for_completions and not is_json and status < 400)
        if not self._is_stream and (is_json or self._for_completions):
            self._buffer = BodyBuffer(self._limit)
        encoding = values.get(b"content-encoding", b"identity")
        if encoding in _ZLIB_ENCODINGS:
            self._decompressor = zlib.decompressobj(_ANY_ZLIB_HEADER)
        elif encoding != b"identity":
            self._error = DecodeError(f"its content-encoding is {encoding.decode('latin-1')}")

    def read(self, data: bytes) -> None:
        """Read a part of the body. After an error the rest is not read."""
        if not data or self._error is not None:
            return
        try:
            for part in (data,) if self._decompressor is None else _inflated(self._decompressor, data):
                if self._is_stream:
                    self._feed(part)
                elif self._buffer is not None:
                    self._buffer.append(part)
        except zlib.error as error:
            self._error = DecodeError(f"its content-encoding is wrong: {error}", data=data)

    def end(self) -> None:
        """The body has ended: read it if it was kept. A second call does nothing."""
        if self._buffer is not None and self._error is None:
            body, self._buffer = self._buffer.value(), None
            self._read_whole(body)
        self._tap.close()

    @property
    def satisfies_client(self) -> bool:
        """Whether the client has all that it may wait for: many clients leave at `[DONE]`, or after the usage."""
        return self._tap.done or (self._tap.complete and self._tap.usage is not None)

    @property
    def timing(self) -> Timing:
        """The tap's times."""
        return self._tap.timing

    def result(self) -> tuple[ChatCompletionResponse | None, Exception | None]:
        """The response as far as it came, and the error; call it after `end`."""
        tap_error = self._tap.error
        response = self._tap.response() if tap_error is None else tap_error.partial
        return response, self._error or tap_error

    def is_completion(self) -> bool:
        """Whether the body was a chat completion; call it after `end`."""
        if self._for_completions:
            return True
        response, error = self.result()
        # Elsewhere JSON and event streams of any kind come by. Broken ones are not taken for completions.
        if not self._is_stream:
            return error is None
        if response is not None:
            return bool(response.choices)
        return not isinstance(error, DecodeError) and "not_a_chunk" not in self._tap.repairs

    def _read_whole(self, body: bytes | None) -> None:
        """Read a kept body; None is one that passed the limit."""
        if body is None:
            self._error = LimitError("event_bytes", self._limit)
        elif self._for_completions and self.status is not None and self.status >= 400:
            plain = decoded(body) or body.decode("utf-8", "replace") or f"status {self.status}"
            self._error = ProviderError(error_in(plain) or plain, status=self.status)
        # Apps send JSON of many kinds. The test keeps the parser away from a body that cannot be a completion.
        elif self._for_completions or b'"choices"' in body:
            self._feed(body)

    def _feed(self, part: bytes) -> None:
        self._parts.append(part)
        next(self._tap)


class BodyBuffer:
    """Keeps a body until it is whole, up to a limit in bytes. Past the limit it keeps nothing."""

    def __init__(self, limit: int) -> None:
        self._parts: list[bytes] = []
        self._room = limit

    def append(self, part: bytes) -> None:
        self._room -= len(part)
        self._parts.append(part)
        if self._room < 0:
            self._parts.clear()

    def value(self) -> bytes | None:
        """The body; None where it passed the limit."""
        return b"".join(self._parts) if self._room >= 0 else None


def decoded(body: bytes | None) -> Any:
    """The JSON value of a body; None where it is not JSON."""
    try:
        return None if body is None else msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _inflated(decompressor: Any, data: bytes) -> Iterator[bytes]:
    """The decompressed data, in slices."""
    while True:
        part = decompressor.decompress(data, _SLICE)
        data = decompressor.unconsumed_tail
        yield part
        if not data and len(part) < _SLICE:
            return
