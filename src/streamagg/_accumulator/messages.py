"""The texts of the errors that an accumulator raises, and the bytes that they quote."""

from __future__ import annotations

from typing import Any

import msgspec

from .._codec.errors import Unreadable
from .._errors import DecodeError, beginning, quoted
from .._framing.sse import Item, NamedEvent, StrayLine


def decode_error(error: Exception, data: bytes, event: int) -> DecodeError:
    """The public error for a payload that the codec refused. `event`: its number, 0 for the body as a whole."""
    path = error.path if isinstance(error, Unreadable) else ""
    return DecodeError(str(error) + _hint(data), event=event, path=f"${path}", data=data)


def no_chunk(first_skipped: bytes, events: int, origin: str) -> str:
    """Why a source without a chunk is incomplete. `origin`: what is known of the source, for the end of the message."""
    if first_skipped:
        return f"the source had no chunk; it begins {quoted(beginning(first_skipped))}{_hint(first_skipped)}{origin}"
    return f"the source {'ended without a chunk' if events else 'was empty'}{origin}"


def too_early(is_cut: bool, events: int, missing: str) -> str:
    """Why a source with chunks is incomplete. `missing`: what the choices lack."""
    where = "inside an event" if is_cut else "without [DONE]"
    return f"the source ended {where} after {events} event{'s' * (events != 1)}, {missing}"


def bytes_of(item: Item) -> bytes:
    """The bytes of an item of the framing."""
    if isinstance(item, StrayLine):
        return item.line
    return item.data if isinstance(item, NamedEvent) else item if isinstance(item, bytes) else b""


def encoded(value: Any) -> bytes:
    """An object as JSON, or as the name of its type if it has no JSON."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return type(value).__name__.encode()


def _hint(data: bytes) -> str:
    """The likely mistake behind unreadable bytes."""
    # `iter_lines()` of most clients drops the line ends that separate events.
    if b"}data:" in data:
        return "; were lines fed without their ends?"
    if data.startswith(b"\x1f\x8b"):
        return "; that is gzip: open it with gzip.open()"
    return "; a str is a body: pass a pathlib.Path for a file" if data.endswith((b".sse", b".txt", b".jsonl")) else ""
