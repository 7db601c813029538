"""One request and its response on their way through an ASGI app, and the completion that they carry.

1. Each message passes with the same content. A part of the response's body is read after it was sent: no client waits.
2. A client that leaves is not an error by itself. It counts where it left before the end of the response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

from msgspec import Struct

from streamagg import ChatCompletionResponse, IncompleteStreamError, Limits, Timing, UsageMode

from .response import BodyBuffer, ResponseReader, decoded

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

State = Literal["complete", "cut", "disconnected", "failed"]


class Completion(Struct, frozen=True, kw_only=True):
    """The outcome of one request for a chat completion, streamed or not."""

    state: State
    """`complete`; `cut`: the response ended early; `disconnected`: the client hung up, or the request was cancelled,
    before the whole response was sent; `failed`: the server reported an error, the response cannot be read, or the app
    raised before the response was whole."""
    response: ChatCompletionResponse | None
    """The response as far as it came; None where no chunk came."""
    error: Exception | None
    """The reason why the completion is not whole; None where it is. An error status is a `ProviderError`."""
    status: int | None
    """The HTTP status; None where no response began."""
    method: str
    path: str
    request: Any
    """The request's JSON. None where `request_body` is off, the body is not JSON, or it passed the limit."""
    timing: Timing
    """When the parts of the response had been sent, in seconds since the request came. A JSON body has one time."""
    scope: Scope
    """The request's ASGI scope: headers, client, and the entries of other middleware."""


class Exchange:
    """Stands between an app and its server for one request: the app gets this `receive` and this `send`."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, usage: UsageMode, limits: Limits, keep_request: bool
    ) -> None:
        self.path: str = scope["path"]
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request = BodyBuffer(limits.event_bytes) if keep_request else None
        self._response = ResponseReader(self.path, usage=usage, limits=limits)
        self._unread = b""  # the part of the body that is being sent
        self._ended = False  # the last part of the body was sent
        self._client_left = False  # before the end

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._read()
            self._note_disconnect()
        elif self._request is not None and message["type"] == "http.request":
            self._request.append(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = message.get("headers", ())
            # ASGI allows any iterable. An iterator can be read only once, and the server needs it too.
            if iter(headers) is headers:
                message = {**message, "headers": (headers := list(headers))}
            self._response.begin(message["status"], headers)
        elif kind == "http.response.body" and not self._ended:
            self._unread = message.get("body", b"")
            self._ended = not message.get("more_body", False)
        # The server reads a file itself: its body does not pass through here.
        elif kind == "http.response.pathsend":
            self._ended = True
        try:
            await self._send(message)
        except OSError:  # the ASGI specification: `send` raises one where the client has gone
            self._ended = False
            self._note_disconnect()
            raise
        finally:
            self._read()

    def completion(self, raised: BaseException | None) -> Completion | None:
        """The completion, after the app has returned or `raised`; None if the response is no chat
        completion."""
        # A server cancels the request's task when the client leaves, and at its own shutdown.
        if raised is not None and not isinstance(raised, Exception):
            self._note_disconnect()
        self._response.end()
        if not self._response.is_completion():
            return None
        response, error = self._response.result()
        state: State = "complete" if error is None else "cut"
        if error is not None and not isinstance(error, IncompleteStreamError):
            state = "failed"
        elif self._client_left:
            state = "disconnected"
        # An app that raises after a whole response (in a background task) does not make the response less whole.
        elif error is not None and isinstance(raised, Exception):
            state, error = "failed", raised
        return Completion(
            state=state,
            response=response,
            error=error,
            status=self._response.status,
            method=self._scope["method"],
            path=self.path,
            request=None if self._request is None else decoded(self._request.value()),
            timing=self._response.timing,
            scope=self._scope,
        )

    def _read(self) -> None:
        """Read the part that was sent."""
        data, self._unread = self._unread, b""
        self._response.read(data)
        if self._ended:
            self._response.end()

    def _note_disconnect(self) -> None:
        self._client_left = self._client_left or not (self._ended or self._response.satisfies_client)
