"""One payload, read strictly, tolerantly, and as a dict: the same chunk with the same repairs, or no way reads it."""

from __future__ import annotations

import json
from typing import Any

from streamagg import LimitError, Limits
from streamagg._apis.base import REFUSED, Payload
from streamagg._apis.openai_chat import OpenAIChat

from .shapes import Row, chunks, shown

OF_TEXT = {"nonstandard_json", "invalid_utf8", "empty_event"}
"""What only text needs."""


def try_input(data: bytes) -> None:
    for payload in payloads_of(data):
        strict = read("read", payload)
        assert read("read_tolerantly", payload) == strict
        try:
            plain = json.loads(payload.decode("utf-8", "replace").strip("\0 \t\r\n"), strict=False)
        except (ValueError, RecursionError):
            continue
        assert read("read_object", plain) == strict


def payloads_of(data: bytes) -> list[bytes]:
    if data[:1] < b"\x80":
        return [data[1:]]
    return [json.dumps(each, ensure_ascii=False).encode("utf-8", "surrogatepass") for each in chunks(Row(data[1:]))]


def read(way: str, payload: Any) -> Any:
    """What a reader makes of a payload."""
    notes: list[str] = []
    reader = OpenAIChat(notes.append, Limits(depth=20))
    try:
        chunk = getattr(reader, way)(payload)
        if isinstance(payload, bytes):
            reader.check_depth(payload)
    except REFUSED:
        return "refused"
    except LimitError as error:
        return error.limit
    chunk = chunk[0] if way == "read_object" else chunk
    said = chunk if isinstance(chunk, Payload) else shown(chunk)
    return said, sorted(set(notes) - OF_TEXT)
