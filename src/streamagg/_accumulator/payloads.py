"""What payloads look like: whether they are whole, cut, answers or errors, and how messages show them."""

from __future__ import annotations

from typing import Any

import msgspec

from .._codec.lenient import ignore, parse
from .._framing.sse import Frame, Item, StrayLine
from .._types.chunk import ChatCompletionChunk

_FIELDS = (b"\xef\xbb\xbfdata", b"data", b"event", b"id", b"retry")  # what an event stream begins with


def hint(data: bytes) -> str:
    """What common mistakes look like: `iter_lines()` drops the line ends that events need."""
    if b"}data:" in data:
        return "; were lines fed without their ends?"
    if data.startswith(b"\x1f\x8b"):
        return "; that is gzip: open it with gzip.open()"
    return "; a str is a body: pass a pathlib.Path for a file" if data.endswith((b".sse", b".txt", b".jsonl")) else ""


def is_error(value: Any) -> bool:
    """Whether the `error` of a payload or a choice is one: an object or a string that is not empty."""
    return isinstance(value, (dict, str)) and bool(value)


def is_event(value: Any) -> bool:
    """Whether an object is a server-sent event that some other library parsed."""
    return hasattr(value, "data") and not hasattr(value, "choices")


def is_answer(chunk: ChatCompletionChunk) -> bool:
    """Whether what was read is a whole answer: messages, and no deltas."""
    choices = chunk.choices or ()
    return bool(choices) and all(choice.message is not None and choice.delta is None for choice in choices)


def is_document(data: bytes) -> bool:
    """Whether `data` is one whole JSON object."""
    try:
        return isinstance(parse(data, ignore), dict)
    except msgspec.DecodeError:
        return False
    except RecursionError:
        return True  # the reader will say that it is too deep


def is_cut(data: bytes) -> bool:
    """Whether `data` is the beginning of a JSON document, or of an event stream's first field."""
    if not data.lstrip().startswith((b"{", b"[")):
        return any(field.startswith(data) for field in _FIELDS)
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def documents(data: bytes) -> tuple[list[bytes], bool]:
    """The leading lines of an event's data that are each a JSON object, up to `[DONE]`; and whether
    they are all of it."""
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        if line.strip() == b"[DONE]":
            return [*lines, line], True
        if line.strip():
            if not is_document(line):
                return lines, False
            lines.append(line)
    return lines, bool(lines)


def bytes_of(item: Item) -> bytes:
    if isinstance(item, StrayLine):
        return item.line
    return item.data if isinstance(item, Frame) else item if isinstance(item, bytes) else b""


def shown(value: Any) -> bytes:
    """An object for a message: as JSON where it has such, else by its type."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return type(value).__name__.encode()
