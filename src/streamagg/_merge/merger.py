"""Merging chunks into one response: choices by index, usage by its rules, every other field by the merge table.

1. A chunk is merged whole or not at all. `Merger.add` first looks whether the chunk passes a limit or, when strict,
   needs a repair, and raises then. After that no rule fails.
2. `null` never erases a value. A field that never arrived stays None.
3. Each chunk adds to `size`, which `Limits.response_size` bounds. It adds the same whichever way it is merged.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from sys import intern
from typing import Any, Protocol

from .._codec.lenient import Note, ignore, to_struct
from .._codec.struct import copied, detach, shallow_copy
from .._errors import LimitError
from .._limits import Limits
from .._types.chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
)
from .._types.completion import ChatCompletionResponse
from .._types.usage import CompletionUsage
from .checks import check_entries, entries_in, note_choice, numbered, rehearse
from .choice import ChoiceState, is_usual
from .rules import (
    LAST_VALUES,
    NO_NUMBERS,
    OF_CHOICE,
    OF_CHUNK,
    OF_DELTA,
    Fields,
    Numbers,
    is_padding,
    other,
    to_arguments,
)
from .text import TextBuffer
from .tool_calls import ToolCallState
from .usage import UsageMerge, UsageMode, has_counters_only

_INTERNED = ("object", "model", "service_tier", "system_fingerprint")
"""Texts that thousands of open streams have in common: each is held once."""


class FragmentObserver(Protocol):
    """Hears of values that are merged without a chunk, each after it is merged."""

    def text_appended(self, choice: int, field: str, call: ToolCallState | None, fragment: str) -> None:
        """A fragment was appended to a text of a choice's deltas, or to the arguments of a call."""

    def usage_reported(self) -> None:
        """A report of usage was merged."""


