"""An answer whose HTTP status is an error: its body is read out, and raised as a `ProviderError`."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from .._accumulator.accumulator import Accumulator
from .._errors import ProviderError, StreamAggError, beginning, quoted
from .._sources.http import Answer

_MOST = 2**20  # of the body: no error needs more words


class Refusal(Accumulator):
    """Takes the body of such an answer, as an accumulator takes a stream; `finish` raises what it says."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self._body = bytearray()
        self._refusal: ProviderError | None = None

    def feed(self, data: bytes | bytearray | memoryview | str) -> None:
        self._body += data.encode() if isinstance(data, str) else data
        self._done = len(self._body) > _MOST

    def finish(self) -> NoReturn:
        if self._refusal is None:
            self._refusal = self._read()
        raise self._refusal

    def _read(self) -> ProviderError:
        status = self._answer.status
        body = bytes(self._body)
        try:
            plain = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            plain = None
        if isinstance(plain, list) and len(plain) == 1:  # Gemini
            plain = plain[0]
        inner = plain.get("error") if isinstance(plain, dict) else None
        for error in (inner, plain):
            if isinstance(error, (dict, str)) and error:
                return ProviderError(error, status=status)
        return self._read_text(body.decode("utf-8", "replace"), status)

    def _read_text(self, text: str, status: int | None) -> ProviderError:
        """The error of a body that is no JSON object: an event stream with an error, a page, or nothing."""
        events = Accumulator()
        try:
            events.feed(text)
            events.finish()
        except ProviderError as error:
            return ProviderError(error.body, status=status)
        except StreamAggError:
            pass
        said = f"; the body begins {quoted(beginning(text.strip()))}" if text.strip() else " and an empty body"
        return ProviderError(text, status=status, message=f"HTTP status {status}{said}{self._answer.content_type()}")
