"""Merging chunks into one response: choices by index, usage by its rules, the rest by the merge table.

Nothing here can fail half-way. `Merger.add` first looks whether the chunk would pass a limit (or,
when strict, needs a repair) and raises then, with nothing changed; after that every rule succeeds.
`null` never erases what is there, and what never came stays None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._choice import ChoiceState
from ._chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionChunkToolCall,
)
from ._errors import LimitError
from ._items import Items
from ._lenient import Note, to_struct
from ._limits import Limits
from ._response import ChatCompletionLogProbs, ChatCompletionResponse, CompletionUsage
from ._rules import CHUNK_RULES, DELTA_RULES, Fields, by_index, merge_fields, other, split
from ._slots import Slots
from ._struct import WireStruct
from ._usage import UsageMerge, UsageMode
from ._values import check_depth, weigh


class Merger:
    """Takes chunks in order; `response()` is what they merge to so far, None before the first."""

    def __init__(self, usage: UsageMode, limits: Limits, note: Note, *, strict: bool) -> None:
        self.choices: dict[int, ChoiceState] = {}
        self.size = 0
        self.began = False
        self._fields: Fields = {}
        self._usage = UsageMerge(usage)
        self._limits = limits
        self._note = note
        self._strict = strict
        self._near_limit = limits.response_size - limits.event_bytes  # an event weighs no more than its bytes

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Merge one chunk. Where it passes a limit, or needs a repair when strict, nothing changes."""
        if self.size > self._near_limit or not _is_plain(chunk, self.choices):
            self._check(chunk)
        if self._strict:
            self._rehearse(chunk)
        self.began = True
        if chunk.id and self._fields.get("id", chunk.id) not in ("", chunk.id):
            self._note("id_changed")
        self.size += merge_fields(self._fields, chunk, CHUNK_RULES, other, chunk.extra)
        if chunk.choices is None:
            self._note("choices_missing")
        for index, choice in _numbered(chunk.choices):
            _note_choice(choice, self._note)
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState()
                self.size += 1
            self.size += state.add(choice, self._note)
        for report in usage_reports(chunk):
            self.size += self._usage.add(report, alone=not chunk.choices)

    def response(self) -> ChatCompletionResponse | None:
        """The response so far, which shares nothing with what follows."""
        if not self.began:
            return None
        return ChatCompletionResponse(
            choices=[self.choices[index].value(index) for index in sorted(self.choices)],
            usage=self._usage.value(),
            **split(self._fields, ChatCompletionResponse),
        )

    def finished(self) -> bool:
        """Whether there is a choice and every one has a finish reason."""
        return bool(self.choices) and all(state.fields.get("finish_reason") for state in self.choices.values())

    def missing(self) -> str:
        """What keeps the response from being finished, in words."""
        open_ = [str(index) for index in sorted(self.choices) if not self.choices[index].fields.get("finish_reason")]
        if open_:
            return f"with no finish_reason for choice {', '.join(open_[:5])}{', ...' if len(open_) > 5 else ''}"
        return "with every choice finished" if self.choices else "with no choice"

    # -------------------------------------------------------------- what may refuse a chunk

    def _check(self, chunk: ChatCompletionChunk) -> None:
        """Raise `LimitError` where the chunk would pass a limit."""
        limits = self._limits
        if self.size > self._near_limit and self.size + weigh(chunk) > limits.response_size:
            raise LimitError("response_size", limits.response_size)
        _check_nesting(chunk, limits.depth)
        numbered = list(_numbered(chunk.choices))
        opened = {index for index, _ in numbered if index not in self.choices}
        if len(self.choices) + len(opened) > limits.choices:
            raise LimitError("choices", limits.choices)
        calls: dict[int, list[ChatCompletionChunkToolCall]] = {}
        for index, choice in numbered:
            if (delta := choice.delta) is not None:
                calls.setdefault(index, []).extend(delta.tool_calls or ())
                self._check_items(self.choices.get(index), delta)
        for index, fragments in calls.items():
            slots = self._calls_of(index)
            if len(slots.slots) + len(fragments) > limits.tool_calls:
                slots = slots.copy()
                for fragment in fragments:
                    slots.add(fragment, _ignore)
                    if len(slots.slots) > limits.tool_calls:
                        raise LimitError("tool_calls", limits.tool_calls)

    def _check_items(self, state: ChoiceState | None, delta: ChatCompletionChunkDelta) -> None:
        held = state.delta if state is not None else {}
        for name, value in (*((name, getattr(delta, name)) for name in _ITEM_LISTS), *delta.extra.items()):
            if isinstance(value, list):
                items = held.get(name)
                counts = (items if isinstance(items, Items) else Items()).opens(value)
                if counts and max(counts.values()) > self._limits.tool_calls:
                    raise LimitError("tool_calls", self._limits.tool_calls)

    def _rehearse(self, chunk: ChatCompletionChunk) -> None:
        """Note every repair that the chunk needs, on copies: when strict, the first one raises."""
        note = self._note
        if chunk.id and self._fields.get("id", chunk.id) not in ("", chunk.id):
            note("id_changed")
        if chunk.choices is None:
            note("choices_missing")
        calls: dict[int, Slots] = {}
        for index, choice in _numbered(chunk.choices):
            _note_choice(choice, note)
            delta = choice.delta
            if delta is not None and delta.tool_calls:
                slots = calls.setdefault(index, self._calls_of(index).copy())
                for fragment in delta.tool_calls:
                    slots.add(fragment, note)
            if delta is not None and (call := delta.function_call) is not None:
                state = self.choices.get(index)
                held = state.function_call if state is not None else None
                if held is not None and call.name and call.name == held.name:
                    note("tool_name_repeated")

    def _calls_of(self, index: int) -> Slots:
        state = self.choices.get(index)
        return state.calls if state is not None and state.calls is not None else Slots()


