"""Any bytes, in any slices: a response or a `StreamAggError`, and the same one. Chunks may be added as well."""

from __future__ import annotations

import json
from typing import Any

from streamagg import Accumulator, ChatCompletionResponse, Limits, StreamAggError

from .shapes import Row, body_of, chunks, shown, slices_of

TINY = Limits(event_bytes=300, response_size=400, choices=2, tool_calls=2, depth=4)

OF_TEXT = {"nonstandard_json"}
"""What only text needs."""


def try_input(data: bytes) -> None:
    option = data[0] >> 3 & 7 if data else 0
    options: dict[str, Any] = {
        "strict": option == 1,
        "limits": TINY if option == 2 else Limits(),
        "usage": {3: "sum", 4: "last"}.get(option, "auto"),
    }
    body = body_of(data)
    whole = pushed([body], **options)
    assert pushed(slices_of(body, data), **options) == whole
    if len(body) < 200:
        assert pushed([body[place : place + 1] for place in range(len(body))], **options) == whole
    if data[:1] >= b"\x80" and option not in (1, 2):  # as text a chunk may need a repair, and be longer
        listed = chunks(Row(data[1:]))
        texts = [json.dumps(chunk) for chunk in listed]
        assert added(listed, **options) == added(texts, **options)


def pushed(slices: list[bytes], **options: Any) -> Any:
    accumulator = Accumulator(**options)
    try:
        for piece in slices:
            accumulator.feed(piece)
        response = accumulator.finish()
        assert accumulator.finish() is response
        return told(accumulator, response, None)
    except StreamAggError as error:
        return told(accumulator, error.partial, error)


def added(chunks: list[Any], **options: Any) -> Any:
    accumulator = Accumulator(**options)
    try:
        for chunk in chunks:
            accumulator.add(chunk)
    except StreamAggError as error:
        return shown(error.partial), type(error), set(accumulator.repairs) - OF_TEXT
    return shown(accumulator.snapshot()), None, set(accumulator.repairs) - OF_TEXT


def told(accumulator: Accumulator, response: ChatCompletionResponse | None, error: StreamAggError | None) -> Any:
    """All that can be seen of a stream, in a form that can be compared; and what always holds of it."""
    if response is not None:
        response.to_json().encode()
    assert (error is None) == (accumulator.complete is True)
    assert accumulator.view.size >= 0
    return shown(response), type(error), str(error), accumulator.complete, accumulator.events, dict(accumulator.repairs)
