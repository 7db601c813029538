"""The body of a response whose HTTP status is an error. It is read out, and raised as a `ProviderError`.

No chunk of such a body is merged: servers send JSON, an event stream with an error, a page of HTML, or nothing at all.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from .._accumulator.accumulator import Accumulator
from .._error_shapes import error_in, is_error
from .._errors import ProviderError, StreamAggError, beginning, quoted
from .._sources.http import HTTPBody

_MOST_BYTES = 2**20
"""Bytes after which reading stops, because a server might send without end. The longest of 18 recorded error bodies has
792 bytes, and a page of HTML a few hundred times as many. Half of it cuts none of these; much less could cut a page,
whose error would then lack its end."""


class ErrorBody:
    """The sink for such a body: `finish` raises the error that the body reports."""

    def __init__(self, body: HTTPBody) -> None:
        self._http = body
        self._data = bytearray()
        self._error: ProviderError | None = None

    @property
    def done(self) -> bool:
        """Whether the body is longer than any that matters: reading stops."""
        return len(self._data) > _MOST_BYTES

    def feed(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take a slice of the body."""
        self._data += data.encode() if isinstance(data, str) else data

    def add(self, chunk: Any) -> NoReturn:
        """Raise a `TypeError`: an HTTP body has slices."""
        raise TypeError(f"an HTTP body with status {self._http.status} gave {type(chunk).__name__}, not bytes")

    def finish(self) -> NoReturn:
        """Raise the error. A second call raises it again."""
        if self._error is None:
            self._error = self._read()
        raise self._error

    def _read(self) -> ProviderError:
        body = bytes(self._data)
        try:
            plain = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            plain = None
        # Gemini puts its error object into a list.
        if isinstance(plain, list) and len(plain) == 1:
            plain = plain[0]
        for error in (error_in(plain), plain):
            if is_error(error):
                return ProviderError(error, status=self._http.status)
        return self._read_text(body.decode("utf-8", "replace"))

    def _read_text(self, text: str) -> ProviderError:
        """The error of a body that is no JSON object: an event stream with an error, a page, or no text."""
        status = self._http.status
        events = Accumulator()
        try:
            events.feed(text)
            events.finish()
        except ProviderError as error:
            return ProviderError(error.body, status=status)
        # Any other text is no event stream, and is quoted below.
        except StreamAggError:
            pass
        said = f"; the body begins {quoted(beginning(text.strip()))}" if text.strip() else " and an empty body"
        return ProviderError(text, status=status, message=f"HTTP status {status}{said}{self._http.content_type()}")
