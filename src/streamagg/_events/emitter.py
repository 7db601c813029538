"""The event emitter: told of each merged chunk or fragment, it emits the events for what that changed.

The merge decides everything: the call that a fragment belongs to, whether a message counts, the sum of the usage. The
emitter only reads the outcome, and emits each text once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from .._apis.errors import errors_in
from .._codec.struct import join_surrogates
from .._merge.checks import numbered
from .._merge.choice import ChoiceState
from .._merge.tool_calls import ToolCallState
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkDelta
from .._types.message import ChatCompletionMessage, text_of, thinking_of
from .._types.usage import CompletionUsage
from .message_text import (
    EMPTY,
    LEGACY,
    Call,
    arguments_in,
    arguments_of,
    continues,
    finished_call,
    id_and_name,
    is_whole,
    text_of_message,
)
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

Emit = Callable[[StreamEvent], None]


class View(Protocol):
    """The facts of a stream that the emitter reads."""

    @property
    def choices(self) -> Mapping[int, ChoiceState]: ...
    @property
    def continued(self) -> list[ToolCallState]: ...
    @property
    def usage(self) -> CompletionUsage | None: ...
    @property
    def repairs(self) -> Mapping[str, int]: ...
    @property
    def has_surrogates(self) -> bool: ...


class _EmittedCall:
    """The part of one call that was emitted."""

    __slots__ = ("call", "is_ready", "known")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.known = id_and_name(call)
        self.is_ready = False


class _EmittedChoice:
    """The part of one choice that was emitted."""

    __slots__ = ("calls", "finish_reason", "grown", "index", "message", "message_text", "reasoning_field")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls: dict[int, _EmittedCall] = {}
        self.grown: dict[int, None] = {}  # the calls that grew since the last `finish_reason`
        self.finish_reason: str | None = None
        self.reasoning_field: str | None = None
        self.message: ChatCompletionMessage | None = None
        self.message_text = EMPTY


class Emitter:
    """Emits the events of one stream that is about to be read. `early`: a call is ready once its arguments are
    whole."""

    def __init__(self, view: View, emit: Emit, *, early: bool) -> None:
        self._view = view
        self._early = early
        self._put = emit
        self._choices: dict[int, _EmittedChoice] = {}
        self._usage: CompletionUsage | None = None
        self._repairs: dict[str, int] = {}
        self._halves: dict[tuple[int, Any], str] = {}  # of surrogate pairs, at the end of a text so far

    def end(self, *, is_complete: bool) -> None:
        """The stream has ended."""
        self._emit_repairs()
        for (index, place), half in self._halves.items():
            choice = self._choices[index]
            if isinstance(place, int):
                self._emit(ToolCallDelta(half, place, *choice.calls[place].known, index))
            else:
                self._emit(place(half, index))
        if is_complete:
            for choice in self._choices.values():
                for place in choice.calls:
                    self._emit_ready(choice, place)

    def chunk_merged(self, chunk: ChatCompletionChunk) -> None:
        """Emit what a chunk has changed."""
        self._emit_repairs()
        view = self._view
        continued = iter(view.continued)
        has_usage = chunk.usage is not None or chunk.x_groq is not None
        has_failed: bool | None = None
        for index, new in numbered(chunk.choices):
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _EmittedChoice(index)
            state = view.choices[index]
            if state.message is not choice.message:
                self._take_message(choice, state.message)
            if new.delta is not None and state.has_spoken:
                self._take_delta(choice, state, new.delta, continued)
            if new.finish_reason:
                # OpenRouter sends an error with `finish_reason: "error"`: the calls of this chunk were cut, and are not
                # ready.
                if has_failed is None:
                    has_failed = bool(errors_in(chunk))
                if not has_failed:
                    self._finish_calls(choice)
                if new.finish_reason != choice.finish_reason:
                    choice.finish_reason = new.finish_reason
                    self._emit(ChoiceFinished(new.finish_reason, index))
            has_usage = has_usage or new.usage is not None
        view.continued.clear()
        if has_usage:
            self.usage_reported()

    def text_appended(self, choice: int, field: str, call: ToolCallState | None, fragment: str) -> None:
        """Emit a fragment that the fast path merged."""
        emitted = self._choices[choice]
        if call is not None:
            self._continue(emitted, call.place, call, fragment)
        elif field == "content":
            self._emit_text(emitted, TextDelta, fragment)
        elif field == "refusal":
            self._emit_text(emitted, RefusalDelta, fragment)
        else:
            self._emit_reasoning(emitted, field, fragment)

    def usage_reported(self) -> None:
        """Emit the usage, if it is new."""
        usage = self._view.usage
        if usage is not None and usage != self._usage:
            self._usage = usage
            # A second copy: the receiver may change the event's usage, and this one is compared with the next report.
            self._emit(UsageReported(self._view.usage or usage))

    def _emit(self, event: StreamEvent) -> None:
        self._put(join_surrogates(event) if self._view.has_surrogates else event)

    def _emit_repairs(self) -> None:
        repairs = self._view.repairs
        if repairs == self._repairs:
            return
        for kind, count in repairs.items():
            if count != self._repairs.get(kind):
                self._emit(StreamRepaired(kind, count))
        self._repairs = dict(repairs)

    def _take_delta(
        self,
        choice: _EmittedChoice,
        state: ChoiceState,
        delta: ChatCompletionChunkDelta,
        continued: Iterator[ToolCallState],
    ) -> None:
        content = delta.content
        if delta.reasoning_content:
            self._emit_reasoning(choice, "reasoning_content", delta.reasoning_content)
        if delta.reasoning:
            self._emit_reasoning(choice, "reasoning", delta.reasoning)
        if type(content) is list:
            self._emit_reasoning(choice, "content", thinking_of(content))
        if content and (text := text_of(content)):
            self._emit_text(choice, TextDelta, text)
        if delta.refusal:
            self._emit_text(choice, RefusalDelta, delta.refusal)
        for fragment in delta.tool_calls or ():
            call = next(continued)
            self._continue(choice, call.place, call, arguments_in(fragment))
        if delta.function_call is not None and state.function_call is not None:
            self._continue(choice, LEGACY, state.function_call, delta.function_call.arguments or "")

    def _emit_reasoning(self, choice: _EmittedChoice, field: str, text: str) -> None:
        # vLLM and StepFun send the same reasoning in two fields: the first field that brings some counts.
        if text and choice.reasoning_field in (None, field):
            choice.reasoning_field = field
            self._emit_text(choice, ReasoningDelta, text)

    def _emit_text(
        self, choice: _EmittedChoice, kind: type[TextDelta | ReasoningDelta | RefusalDelta], text: str
    ) -> None:
        if self._view.has_surrogates:
            text = self._joined(choice, kind, text)
        if text:
            self._emit(kind(text, choice.index))

    def _joined(self, choice: _EmittedChoice, place: Any, text: str) -> str:
        """The text to emit now. Half of a surrogate pair at its end waits for the other half."""
        text = self._halves.pop((choice.index, place), "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[choice.index, place] = text[-1]
            return text[:-1]
        return text

    def _continue(self, choice: _EmittedChoice, place: int, call: Call, arguments: str) -> None:
        """Emit more of a call, or its beginning."""
        emitted = choice.calls.get(place)
        known = id_and_name(call)
        if self._view.has_surrogates:
            arguments = self._joined(choice, place, arguments)
        if emitted is None:
            emitted = choice.calls[place] = _EmittedCall(call)
            self._emit(ToolCallStarted(place, *known, choice.index))
        if arguments or known != emitted.known:
            self._emit(ToolCallDelta(arguments, place, *known, choice.index))
        emitted.known = known
        emitted.call = call
        choice.grown[place] = None
        if self._early and is_whole(call):
            self._emit_ready(choice, place)

    def _finish_calls(self, choice: _EmittedChoice) -> None:
        """The choice has a `finish_reason`: calls with whole arguments grow no more."""
        for place in choice.grown:
            if is_whole(choice.calls[place].call):
                self._emit_ready(choice, place)
        choice.grown.clear()

    def _emit_ready(self, choice: _EmittedChoice, place: int) -> None:
        emitted = choice.calls[place]
        if not emitted.is_ready:
            emitted.is_ready = True
            self._emit(ToolCallReady(finished_call(emitted.call), place, choice.index))

    def _take_message(self, choice: _EmittedChoice, message: ChatCompletionMessage | None) -> None:
        """Emit a message that came, or that deltas replaced: what it adds to the one before, or all of it."""
        choice.message = message
        if message is not None and self._view.has_surrogates:
            message = join_surrogates(message)
        before, after = choice.message_text, text_of_message(message) if message is not None else EMPTY
        choice.message_text = after
        if not continues(before, after):
            self._emit(MessageReplaced(choice.index))
            choice.calls.clear()
            choice.grown.clear()
            before = EMPTY
        self._emit_text(choice, ReasoningDelta, after.reasoning[len(before.reasoning) :])
        self._emit_text(choice, TextDelta, after.text[len(before.text) :])
        self._emit_text(choice, RefusalDelta, after.refusal[len(before.refusal) :])
        for place, call in after.calls.items():
            self._continue(choice, place, call, arguments_of(call)[len(arguments_of(before.calls.get(place))) :])