class Merger:
    """Takes chunks in order. `response()` is the response so far, None before the first chunk."""

    __slots__ = (
        *("_check_depth", "_entries", "_head", "_limits", "_note", "_numbers", "_strict"),
        *("choices", "continued", "fields", "has_begun", "is_shared", "observer", "size", "usage"),
    )

    def __init__(
        self, usage: UsageMode, limits: Limits, note: Note, check_depth: Callable[[bytes], None], *, strict: bool
    ) -> None:
        self.choices: dict[int, ChoiceState] = {}
        self.fields: Fields = {}
        self.usage: UsageMerge = UsageMerge(usage)
        self.size: int = 0
        self.has_begun: bool = False
        """Whether there was a chunk."""
        self.is_shared = False
        """Whether the chunks are handed out: their receiver may change the lists and objects in them."""
        self.observer: FragmentObserver | None = None
        self.continued: list[ToolCallState] | None = None
        """The tool calls that fragments continued, in order, while an observer listens. It clears the list."""
        self._limits = limits
        self._note = note
        self._check_depth = check_depth
        self._strict = strict
        self._entries = 0  # fragments of calls and items of lists that came: no fewer than there are calls and items
        # The last chunk, if it changes nothing when it comes again. For a comparison it gets those values of the new
        # chunk that may differ. If the two are then equal, the new chunk brings nothing else.
        self._head: ChatCompletionChunk | None = None
        self._numbers: Numbers | None = None

    def add(self, chunk: ChatCompletionChunk, payload: bytes, weight: int) -> bool:
        """Merge one chunk. `weight`: the length of its JSON, the most that it may add to the size.

        `payload` is handed to `check_depth` before values that no type knows are merged. Returns False if the chunk
        surely reports no error. Raises `LimitError`, or `Unreadable` when strict; nothing has changed in either case.
        The chunk's usage and logprobs are taken over: the caller must not change them.
        """
        if self.size + weight > self._limits.response_size:
            raise LimitError("response_size", self._limits.response_size)
        choices, head = chunk.choices, self._head
        if head is not None and choices is not None and len(choices) == 1:
            choice = choices[0]
            delta = choice.delta
            state = self.choices.get(choice.index) if choice.index is not None else None
            if state is not None and delta is not None:
                # Two of three chunks bring one text alone.
                if (
                    state.alone is not None
                    and delta.tool_calls is None
                    and state.has_spoken
                    and self._numbers is NO_NUMBERS
                    and self._add_text_alone(chunk, head, delta, state)
                ):
                    return False
                # Nine of ten chunks repeat the one before, apart from the delta.
                if (
                    self._is_like_head(chunk)
                    and (self._numbers is NO_NUMBERS or self._has_numbers_of_head(chunk))
                    and state.repeats(choice)
                ):
                    self._add_delta(chunk, choice, delta, payload, state)
                    return False
        self._add_any(chunk, payload)
        return True

    def _add_text_alone(
        self,
        chunk: ChatCompletionChunk,
        head: ChatCompletionChunk,
        delta: ChatCompletionChunkDelta,
        state: ChoiceState,
    ) -> bool:
        """Merge a chunk that repeats the head and the choice before it, apart from one text. Returns False, with
        nothing changed, if it brings more."""
        name = state.text_name
        text = getattr(delta, name)
        # Structs are compared in C, in less time than a look at each field takes.
        setattr(delta, name, None)
        head.choices, head.obfuscation = state.alone, chunk.obfuscation
        is_equal = chunk == head
        head.choices = None
        setattr(delta, name, text)
        if not is_equal:
            return False
        if text is not None:
            buffer = state.delta.get(name)
            if type(text) is not str or type(buffer) is not TextBuffer:
                return False
            buffer.append(text)
            self.size += len(text)
        return True

    def _add_delta(
        self,
        chunk: ChatCompletionChunk,
        choice: ChatCompletionChunkChoice,
        delta: ChatCompletionChunkDelta,
        payload: bytes,
        state: ChoiceState,
    ) -> None:
        """Merge a chunk that brings no more than a delta for a known choice, its finish reason, logprobs and usage."""
        usual = is_usual(delta)
        if not usual or (chunk.usage is not None and not has_counters_only(chunk.usage)):
            self._check_depth(payload)
        if not usual or delta.tool_calls:
            self._entries += len(delta.tool_calls or ()) if usual else entries_in(delta)
            if self._entries > self._limits.tool_calls:
                check_entries(self.choices, chunk, self._limits.tool_calls)
            if self._strict:
                rehearse(self.choices, chunk, self._note)
        self._note_id(chunk.id)
        grown = state.add_delta(delta, self._note, is_usual=usual)
        if choice.finish_reason is not None or choice.text is not None:
            grown += state.add_changing(choice)
        if chunk.usage is not None:
            grown += self.usage.add(chunk.usage, alone=False)
        if choice.logprobs is not None:
            grown += state.add_logprobs(choice.logprobs)
        self.size += grown

    def _add_any(self, chunk: ChatCompletionChunk, payload: bytes) -> None:
        """Merge any chunk."""
        self._check_depth(payload)
        choices = numbered(chunk.choices)
        self._check(chunk, choices)
        if self._strict:
            rehearse(self.choices, chunk, self._note)
        self.has_begun = True
        self._add_fields(chunk)
        if chunk.choices is None:
            self._note("choices_missing")
        for index, choice in choices:
            note_choice(choice, self._note)
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState(self.continued)
                self.size += 1
            self.size += state.add(choice, self._note, is_shared=self.is_shared)
            if choice.usage is not None:
                self.size += self.usage.add(choice.usage, alone=False)
        if (report := _usage_of(chunk)) is not None:
            self.size += self.usage.add(report, alone=not choices)

    def _add_fields(self, chunk: ChatCompletionChunk) -> None:
        """Merge the chunk's own fields."""
        self._note_id(chunk.id)
        if self._is_like_head(chunk) and self._has_numbers_of_head(chunk):
            return
        for name in _INTERNED:
            if value := getattr(chunk, name):
                setattr(chunk, name, intern(value))
        self.size += OF_CHUNK.merge(self.fields, chunk)
        self._head = None
        # A head that reports usage or an error counts each time that it arrives.
        if chunk.x_groq is None and chunk.error is None:
            self._head = head = shallow_copy(chunk)
            head.choices = head.usage = head.p = None
            head.id = self.fields.get("id")
            self._numbers = NO_NUMBERS
            if _LAST_VALUES(head) != _NO_VALUES or head.extra:
                self._numbers = None
                if self.is_shared:
                    detach(head)

    def _is_like_head(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a chunk equals the head, apart from its choices, usage and padding, and from an id that does not
        count."""
        head, p = self._head, chunk.p
        if head is None:
            return False
        first = head.id
        # The first id that is not empty counts: while none came, an id changes the response.
        if not first and chunk.id != first:
            return False
        head.choices, head.usage, head.obfuscation, head.id = chunk.choices, chunk.usage, chunk.obfuscation, chunk.id
        if p is not None and is_padding(p):
            head.p = p
        is_equal = chunk == head
        # The parts of the chunk are let go: no chunk outlives its merge.
        head.choices = head.usage = head.p = None
        head.id = first
        return is_equal

    def _note_id(self, id_: str | None) -> None:
        """Note a repair if an id differs from the first one, which stays."""
        if id_ and id_ != (first := self.fields.get("id")) and first:
            self._note("id_changed")

    def _has_numbers_of_head(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a chunk that is equal to the head has the same numbers."""
        if self._numbers is None and self._head is not None:
            self._numbers = OF_CHUNK.numbers_in(self._head)
        return self._numbers is not None and self._numbers.are_in(chunk)

    def repeats(self, chunk: ChatCompletionChunk, field: str) -> bool:
        """Whether merging the chunk again needs no repair, and changes no more than the text of this name and the
        usage.

        The chunk has one choice with a delta, and is the last one merged.
        """
        choice = chunk.choices[0] if chunk.choices else ChatCompletionChunkChoice()
        if choice.delta is None or choice.finish_reason:
            return False
        return (
            chunk.id in (None, "", self.fields.get("id"))
            and self._is_like_head(chunk)
            and OF_CHOICE.is_idempotent(choice, but=("delta",))
            and OF_DELTA.is_idempotent(choice.delta, but=("tool_calls" if field == "arguments" else field,))
        )

    def text_target(self, choice: int, field: str, call_index: int | None) -> Callable[[str], None] | None:
        """A function that appends fragments to a text of a choice, or to the arguments of its newest call at an index.

        The caller counts them in `size`. None where there is no such text yet.
        """
        state = self.choices.get(choice)
        if state is None or not state.has_spoken:
            return None
        call = state.calls.newest_at(call_index) if state.calls is not None and call_index is not None else None
        if call_index is None:
            text = state.text_of(field)
        else:
            text = call.function.text if call is not None and call.function is not None else None
        if text is None:
            return None
        observer = self.observer
        if observer is None:
            return text.append

        def append(fragment: str) -> None:
            text.append(fragment)
            observer.text_appended(choice, field, call, fragment)

        return append

    def set_field(self, name: str, value: Any) -> None:
        """Merge a field of a chunk that no type knows, or that the table does not name."""
        self._head = None  # it has the value before
        self.size += other(self.fields, name, value)

    def add_usage(self, report: CompletionUsage) -> None:
        """Merge a report of a chunk with choices."""
        self.size += self.usage.add(report, alone=False)
        if self.observer is not None:
            self.observer.usage_reported()

    def response(self, *, final: bool = False) -> ChatCompletionResponse | None:
        """The response so far, which shares nothing with what follows; `final`: nothing follows."""
        if not self.has_begun:
            return None
        return ChatCompletionResponse(
            choices=[self.choices[index].value(index, final=final) for index in sorted(self.choices)],
            usage=self.usage.value(final=final),
            **to_arguments(self.fields, ChatCompletionResponse),
        )

    def finish_reasons(self) -> list[str | None]:
        """The finish reason of each choice so far."""
        return [state.fields.get("finish_reason") for state in self.choices.values()]

    def missing(self) -> str:
        """The reason why the response is not finished, in words."""
        open_ = [str(index) for index in sorted(self.choices) if not self.choices[index].fields.get("finish_reason")]
        if open_:
            return f"with no finish_reason for choice {', '.join(open_[:5])}{', ...' if len(open_) > 5 else ''}"
        return "with every choice finished" if self.choices else "with no choice"

    def _check(self, chunk: ChatCompletionChunk, choices: list[tuple[int, ChatCompletionChunkChoice]]) -> None:
        """Raise `LimitError` if the chunk passes the limit on choices, calls or items."""
        limits = self._limits
        opened = 0
        for index, choice in choices:
            opened += index not in self.choices
            if choice.delta is not None:
                self._entries += entries_in(choice.delta)
        # Two entries of one new choice count twice: only then is the exact set built.
        if (
            opened + len(self.choices) > limits.choices
            and len(self.choices.keys() | {index for index, _ in choices}) > limits.choices
        ):
            raise LimitError("choices", limits.choices)
        # Fragments of calls and items mostly continue others. The trials that count exactly cost several microseconds.
        if self._entries > limits.tool_calls:
            check_entries(self.choices, chunk, limits.tool_calls)


_LAST_VALUES = attrgetter(*LAST_VALUES)
_NO_VALUES = (None,) * len(LAST_VALUES)


def _usage_of(chunk: ChatCompletionChunk) -> CompletionUsage | None:
    """A chunk's own report of usage, else Groq's."""
    if chunk.usage is not None and chunk.usage != _NO_USAGE:
        return chunk.usage
    if isinstance(chunk.x_groq, dict) and isinstance(report := chunk.x_groq.get("usage"), dict):
        return to_struct(CompletionUsage, copied(report), ignore)
    return None


_NO_USAGE = CompletionUsage()
"""`usage: {}` is no report."""
