"""A stream's chunks in other forms."""

from __future__ import annotations

import json
from typing import Any

from streamagg import (
    ChatCompletionChunk,
    Limits,
)
from streamagg._apis.openai_chat import Reader


def texts_of(chunks: list[Any]) -> list[Any]:
    return [json.dumps(chunk).encode() for chunk in chunks]


def structs_of(chunks: list[Any]) -> list[Any]:
    """The chunks as the stream wrappers yield them."""
    reader = Reader(lambda kind: None, Limits())
    structs = [reader.read(text) for text in texts_of(chunks)]
    return [
        struct if isinstance(struct, ChatCompletionChunk) else chunk
        for struct, chunk in zip(structs, chunks, strict=True)
    ]
