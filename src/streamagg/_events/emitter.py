"""Chunks in, events out: what each chunk changed of the response, told once it is merged.

The merge decides everything: which call a fragment belongs to, whether a message counts, what the
usage comes to. Here its outcome is only read, and each text told once, never joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._accumulator.accumulator import Accumulator
from .._accumulator.payloads import is_error
from .._codec.struct import copied, mended
from .._merge.choice import ChoiceState
from .._merge.merger import numbered
from .._merge.tool_calls import Slot
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkDelta
from .._types.message import ChatCompletionMessage, text_of, thinking_of
from .._types.usage import CompletionUsage
from .diff import LEGACY, NOTHING, Source, brought_by, continues, finished, is_whole, known_of, said_by, written_in
from .types import (
    ChoiceFinished,
    MessageReplaced,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    StreamRepaired,
    TextDelta,
    ToolCallDelta,
    ToolCallReady,
    ToolCallStarted,
    UsageReported,
)


class _Call:
    """What was told of one call."""

    __slots__ = ("known", "ready", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.known = known_of(source)
        self.ready = False


class _Choice:
    """What was told of one choice."""

    __slots__ = ("calls", "finish_reason", "fresh", "index", "message", "reasoning", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls: dict[int, _Call] = {}
        self.fresh: dict[int, None] = {}  # the calls that grew since the last `finish_reason`
        self.finish_reason: str | None = None
        self.reasoning: str | None = None  # the field that it is read from
        self.message: ChatCompletionMessage | None = None
        self.said = NOTHING


class Teller:
    """Tells the events of one stream that is about to be read. `early`: calls are ready once they look so."""

    def __init__(self, accumulator: Accumulator, tell: Callable[[StreamEvent], None], *, early: bool) -> None:
        self._accumulator = accumulator
        self._merger = accumulator._merger
        self._early = early
        self._give = tell
        self._choices: dict[int, _Choice] = {}
        self._usage: CompletionUsage | None = None
        self._repairs: dict[str, int] = {}
        self._halves: dict[tuple[int, Any], str] = {}  # of surrogate pairs, at the end of a text so far
        self._touched: list[Slot] = []
        self._merger.touched = self._touched
        accumulator.watch = self._take

    def end(self, *, well: bool) -> None:
        """The stream has ended."""
        self._tell_repairs()
        for (index, place), half in self._halves.items():
            choice = self._choices[index]
            if isinstance(place, int):
                self._tell(ToolCallDelta(half, place, *choice.calls[place].known, index))
            else:
                self._tell(place(half, index))
        if well:
            for choice in self._choices.values():
                for place in choice.calls:
                    self._ready(choice, place)

    def _take(self, chunk: ChatCompletionChunk) -> None:
        """Tell what a chunk that was just merged has changed."""
        self._tell_repairs()
        touched = iter(self._touched)
        reported = chunk.usage is not None or chunk.x_groq is not None
        failed: bool | None = None
        for index, new in numbered(chunk.choices):
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice(index)
            state = self._merger.choices[index]
            if state.message is not choice.message:
                self._take_message(choice, state.message)
            if new.delta is not None and state.spoke:
                self._take_delta(choice, state, new.delta, touched)
            if new.finish_reason:
                if failed is None:
                    failed = _fails(chunk)
                if not failed:
                    self._finish_calls(choice)
                if new.finish_reason != choice.finish_reason:
                    choice.finish_reason = new.finish_reason
                    self._tell(ChoiceFinished(new.finish_reason, index))
            reported = reported or new.usage is not None
        self._touched.clear()
        if reported:
            usage = self._merger.usage.value()
            if usage is not None and usage != self._usage:
                self._usage = usage
                self._tell(UsageReported(copied(usage)))

    def _tell(self, event: StreamEvent) -> None:
        self._give(mended(event) if self._accumulator._reader.has_surrogates else event)

    def _tell_repairs(self) -> None:
        repairs = self._accumulator._repairs
        if repairs != self._repairs:
            for kind, count in repairs.items():
                if count != self._repairs.get(kind):
                    self._tell(StreamRepaired(kind, count))
            self._repairs = dict(repairs)

    # ------------------------------------------------------------------ deltas

    def _take_delta(
        self, choice: _Choice, state: ChoiceState, delta: ChatCompletionChunkDelta, touched: Iterator[Slot]
    ) -> None:
        content = delta.content
        if delta.reasoning_content:
            self._reason(choice, "reasoning_content", delta.reasoning_content)
        if delta.reasoning:
            self._reason(choice, "reasoning", delta.reasoning)
        if type(content) is list:
            self._reason(choice, "content", thinking_of(content))
        if content and (text := text_of(content)):
            self._say(choice, TextDelta, text)
        if delta.refusal:
            self._say(choice, RefusalDelta, delta.refusal)
        for fragment in delta.tool_calls or ():
            slot = next(touched)
            self._continue(choice, slot.place, slot, brought_by(fragment))
        if delta.function_call is not None and state.function_call is not None:
            self._continue(choice, LEGACY, state.function_call, delta.function_call.arguments or "")

    def _reason(self, choice: _Choice, field: str, text: str) -> None:
        if text and choice.reasoning in (None, field):
            choice.reasoning = field
            self._say(choice, ReasoningDelta, text)

    def _say(self, choice: _Choice, kind: type[TextDelta | ReasoningDelta | RefusalDelta], text: str) -> None:
        if text := self._joined(choice, kind, text):
            self._tell(kind(text, choice.index))

    def _joined(self, choice: _Choice, place: Any, text: str) -> str:
        """The text to tell now: where halves of surrogate pairs came, one at its end waits for the other."""
        if not self._accumulator._reader.has_surrogates:
            return text
        text = self._halves.pop((choice.index, place), "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[choice.index, place] = text[-1]
            return text[:-1]
        return text

    # ------------------------------------------------------------------ tool calls

    def _continue(self, choice: _Choice, place: int, source: Source, arguments: str) -> None:
        call = choice.calls.get(place)
        known = known_of(source)
        arguments = self._joined(choice, place, arguments)
        if call is None:
            call = choice.calls[place] = _Call(source)
            self._tell(ToolCallStarted(place, *known, choice.index))
        if arguments or known != call.known:
            self._tell(ToolCallDelta(arguments, place, *known, choice.index))
        call.known = known
        call.source = source
        choice.fresh[place] = None
        if self._early and is_whole(source):
            self._ready(choice, place)

    def _finish_calls(self, choice: _Choice) -> None:
        """The choice has a `finish_reason`: what is whole by now can grow no more."""
        for place in choice.fresh:
            if is_whole(choice.calls[place].source):
                self._ready(choice, place)
        choice.fresh.clear()

    def _ready(self, choice: _Choice, place: int) -> None:
        call = choice.calls[place]
        if not call.ready:
            call.ready = True
            self._tell(ToolCallReady(finished(call.source), place, choice.index))

    # ------------------------------------------------------------------ messages

    def _take_message(self, choice: _Choice, message: ChatCompletionMessage | None) -> None:
        """Tell a message that came, or that deltas took its place: what it adds to the last, or all of it."""
        choice.message = message
        if message is not None and self._accumulator._reader.has_surrogates:
            message = mended(message)
        before, said = choice.said, said_by(message) if message is not None else NOTHING
        choice.said = said
        if not continues(before, said):
            self._tell(MessageReplaced(choice.index))
            choice.calls.clear()
            choice.fresh.clear()
            before = NOTHING
        self._say(choice, ReasoningDelta, said.reasoning[len(before.reasoning) :])
        self._say(choice, TextDelta, said.text[len(before.text) :])
        self._say(choice, RefusalDelta, said.refusal[len(before.refusal) :])
        for place, call in said.calls.items():
            self._continue(choice, place, call, written_in(call)[len(written_in(before.calls.get(place))) :])


def _fails(chunk: ChatCompletionChunk) -> bool:
    """Whether the chunk reports an error beside what it brings."""
    return is_error(chunk.error) or any(is_error(choice.error) for choice in chunk.choices or ())
