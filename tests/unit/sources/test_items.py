"""Any source as an iterator of slices, by its shape."""

from __future__ import annotations

import io
from types import SimpleNamespace

from streamagg import (
    accumulate_sync,
)
from tests.support.helpers import chunk, sse


def test_a_requests_response_is_read_as_it_arrives() -> None:
    body = io.BytesIO(sse(chunk({"content": "a"})))
    raw = SimpleNamespace(read1=lambda size, decode_content: body.read1(min(size, 20)))
    response = SimpleNamespace(raw=raw, _content_consumed=False, iter_content=None)
    assert accumulate_sync(response).text == "a"