def _numbered(choices: list[ChatCompletionChunkChoice] | None) -> Iterator[tuple[int, ChatCompletionChunkChoice]]:
    """Each choice with its index; one without has its position in the list."""
    for place, choice in enumerate(choices or ()):
        yield place if choice.index is None else choice.index, choice


def _note_choice(choice: ChatCompletionChunkChoice, note: Note) -> None:
    if choice.index is None:
        note("choice_index_missing")
    if choice.delta is None and choice.message is None:
        note("delta_missing")


def usage_reports(chunk: ChatCompletionChunk) -> Iterator[CompletionUsage]:
    """The usage reports of a chunk, in order: of its choices (Moonshot), its own, else Groq's."""
    for choice in chunk.choices or ():
        if choice.usage is not None:
            yield choice.usage
    if chunk.usage is not None and chunk.usage != _NO_USAGE:
        yield chunk.usage
    elif isinstance(chunk.x_groq, dict) and isinstance(report := chunk.x_groq.get("usage"), dict):
        yield to_struct(CompletionUsage, report, _ignore)


_NO_USAGE = CompletionUsage()  # `usage: {}` is none
_UNTYPED_OF_CHUNK = tuple(name for name, rule in CHUNK_RULES if rule is other)
_ITEM_LISTS = tuple(name for name, rule in DELTA_RULES if rule is by_index)


def _is_plain(chunk: ChatCompletionChunk, known: dict[int, ChoiceState]) -> bool:
    """Whether a chunk can pass no limit but the size: known choices, no new calls, nothing untyped."""
    choices = chunk.choices
    if not choices:
        choices = []
    elif len(choices) > 1:
        return False
    for choice in choices:
        delta = choice.delta
        if choice.index not in known or choice.message is not None or choice.extra or choice.usage is not None:
            return False
        if choice.content_filter_results is not None or choice.token_ids is not None:
            return False
        if delta is not None and (
            delta.tool_calls is not None
            or isinstance(delta.content, list)
            or delta.reasoning_details is not None
            or delta.annotations is not None
            or delta.images is not None
            or delta.token_id is not None
            or delta.extra
        ):
            return False
    return not chunk.extra and all(
        getattr(chunk, name) is None or isinstance(getattr(chunk, name), str) for name in _UNTYPED_OF_CHUNK
    )


def _check_nesting(value: Any, limit: int) -> None:
    """Check the depth of every untyped value in a struct. What logprobs hold is typed throughout, and
    where the tolerant reader read them, it looked itself."""
    if isinstance(value, WireStruct):
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if isinstance(item, (WireStruct, list, dict)) and not isinstance(item, ChatCompletionLogProbs):
                _check_nesting(item, limit)
    elif isinstance(value, list) and value and isinstance(value[0], WireStruct):
        for item in value:
            _check_nesting(item, limit)
    else:
        check_depth(value, limit)


def _ignore(kind: str) -> None:
    """What a rehearsal meets is counted when it comes to pass."""
