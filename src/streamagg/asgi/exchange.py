"""One request and its response on their way through an ASGI app, and the completion that they came to.

Every message goes on as it is, and is read once it is on its way.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from streamagg import (
    ChatCompletionResponse,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    Limits,
    ProviderError,
    Timing,
    UsageMode,
    tap_sync,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

State = Literal["complete", "cut", "disconnected", "failed"]

_STREAMS = (b"text/event-stream", b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
_SLICE = 65536  # compressed bodies are read in slices of this size, whatever they grow to


class Completion(Struct, frozen=True, kw_only=True):
    """What one call of a server for a completion came to, streamed or not."""

    state: State
    """`complete`; `cut`: the answer ended early; `disconnected`: the client hung up, or the call was
    cancelled, before all of it was sent; `failed`: the app or the server reported an error, or raised it,
    or the answer cannot be read."""
    response: ChatCompletionResponse | None
    """The response, as far as it came; None without a single chunk."""
    error: Exception | None
    """What went wrong, or is missing; None where nothing is. An error status is a `ProviderError`."""
    status: int | None
    """The HTTP status; None where no response began."""
    method: str
    path: str
    request: Any
    """The request's JSON, if it was asked for, is JSON, and is within the limits; else None."""
    timing: Timing
    """When the parts of the answer had been sent, in seconds since the request came. JSON has but one time."""
    scope: Scope
    """The request's ASGI scope: its headers, client, and what other middleware left there."""


class Exchange:
    """Stands between an app and its server for one request: the app is given its `receive` and `send`."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, usage: UsageMode, limits: Limits, keep_request: bool
    ) -> None:
        self.path: str = scope["path"]
        self._scope = scope
        self._receive = receive
        self._send = send
        self._parts: deque[bytes] = deque()  # what the tap is to read next
        self._tap = tap_sync(iter(self._parts.popleft, None), usage=usage, limits=limits)
        self._tap.__enter__()  # its time begins
        self._limit = limits.event_bytes
        self._request = _Held(self._limit) if keep_request else None
        self._named = self.path.endswith("/completions")
        self._status: int | None = None
        self._streams = False  # the body is read as it comes
        self._body: _Held | None = None  # or kept until it is whole
        self._inflate: Any = None
        self._in_hand = b""  # a part of the body that is on its way
        self._error: Exception | None = None
        self._ended = False
        self._hung_up = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._read()
            self._hang_up()
        elif self._request is not None and message["type"] == "http.request":
            self._request.take(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = message.get("headers", ())
            if iter(headers) is headers:  # they can be read but once
                message = {**message, "headers": (headers := list(headers))}
            self._begin(message["status"], headers)
        elif kind == "http.response.body" and not self._ended:
            self._in_hand = message.get("body", b"")
            self._ended = not message.get("more_body", False)
        elif kind == "http.response.pathsend":
            self._ended = True
        try:
            await self._send(message)
        except OSError:
            self._ended = False
            self._hang_up()
            raise
        finally:
            self._read()

    def completion(self, raised: BaseException | None) -> Completion | None:
        """What it came to, now that the app has ended, or raised; None if it was no completion."""
        if raised is not None and not isinstance(raised, Exception):  # cancelled
            self._hang_up()
        self._read_body()
        self._tap.close()
        missing = self._tap.error
        response = self._tap.response() if missing is None else missing.partial
        error: Exception | None = self._error or missing
        if not self._is_completion(response, error):
            return None
        state: State = "complete" if error is None else "cut"
        if error is not None and not isinstance(error, IncompleteStreamError):
            state = "failed"
        elif self._hung_up:
            state = "disconnected"
        elif error is not None and isinstance(raised, Exception):
            state, error = "failed", raised
        return Completion(
            state=state,
            response=response,
            error=error,
            status=self._status,
            method=self._scope["method"],
            path=self.path,
            request=None if self._request is None else _json(self._request.value()),
            timing=self._tap.timing,
            scope=self._scope,
        )

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Find out from its head how to read a response."""
        self._status = status
        values = {name.lower(): value.strip().lower() for name, value in headers}
        kind = values.get(b"content-type", b"").partition(b";")[0].strip()
        is_json = kind == b"application/json"
        self._streams = kind in _STREAMS or (self._named and not is_json and status < 400)
        if not self._streams and (is_json or self._named):
            self._body = _Held(self._limit)
        encoding = values.get(b"content-encoding", b"identity")
        if encoding in (b"gzip", b"x-gzip", b"deflate"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS + 32)  # finds out which of the two it is
        elif encoding != b"identity":
            self._error = DecodeError(f"its content-encoding is {encoding.decode('latin-1')}")

    def _hang_up(self) -> None:
        """The client is gone: that matters where it left before the end."""
        self._hung_up = self._hung_up or not (self._ended or self._went_out())

    def _went_out(self) -> bool:
        """Whether a client has all that it may wait for: many leave at `[DONE]`, or once they have the usage."""
        return self._tap.done or (self._tap.complete and self._tap.usage is not None)

    def _read(self) -> None:
        """Read what is in hand."""
        data, self._in_hand = self._in_hand, b""
        if data and self._error is None:
            try:
                for part in (data,) if self._inflate is None else _inflated(self._inflate, data):
                    if self._streams:
                        self._feed(part)
                    elif self._body is not None:
                        self._body.take(part)
            except zlib.error as error:
                self._error = DecodeError(f"its content-encoding is wrong: {error}", data=data)
        if self._ended:
            self._read_body()
            self._tap.close()

    def _read_body(self) -> None:
        """Read a body that was kept; elsewhere than at a named path only if it may be a completion."""
        if self._body is None or self._error is not None:
            return
        body, self._body = self._body.value(), None
        if body is None:
            self._error = LimitError("event_bytes", self._limit)
        elif self._named and self._status is not None and self._status >= 400:
            plain = _json(body) or body.decode("utf-8", "replace") or f"status {self._status}"
            self._error = ProviderError((isinstance(plain, dict) and plain.get("error")) or plain, status=self._status)
        elif self._named or b'"choices"' in body:
            self._feed(body)

    def _feed(self, part: bytes) -> None:
        self._parts.append(part)
        next(self._tap)

    def _is_completion(self, response: ChatCompletionResponse | None, error: Exception | None) -> bool:
        if self._named:
            return True
        if not self._streams:
            return error is None
        if response is not None:
            return bool(response.choices)
        return not isinstance(error, DecodeError) and "not_a_chunk" not in self._tap.repairs


class _Held:
    """A body that is kept until it is whole, if it is within a limit."""

    def __init__(self, limit: int) -> None:
        self._parts: list[bytes] = []
        self._room = limit

    def take(self, part: bytes) -> None:
        self._room -= len(part)
        self._parts.append(part)
        if self._room < 0:
            self._parts.clear()

    def value(self) -> bytes | None:
        """The body; None if it is too long."""
        return b"".join(self._parts) if self._room >= 0 else None


def _json(body: bytes | None) -> Any:
    """A body's JSON; None where it is none."""
    try:
        return None if body is None else msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _inflated(inflate: Any, data: bytes) -> Iterator[bytes]:
    """What compressed data comes to, in slices."""
    while True:
        part = inflate.decompress(data, _SLICE)
        data = inflate.unconsumed_tail
        yield part
        if not data and len(part) < _SLICE:
            return
