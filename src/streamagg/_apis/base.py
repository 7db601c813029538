"""The interface of a provider API: its payloads become chunks, and it knows the end of its streams.

1. An API is one class in one file. An instance reads one stream.
2. `read` returns one chunk where an event is one chunk, or a list of chunks in order; `Payload.SKIPPED` for an event
   that says nothing about the response; `Payload.DONE` for the end that the server announces.
3. `read` and `read_object` raise `Unreadable` or `msgspec.DecodeError` for a payload that is no chunk, and
   `LimitError`. They merge nothing: an error leaves no half-read chunk behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from .._codec.errors import Unreadable
from .._types.chunk import ChatCompletionChunk

REFUSED = (Unreadable, msgspec.DecodeError)
"""The exceptions of `read` and `read_object` for a payload that is no chunk. `LimitError` comes beside them."""


class Payload(Enum):
    """A payload that is no chunk."""

    DONE = "the end that the server announces"
    SKIPPED = "blank, or an object that is no chunk"


Chunks = ChatCompletionChunk | list[ChatCompletionChunk] | Payload


class API(Protocol):
    """Reads the payloads of one stream."""

    decode: Callable[[bytes], ChatCompletionChunk] | None
    """Decodes an event for the fast path. Raises `ValueError` if the event needs a repair. None if an event is not one
    chunk."""
    has_surrogates: bool
    """Whether a payload held half of a surrogate pair: another one may bring the other half."""

    def read(self, data: bytes, name: bytes) -> Chunks:
        """Read the data of an event with this name (empty if it has none)."""

    def read_object(self, value: Any) -> tuple[Chunks, int]:
        """Read a client's object. Also returns the most that it may add to the response's size."""

    def parse(self, data: bytes, note: Callable[[str], None]) -> Any:
        """The JSON of a payload as plain data, within the limits."""

    def check_depth(self, data: bytes) -> None:
        """Raise `LimitError` if the payload nests deeper than the limit. `read` leaves that to the caller, which need
        not ask for a chunk whose values are all typed."""

    def has_ended(self, finish_reasons: Sequence[str | None]) -> bool:
        """Whether a stream with these finish reasons, one for each choice, has ended, if its input ends here."""
