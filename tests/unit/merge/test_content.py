"""A content of parts: the texts of joined parts grow."""

from __future__ import annotations

from typing import Any

import pytest

from streamagg import Accumulator
from tests.support.helpers import chunk, merged


@pytest.mark.parametrize("kind", ["text", "thinking"])
@pytest.mark.parametrize("second", ["b", ""])
def test_each_text_of_joined_parts_grows(kind: str, second: str) -> None:
    """A part of one kind may bring the text of the other: neither is replaced, by an empty one least of all."""
    parts: list[Any] = [{"type": kind, "text": said, "thinking": said} for said in ("a", second)]
    for chunks in ([parts], [[part] for part in parts]):
        response = merged(*(chunk({"content": content}) for content in chunks))
        content = response["choices"][0]["message"]["content"]
        assert content == [{"type": kind, "text": f"a{second}", "thinking": f"a{second}"}]


@pytest.mark.parametrize("text", ["a", [{"type": "text", "text": "a"}]])
def test_the_size_follows_the_text(text: Any) -> None:
    """A part's name counts once: a thousand fragments of a part are no larger than those of a plain text."""
    accumulator = Accumulator()
    sizes = []
    for _ in range(1000):
        accumulator.add(chunk({"content": [{"type": "thinking", "thinking": text}]}))
        sizes.append(accumulator.view.size)
    assert sizes[-1] - sizes[0] == 999
