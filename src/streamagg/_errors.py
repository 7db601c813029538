"""Every exception that this library raises on purpose, with one sentence each.

    StreamAggError
    ├── IncompleteStreamError   the source ended before the stream was complete
    ├── ProviderError           the server reported an error, inside the stream or by its status
    ├── DecodeError             a payload is not a chunk (also a ValueError)
    ├── LimitError              the stream passed a bound of `Limits`
    ├── IdleTimeoutError        no data event for `idle_timeout` seconds (also a TimeoutError)
    └── ParseError              the text of the model does not fit the type that `parse` got (also a ValueError)

1. Each has `.partial`: the response as far as it was merged, or None before the first chunk.
2. Text of a server is escaped in messages: a terminal or a log must not act on it.
3. Errors can be pickled: they pass between processes with all their attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._types.completion import ChatCompletionResponse

EXCERPT = 120
"""The length of a payload's excerpt in a message, in characters."""
_SERVER_TEXT = 2000
"""The length of a server's own text in a message, in characters. People read it, and it tells the cause."""
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal or a log acts on: controls, line ends, marks that turn the direction of text."""


def beginning(data: bytes | str, most: int = EXCERPT) -> str:
    """The first `most` characters of `data`, with `...` after them where it is longer."""
    head = data[: 4 * most]
    text = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    return text[:most] + ("..." if len(data) > len(head) or len(text) > most else "")


def harmless(text: str, most: int = EXCERPT) -> str:
    """The beginning of a server's text for a message, with the characters escaped that a terminal acts on."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", beginning(text, most))


def json_path(places: Iterable[str | int]) -> str:
    """A JSON path (`$.items[0].name`) of keys and positions, the outermost first."""
    return "$" + "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)


def quoted(text: str) -> str:
    """`text` in quotes, with the characters escaped that a terminal acts on."""
    return repr(text.encode("utf-8", "replace").decode("utf-8"))


class StreamAggError(Exception):
    """The base class of this library's errors."""

    partial: ChatCompletionResponse | None
    """The response as far as it was merged before the error; None before the first chunk."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.partial = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (type(self), self.args, self.__dict__))


class IncompleteStreamError(StreamAggError):
    """The source ended without `[DONE]` and before every choice had a `finish_reason`, or it had no chunk."""


class ProviderError(StreamAggError):
    """The server reported an error in the stream, or answered with one instead of a stream."""

    body: Any
    """The error as the server sent it: an object, a string, or the whole payload where that has `object: "error"`."""
    message: str
    """The server's own text, whole and unchanged. If the server sent none: the body as text, or for an error status the
    status and the beginning of the body. The error's text contains its beginning, escaped."""
    code: int | str | None
    type: str | None
    status: int | None
    """The HTTP status where that reports the error; None for an error inside a stream."""

    def __init__(self, body: Any, *, status: int | None = None, message: str = "") -> None:
        self.body = body
        self.status = status
        self.message = message or _message_of(body)
        code = body.get("code", body.get("status_code")) if isinstance(body, dict) else None
        self.code = code if isinstance(code, (int, str)) else None
        kind = body.get("type") if isinstance(body, dict) else None
        self.type = kind if isinstance(kind, str) else None
        parts = (harmless(str(part)) for part in (status, self.code, self.type) if part is not None)
        known = ", ".join(dict.fromkeys(parts))
        words = harmless(self.message, _SERVER_TEXT)
        super().__init__(f"the server reported an error{f' ({known})' if known else ''}: {words}")


def _message_of(body: Any) -> str:
    """The sentence for people in an error body. Servers put it under several names."""
    if isinstance(body, str):
        return body
    if isinstance(body, dict):
        for key in ("message", "error", "detail", "msg"):
            inner = body.get(key)
            if isinstance(inner, str) and inner:
                return inner
            if isinstance(inner, dict) and inner:
                return _message_of(inner)
    return str(body)


class DecodeError(StreamAggError, ValueError):
    """A payload is not JSON, or is not of the shape of a chunk."""

    event: int
    """The number of the event, from 1; 0 where the body as a whole is not readable."""
    path: str
    """The place of the fault in the payload, as a JSON path (`$.choices[0].delta`)."""
    excerpt: str
    """The beginning of the payload."""
    reason: str
    """The fault, in words."""

    def __init__(self, reason: str, *, event: int = 0, path: str = "$", data: bytes | str = b"") -> None:
        self.reason = reason
        self.event = event
        self.path = path
        self.excerpt = beginning(data)
        where = f"event {event}" if event else "the body"
        at = f" at {harmless(path)}" if path != "$" else ""
        super().__init__(f"{where} cannot be read{at}: {reason}; it begins {quoted(self.excerpt)}")


class LimitError(StreamAggError):
    """The stream passed a bound of `Limits`."""

    limit: str
    """The name of the field of `Limits` that was passed."""

    def __init__(self, limit: str, bound: int) -> None:
        self.limit = limit
        self.bound = bound
        super().__init__(f"the stream passed the limit {limit}={bound}")


class IdleTimeoutError(StreamAggError, TimeoutError):
    """No data event came for `idle_timeout` seconds; comments do not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"no data event for {seconds:g} seconds")


class ParseError(StreamAggError, ValueError):
    """The text of the model is not JSON, or does not fit the type that `parse` got."""

    path: str
    """The place of the fault in the text, as a JSON path (`$.items[0]`)."""
    text: str
    """The whole text."""
    reason: str
    """The fault, in words."""

    def __init__(self, reason: str, *, path: str = "$", text: str = "", what: str = "the text") -> None:
        self.reason = reason
        self.path = path
        self.text = text
        at = f" at {harmless(path)}" if path != "$" else ""
        begins = f"; it begins {quoted(beginning(text))}" if text else ""
        super().__init__(f"{what} cannot be read{at}: {reason}{begins}")


def _rebuilt(cls: type[StreamAggError], args: tuple[Any, ...], state: dict[str, Any]) -> StreamAggError:
    """Unpickle an error without its constructor, whose arguments are not those of `Exception`."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
