"""Merging chunks into one response: choices by index, usage by its rules, the rest by the merge table.

Nothing here can fail half-way. `Merger.add` first looks whether the chunk would pass a limit (or,
when strict, needs a repair) and raises then, with nothing changed; after that every rule succeeds.
`null` never erases what is there, and what never came stays None.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Any

from .._codec.lenient import Note, ignore, to_struct
from .._errors import LimitError
from .._limits import Limits
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkChoice, ChatCompletionChunkToolCall
from .._types.completion import ChatCompletionResponse
from .._types.usage import CompletionUsage
from .choice import ChoiceState
from .indexed_list import Items
from .rules import OF_CHUNK, Fields, other, split
from .tool_calls import Callee, Slot, Slots
from .usage import UsageMerge, UsageMode


class Merger:
    """Takes chunks in order; `response()` is what they merge to so far, None before the first."""

    __slots__ = (
        "_last", "_limits", "_note", "_strict", "began", "choices", "fields", "size", "touched", "usage",
    )  # fmt: skip

    def __init__(self, usage: UsageMode, limits: Limits, note: Note, *, strict: bool) -> None:
        self.choices: dict[int, ChoiceState] = {}
        self.size = 0
        self.began = False
        """Whether there was a chunk."""
        self.fields: Fields = {}
        self.usage = UsageMerge(usage)
        self.touched: list[Slot] | None = None
        """The tool calls that fragments went to, in their order, where somebody listens and clears it."""
        self._limits = limits
        self._note = note
        self._strict = strict
        self._last: tuple[Any, ...] = ()  # what the last chunk to be merged so said of itself, without a repair

    def add(self, chunk: ChatCompletionChunk, weight: int) -> bool:
        """Merge one chunk; `weight` is what it may add to the size at most: the length of its JSON.

        Where it passes a limit, or needs a repair when strict, nothing changes. Returns whether the
        chunk was of the kind that nearly all are, whose choice brings text, calls, logprobs and a
        finish reason alone, and so no error.
        """
        if self.size + weight > self._limits.response_size:
            raise LimitError("response_size", self._limits.response_size)
        choices = chunk.choices
        if choices and len(choices) == 1 and chunk.x_groq is None and not self._strict:
            choice = choices[0]
            state = self.choices.get(choice.index) if choice.index is not None else None
            if state is not None and (grown := state.add_plain(choice)) is not None:
                self.size += grown if choice.logprobs is None else weight
                if not self._is_known(chunk):
                    self._add_fields(chunk)
                elif chunk.extra:
                    for name, value in chunk.extra.items():
                        self.size += other(self.fields, name, value)
                if chunk.usage is not None:
                    self.size += self.usage.add(chunk.usage, alone=False)
                return True
        self._add_any(chunk, weight)
        return False

    def _is_known(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a chunk says of itself just what the last one said, but for usage and unknown fields."""
        return (
            (chunk.id, chunk.model, chunk.created, chunk.system_fingerprint, chunk.service_tier) == self._last
            and chunk.provider is None
            and chunk.signature is None
            and chunk.response_hash is None
            and chunk.p is None
            and chunk.citations is None
            and chunk.search_results is None
            and chunk.prompt_filter_results is None
            and chunk.timings is None
            and chunk.prompt_token_ids is None
            and chunk.model_id is None
            and chunk.model_version is None
            and chunk.created_at is None
            and chunk.error is None
        )

    def _add_fields(self, chunk: ChatCompletionChunk) -> None:
        """Merge what a chunk says beside its choices and usage."""
        for name in _SHARED:
            if value := getattr(chunk, name):
                setattr(chunk, name, intern(value))
        if chunk.id and self.fields.get("id", chunk.id) not in ("", chunk.id):
            self._note("id_changed")
        else:
            self._last = (chunk.id, chunk.model, chunk.created, chunk.system_fingerprint, chunk.service_tier)
        self.size += OF_CHUNK.merge(self.fields, chunk)

    def _add_any(self, chunk: ChatCompletionChunk, weight: int) -> None:
        self._check(chunk)
        if self._strict:
            self._rehearse(chunk)
        self.began = True
        self._add_fields(chunk)
        if chunk.choices is None:
            self._note("choices_missing")
        for index, choice in numbered(chunk.choices):
            _note_choice(choice, self._note)
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState(self.touched)
                self.size += 1
            grown = state.add(choice, self._note)
            self.size += grown if choice.logprobs is None else weight
        for report in usage_reports(chunk):
            self.size += self.usage.add(report, alone=not chunk.choices)

    def response(self, *, final: bool = False) -> ChatCompletionResponse | None:
        """The response so far, which shares nothing with what follows; `final`: nothing follows."""
        if not self.began:
            return None
        return ChatCompletionResponse(
            choices=[self.choices[index].value(index, final=final) for index in sorted(self.choices)],
            usage=self.usage.value(),
            **split(self.fields, ChatCompletionResponse),
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
        opened = {index for index, _ in numbered(chunk.choices) if index not in self.choices}
        if opened and len(self.choices) + len(opened) > limits.choices:
            raise LimitError("choices", limits.choices)
        for index, fragments in _calls_in(chunk).items():
            slots = self._calls_of(index)
            if slots.count + len(fragments) > limits.tool_calls:
                trial = slots.trial(fragments)
                for fragment in fragments:
                    trial.add(fragment, ignore)
                if trial.count > limits.tool_calls:
                    raise LimitError("tool_calls", limits.tool_calls)
        for (index, name), new in _items_in(chunk).items():
            state = self.choices.get(index)
            items = state.delta.get(name) if state is not None else None
            if (items if isinstance(items, Items) else Items()).passes(new, limits.tool_calls):
                raise LimitError("tool_calls", limits.tool_calls)

    def _rehearse(self, chunk: ChatCompletionChunk) -> None:
        """Note every repair that the chunk needs, on copies: when strict, the first one raises. An id that changed
        is noted before anything else changes in any case."""
        note = self._note
        if chunk.choices is None:
            note("choices_missing")
        names: dict[int, Callee] = {}
        for index, choice in numbered(chunk.choices):
            _note_choice(choice, note)
            if choice.delta is not None and (call := choice.delta.function_call) is not None:
                state = self.choices.get(index)
                if index not in names:
                    held = state.function_call if state is not None else None
                    names[index] = held.trial() if held is not None else Callee()
                names[index].add(call.name, None, {}, note)
        for index, fragments in _calls_in(chunk).items():
            trial = self._calls_of(index).trial(fragments)
            for fragment in fragments:
                trial.add(fragment, note)

    def _calls_of(self, index: int) -> Slots:
        state = self.choices.get(index)
        return state.calls if state is not None and state.calls is not None else Slots()


def numbered(choices: list[ChatCompletionChunkChoice] | None) -> Iterator[tuple[int, ChatCompletionChunkChoice]]:
    """Each choice with its index; one without has its position in the list."""
    for place, choice in enumerate(choices or ()):
        yield place if choice.index is None else choice.index, choice


def _calls_in(chunk: ChatCompletionChunk) -> dict[int, list[ChatCompletionChunkToolCall]]:
    """The fragments of tool calls in a chunk, for each choice: several entries may be of one."""
    calls: dict[int, list[ChatCompletionChunkToolCall]] = {}
    for index, choice in numbered(chunk.choices):
        if choice.delta is not None and choice.delta.tool_calls:
            calls.setdefault(index, []).extend(choice.delta.tool_calls)
    return calls


def _items_in(chunk: ChatCompletionChunk) -> dict[tuple[int, str], list[Any]]:
    """As `_calls_in`, the items of other lists."""
    items: dict[tuple[int, str], list[Any]] = {}
    for index, choice in numbered(chunk.choices):
        if (delta := choice.delta) is not None:
            listed = (("reasoning_details", delta.reasoning_details), ("images", delta.images), *delta.extra.items())
            for name, value in listed:
                if value and isinstance(value, list):
                    items.setdefault((index, name), []).extend(value)
    return items


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
        yield to_struct(CompletionUsage, report, ignore)


_SHARED = ("model", "service_tier", "system_fingerprint")
"""What thousands of open streams have in common: each such text is held once."""
_NO_USAGE = CompletionUsage()  # `usage: {}` is none
