"""The checks before a chunk is merged: limits on its lists, and, when strict, its repairs. They change nothing.

Both try the chunk on copies of the calls and items that it may continue, at a cost that does not grow with the
response.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from .._codec.lenient import Note, ignore
from .._errors import LimitError
from .._types.chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionChunkToolCall,
)
from .choice import ChoiceState
from .function import FunctionState
from .indexed_list import IndexedList
from .rules import BY_INDEX
from .tool_calls import ToolCalls

Choices = Mapping[int, ChoiceState]


def check_entries(choices: Choices, chunk: ChatCompletionChunk, limit: int) -> None:
    """Raise `LimitError` if one choice would pass the limit on calls, or one index of a list the limit on items."""
    for index, fragments in _calls_in(chunk).items():
        calls = _calls_of(choices, index)
        if calls.count + len(fragments) > limit:
            trial = calls.trial(fragments)
            for fragment in fragments:
                trial.add(fragment, ignore)
            if trial.count > limit:
                raise LimitError("tool_calls", limit)
    for (index, name), new in _items_in(chunk).items():
        state = choices.get(index)
        items = state.delta.get(name) if state is not None else None
        if (items if isinstance(items, IndexedList) else IndexedList()).would_exceed(new, limit):
            raise LimitError("tool_calls", limit)


def rehearse(choices: Choices, chunk: ChatCompletionChunk, note: Note) -> None:
    """Try a chunk on copies, when strict: the first repair that it needs raises, before anything changes.

    A changed id needs no rehearsal: it is noted before anything else changes.
    """
    if chunk.choices is None:
        note("choices_missing")
    names: dict[int, FunctionState] = {}
    for index, choice in numbered(chunk.choices):
        note_choice(choice, note)
        if choice.delta is not None and (call := choice.delta.function_call) is not None:
            state = choices.get(index)
            if index not in names:
                held = state.function_call if state is not None else None
                names[index] = held.trial() if held is not None else FunctionState()
            names[index].add(call.name, None, {}, note)
    for index, fragments in _calls_in(chunk).items():
        trial = _calls_of(choices, index).trial(fragments)
        for fragment in fragments:
            trial.add(fragment, note)


def numbered(choices: list[ChatCompletionChunkChoice] | None) -> list[tuple[int, ChatCompletionChunkChoice]]:
    """Each choice with its index. The index of a choice without one is its position in the list."""
    if not choices:
        return []
    return [(place if choice.index is None else choice.index, choice) for place, choice in enumerate(choices)]


def note_choice(choice: ChatCompletionChunkChoice, note: Note) -> None:
    if choice.index is None:
        note("choice_index_missing")
    if choice.delta is None and choice.message is None:
        note("delta_missing")


_LISTS = attrgetter("tool_calls", *BY_INDEX)


def entries_in(delta: ChatCompletionChunkDelta) -> int:
    """The fragments and items in the lists of a delta."""
    entries = 0
    for items in _LISTS(delta):
        if items:
            entries += len(items)
    for value in delta.extra.values():
        if isinstance(value, list):
            entries += len(value)
    return entries


def _lists_in(delta: ChatCompletionChunkDelta) -> list[tuple[str, list[Any]]]:
    """The lists of a delta whose items merge by index, with their names."""
    lists = [(name, items) for name in BY_INDEX if (items := getattr(delta, name))]
    if delta.extra:
        lists += [(name, value) for name, value in delta.extra.items() if isinstance(value, list)]
    return lists


def _calls_of(choices: Choices, index: int) -> ToolCalls:
    state = choices.get(index)
    return state.calls if state is not None and state.calls is not None else ToolCalls()


def _calls_in(chunk: ChatCompletionChunk) -> dict[int, list[ChatCompletionChunkToolCall]]:
    """The fragments of tool calls for each choice. Several entries of a chunk may be of one choice."""
    calls: dict[int, list[ChatCompletionChunkToolCall]] = {}
    for index, choice in numbered(chunk.choices):
        if choice.delta is not None and choice.delta.tool_calls:
            calls.setdefault(index, []).extend(choice.delta.tool_calls)
    return calls


def _items_in(chunk: ChatCompletionChunk) -> dict[tuple[int, str], list[Any]]:
    """The items of the other lists, for each choice and list."""
    items: dict[tuple[int, str], list[Any]] = {}
    for index, choice in numbered(chunk.choices):
        if choice.delta is not None:
            for name, value in _lists_in(choice.delta):
                items.setdefault((index, name), []).extend(value)
    return items
