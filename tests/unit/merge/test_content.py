"""A content of parts: the texts of joined parts grow."""

from __future__ import annotations

from typing import Any

import pytest

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
