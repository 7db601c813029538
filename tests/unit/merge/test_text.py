"""Text that comes in pieces is joined ever more rarely."""

from __future__ import annotations

import pytest

from streamagg import Accumulator
from streamagg._merge.text import TextBuffer
from tests.support.helpers import calls_chunk


def test_a_name_in_pieces_is_joined_as_rarely_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = 0
    value = TextBuffer.value

    def counting(self: TextBuffer) -> str:
        nonlocal joined
        joined += len(self._joined) if self._fragments else 0
        return value(self)

    monkeypatch.setattr(TextBuffer, "value", counting)
    for options in ({}, {"strict": True}):
        joined = 0
        accumulator = Accumulator(**options)  # type: ignore[arg-type]
        for n in range(3000):
            accumulator.add(calls_chunk({"index": 0, "function": {"name": f"name{n}"}}))
        assert joined < 40 * 3000 * len("name1000")
        assert accumulator.snapshot().choices[0].message.tool_calls[0].function.name == "".join(
            f"name{n}" for n in range(3000)
        )  # type: ignore[union-attr,index]


def test_text_is_joined_ever_more_rarely() -> None:
    """What steps cannot see: each join may copy all that came before."""
    text = TextBuffer()
    joins = 0
    value = text.value

    class Counted(TextBuffer):
        __slots__ = ()

        def value(self) -> str:
            nonlocal joins
            joins += 1
            return super().value()

    counted = Counted()
    for _ in range(100_000):
        counted.append("ab")
    assert joins <= 750  # each adds a sixty-fourth part: 200,000 letters after some 6 * 128 alike
    assert counted.value() == "ab" * 100_000
    assert value() == ""
