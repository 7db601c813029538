"""The facts of an accumulator that clocks, drivers and events read: read-only, at a cost that does not grow.

One list is shared: the observer clears `continued`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .._merge.choice import ChoiceState
from .._merge.text import TextBuffer
from .._merge.tool_calls import ToolCallState
from .._types.usage import CompletionUsage
from .pipeline import Pipeline


class StreamView:
    """A stream as it stands."""

    __slots__ = ("_choice", "_pipeline")

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._choice: ChoiceState | None = None

    @property
    def events(self) -> int:
        """Payloads that were read: data events, bare JSON lines, added chunks."""
        return self._pipeline.events

    @property
    def chunks(self) -> int:
        """The number of chunks and errors: payloads that are not blank, skipped, or `[DONE]`."""
        return self._pipeline.events - self._pipeline.skipped

    @property
    def size(self) -> int:
        """The size of the response, which `Limits.response_size` bounds."""
        return self._pipeline.merger.size

    @property
    def choices(self) -> Mapping[int, ChoiceState]:
        """The choices so far, by index, in order of appearance."""
        return MappingProxyType(self._pipeline.merger.choices)

    @property
    def continued(self) -> list[ToolCallState]:
        """The calls that the last chunk's fragments continued, in order. The observer clears the list."""
        continued = self._pipeline.merger.continued
        return [] if continued is None else continued

    def progress(self) -> tuple[int, int, bool]:
        """`chunks`, `text_length` and `has_reasoning`, for a clock that asks after each item.

        (0, 0, False) before the first chunk.
        """
        pipeline = self._pipeline
        state = self._choice or self._first()
        if state is None and not pipeline.merger.has_begun:
            return 0, 0, False
        fast = pipeline.fast
        chunks = pipeline.own_events - pipeline.skipped + (0 if fast is None else fast.taken)
        if state is None:
            return chunks, 0, False
        fields = state.delta
        text = fields.get("content")
        # Most items bring text alone, whose length is at hand: this takes a third of the time of the properties.
        if (
            type(text) is TextBuffer
            and state.message is None
            and "reasoning_content" not in fields
            and "reasoning" not in fields
        ):
            return chunks, text.length, False
        return chunks, state.text_length, state.has_reasoning

    @property
    def text_length(self) -> int:
        """Characters of text of the choice that came first."""
        state = self._first()
        return 0 if state is None else state.text_length

    @property
    def has_reasoning(self) -> bool:
        """Whether the choice that came first has reasoning."""
        state = self._first()
        return state is not None and state.has_reasoning

    @property
    def usage(self) -> CompletionUsage | None:
        """The usage so far, which is the caller's own."""
        return self._pipeline.merger.usage.value()

    @property
    def repairs(self) -> Mapping[str, int]:
        """The count of each kind of repair."""
        return MappingProxyType(self._pipeline.repairs)

    @property
    def has_surrogates(self) -> bool:
        """Whether a payload held half of a surrogate pair."""
        return self._pipeline.api.has_surrogates

    def _first(self) -> ChoiceState | None:
        """The choice that came first. No choice is ever dropped, which makes it the same for good."""
        if self._choice is None:
            self._choice = next(iter(self._pipeline.merger.choices.values()), None)
        return self._choice
