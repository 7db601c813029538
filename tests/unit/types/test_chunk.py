"""A chunk and its text."""

from __future__ import annotations

from streamagg import (
    stream_sync,
)
from tests.support.helpers import chunk


def test_a_choice_that_says_nothing_has_no_text() -> None:
    with stream_sync([{"id": "x", "choices": [{"index": 0}]}, chunk({"content": "a"}, finish="stop")]) as chunks:
        assert [each.text for each in chunks] == ["", "a"]
