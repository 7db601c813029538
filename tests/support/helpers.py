"""Small tools that many tests use."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    StreamAggError,
)

RAY_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it is how Ray keeps to loopback there, and does here too
    "RAY_AUTH_MODE": "disabled",  # or it writes a token to the home directory
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""The environment in which Ray talks to this machine alone."""
Outcome = tuple[dict[str, Any] | None, type | None, bool]
"""What a stream came to: the response (nulls left out), the error's class, and whether it was complete."""


def sse(*chunks: Any, done: bool = True) -> bytes:
    """The chunks as a body of server-sent events."""
    events = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return "".join(f"data: {event}\n\n" for event in (*events, *(["[DONE]"] if done else []))).encode()


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, index: Any = 0, **fields: Any) -> Any:
    """A chunk with one choice."""
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


def so_far(accumulator: Accumulator) -> str:
    """The text of what was pushed so far, of which there must be some."""
    snapshot = accumulator.snapshot()
    assert snapshot is not None
    return snapshot.text


def slicings(data: bytes, *, seed: int = 0, random_ones: int = 3) -> Iterator[list[bytes]]:
    """Ways to cut a body: whole, byte by byte, and at random with empty slices mixed in."""
    yield [data]
    if len(data) <= 4000:
        yield [data[place : place + 1] for place in range(len(data))]
    dice = random.Random(seed)
    for _ in range(random_ones):
        yield cut(data, dice)


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """`data` in random slices, some of them empty."""
    most = dice.choice([3, 30, 300, 3000])
    slices, place = [], 0
    while place < len(data):
        length = dice.randint(0, most)
        slices.append(data[place : place + length])
        place += length
    return [*slices, b""]


def outcome(items: list[Any], *, add: bool = False, **options: Any) -> Outcome:
    """Push a stream's slices, or add its chunks, and see what it comes to."""
    accumulator = Accumulator(**options)
    error: StreamAggError | None = None
    try:
        for item in items:
            if add:
                accumulator.add(item)
            else:
                accumulator.feed(item)
        response = accumulator.finish()
    except StreamAggError as caught:
        error, response = caught, caught.partial
    plain = strip_nulls(response.to_dict()) if response is not None else None
    return plain, type(error) if error else None, accumulator.complete


def merged(*chunks: Any, **options: Any) -> dict[str, Any]:
    """The response that chunks merge to, complete or not."""
    accumulator = Accumulator(**options)
    for item in chunks:
        accumulator.add(item)
    response = accumulator.snapshot()
    assert response is not None
    return response.to_dict()


def strip_nulls(value: Any) -> Any:
    """`value` without the nulls of its objects."""
    if isinstance(value, dict):
        return {name: strip_nulls(item) for name, item in value.items() if item is not None}
    return [strip_nulls(item) for item in value] if isinstance(value, list) else value


def fails(*slices: bytes | str, **options: Any) -> StreamAggError:
    accumulator = Accumulator(**options)
    with pytest.raises(StreamAggError) as caught:
        for piece in slices:
            accumulator.feed(piece)
        accumulator.finish()
    return caught.value


def calls_chunk(*fragments: dict[str, Any]) -> Any:
    return chunk({"tool_calls": list(fragments)})


def fragment(index: Any, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, **more, "function": {"arguments": "[", **({"name": name} if name else {})}}


def details_chunk(*listed: dict[str, Any]) -> Any:
    return chunk({"reasoning_details": list(listed)})


def text_of(error: StreamAggError) -> str | None:
    return error.partial.text if error.partial is not None else None


HELLO = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}, finish="stop"),
]


ANSWER = {"role": "assistant", "content": "Hello"}
