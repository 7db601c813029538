"""What clocks, drivers and events may know of an accumulator: counts and lengths, read only."""

from __future__ import annotations

from typing import Any

from .._merge.content import Content
from .._merge.values import settled
from .._types.message import text_of


class StreamView:
    """A stream as it stands. Each property costs the same however long the stream is."""

    __slots__ = ("_accumulator",)

    def __init__(self, accumulator: Any) -> None:
        self._accumulator = accumulator

    @property
    def events(self) -> int:
        """How many data events were read."""
        count: int = self._accumulator._count
        return count

    @property
    def chunks(self) -> int:
        """How many of them were chunks or errors: not blank, passed over, or `[DONE]`."""
        count: int = self._accumulator._count - self._accumulator._passed
        return count

    def progress(self) -> tuple[int, int, bool]:
        """`chunks`, `text_length` and `has_reasoning` at once; (0, 0, False) before the first chunk."""
        if not self._accumulator._merger.began:
            return 0, 0, False
        return self.chunks, self.text_length, self.has_reasoning

    @property
    def text_length(self) -> int:
        """Characters of text of the choice that came first."""
        state = self._first()
        if state is None:
            return 0
        if state.message is not None:
            return len(state.message.text)
        content = state.delta.get("content")
        return len(text_of(content.value())) if isinstance(content, Content) else 0

    @property
    def has_reasoning(self) -> bool:
        """Whether the choice that came first has reasoning."""
        state = self._first()
        if state is None:
            return False
        if state.message is not None:
            return bool(state.message.reasoning_text)
        fields = state.delta
        if any(settled(fields.get(name)) for name in ("reasoning_content", "reasoning")):
            return True
        content = fields.get("content")
        parts = content.value() if isinstance(content, Content) else None
        return isinstance(parts, list) and any(
            isinstance(part, dict) and part.get("type") == "thinking" and text_of(part.get("thinking"))
            for part in parts
        )

    def _first(self) -> Any:
        return next(iter(self._accumulator._merger.choices.values()), None)
