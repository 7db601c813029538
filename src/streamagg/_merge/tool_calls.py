"""Tool calls from fragments: which call a fragment continues, and what it adds.

Servers disagree on `index` and `id` (absent, null, reused, repeated, the word `null`). The first rule that applies
finds the call; the newest call is the one created last:

1. The fragment has an `id`: the call with that id, unless both have an index, the two differ, and the fragment brings a
   name. Else the newest call at its index that has no id yet. Else a new call.
2. The fragment has only an `index`: the newest call at that index, else a new call.
3. The fragment has neither: the newest call, else a new call.
4. Under rules 2 and 3 a fragment with a name begins a new call if the call found is over: it has another name and its
   arguments have begun, or its arguments are a whole JSON object and the fragment brings more.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from .._codec.lenient import Note
from .._types.chunk import (
    ChatCompletionChunkToolCall,
    ChatCompletionChunkToolCallCustom,
    ChatCompletionChunkToolCallFunction,
)
from .._types.message import ToolCall, ToolCallCustom
from .function import FunctionState, extra_of, function_of
from .values import current, merge_object

_Part = ChatCompletionChunkToolCallFunction | ChatCompletionChunkToolCallCustom


_SIZE_OF_A_CALL = 10
"""The size of an empty call: the length of `{"id":"a"}`, the shortest JSON that begins one."""


class ToolCallState:
    """One tool call that is being put together."""

    __slots__ = ("custom", "extra", "function", "id", "index", "place", "type")

    def __init__(self, index: int | float | None, place: int) -> None:
        self.index: int | float | None = index
        self.place: int = place
        self.id: str | None = None
        self.type: str | None = None
        self.function: FunctionState | None = None
        self.custom: FunctionState | None = None
        self.extra: dict[str, Any] = {}

    def trial(self) -> ToolCallState:
        other = ToolCallState(self.index, self.place)
        other.id, other.type = self.id, self.type
        other.function = self.function and self.function.trial()
        other.custom = self.custom and self.custom.trial()
        return other

    def is_over(self, name: str, brings_text: bool) -> bool:
        """Whether a fragment with this name must belong to another call."""
        callee = self.function or self.custom
        if callee is None or not callee.has_begun():
            return False
        return (callee.has_name() and not callee.is_named(name)) or (brings_text and callee.is_whole())

    def value(self) -> ToolCall:
        known: dict[str, Any] = {"type": self.type or ("custom" if self.custom else "function")}
        if self.id is not None:
            known["id"] = self.id
        if self.function is not None:
            known["function"] = function_of(self.function)
        if self.custom is not None:
            custom = self.custom
            known["custom"] = ToolCallCustom(name=custom.name, input=custom.text_so_far(), **extra_of(custom.extra))
        extra = current(self.extra)
        if "extra_content" in extra:
            known["extra_content"] = extra.pop("extra_content")
        return ToolCall(**known, **extra_of(extra))


class ToolCalls:
    """The tool calls of one choice."""

    __slots__ = ("_by_id", "_by_index", "_continued", "_idless", "calls", "count")

    def __init__(self, continued: list[ToolCallState] | None = None) -> None:
        self.calls: list[ToolCallState] = []
        self._continued = continued
        self.count = 0
        """The number of calls. In a trial, `calls` holds only those that may matter."""
        self._by_id: dict[tuple[str, int | float | None] | str, ToolCallState] = {}
        self._by_index: dict[int | float, ToolCallState] = {}
        self._idless: dict[int | float, list[ToolCallState]] = {}

    def trial(self, fragments: list[ChatCompletionChunkToolCall]) -> ToolCalls:
        """Copies to try fragments on, which changes nothing. The cost is that of the fragments, not of all calls."""
        near = set(self.calls[-1:])
        for index, times in Counter(fragment.index for fragment in fragments).items():
            if index is not None:
                near.update(islice(reversed(self._idless.get(index, [])), times))
        for fragment in fragments:
            index, name = fragment.index, fragment.id or ""
            found = [self._by_id.get(name), self._by_id.get((name, index)), self._by_id.get((name, None))]
            found += [self._by_index.get(index)] if index is not None else []
            near.update(call for call in found if call is not None)
        other = ToolCalls()
        for call in sorted(near, key=lambda call: call.place):
            copy = call.trial()
            other.calls.append(copy)
            other._register(copy)
        other.count = self.count
        return other

    def add(self, fragment: ChatCompletionChunkToolCall, note: Note) -> int:
        """Take one fragment; returns the size by which the calls grew."""
        call_id = _id_of(fragment, note)
        call = self._find(fragment, call_id, note)
        grown = 0
        if call is None:
            call = ToolCallState(fragment.index, self.count)
            call.id = call_id
            grown = _SIZE_OF_A_CALL + len(call_id or "")
            self.calls.append(call)
            self.count += 1
            self._register(call)
        elif call_id is not None and call.id == call_id:
            note("tool_id_repeated")
            # The index came later than the id.
            if call.index is None and fragment.index is not None:
                del self._by_id[call_id, None]
                call.index = fragment.index
                self._register(call)
        elif call_id is not None:
            call.id = call_id
            grown = len(call_id)
            self._register(call)
        if self._continued is not None:
            self._continued.append(call)
        return grown + _fill(call, fragment, note)

    def newest_at(self, index: int) -> ToolCallState | None:
        """The newest call at an index: a fragment with this index and no id continues it."""
        return self._by_index.get(index)

    def value(self) -> list[ToolCall]:
        """The calls in order of index; one without an index has its place of appearance instead."""
        ordered = sorted(self.calls, key=lambda call: (call.place if call.index is None else call.index, call.place))
        return [call.value() for call in ordered]

    def _find(self, fragment: ChatCompletionChunkToolCall, call_id: str | None, note: Note) -> ToolCallState | None:
        """The call that the fragment continues; None where it begins a call."""
        index = fragment.index
        callee: _Part | None = fragment.function or fragment.custom
        name = callee.name if callee is not None else None
        if call_id is not None:
            call = self._by_id.get((call_id, index)) or self._by_id.get(call_id)
            # One id at two indices, with a name each, is two calls.
            if call is not None and call.index not in (index, None) and index is not None and name:
                call = self._by_id.get((call_id, None))
            if call is not None or index is None:
                return call
            # A call may get its id on a later fragment than its name.
            idless = self._idless.get(index, [])
            while idless and idless[-1].id is not None:
                idless.pop()
            if idless:
                return idless[-1]
            if index in self._by_index:
                note("tool_index_reused")
            return None
        call = self._by_index.get(index) if index is not None else self.calls[-1] if self.calls else None
        if call is not None and name and call.is_over(name, brings_text=_text_of(callee) not in (None, "")):
            note("tool_call_split")
            return None
        return call

    def _register(self, call: ToolCallState) -> None:
        """Make a call known under its index and id, once it has them; the newest one counts."""
        if call.id is not None:
            self._by_id[call.id, call.index] = call
            newest = self._by_id.get(call.id, call)
            self._by_id[call.id] = call if call.place >= newest.place else newest
        if call.index is not None:
            newest = self._by_index.get(call.index, call)
            self._by_index[call.index] = call if call.place >= newest.place else newest
            if call.id is None:
                self._idless.setdefault(call.index, []).append(call)


def _id_of(fragment: ChatCompletionChunkToolCall, note: Note) -> str | None:
    if fragment.index is None:
        note("tool_index_missing")
    if fragment.id == "null":  # Mistral sends the word on continuations
        note("tool_id_null")
        return None
    return fragment.id or None


def _text_of(callee: _Part | None) -> str | None:
    if isinstance(callee, ChatCompletionChunkToolCallCustom):
        return callee.input
    return callee.arguments if callee is not None else None


def _fill(call: ToolCallState, fragment: ChatCompletionChunkToolCall, note: Note) -> int:
    """Merge what the fragment says into its call."""
    grown = 0
    if fragment.type:
        grown += len(fragment.type) - len(call.type or "")
        call.type = fragment.type
    if (function := fragment.function) is not None:
        if call.function is None:
            call.function = FunctionState()
        grown += call.function.add(function.name, function.arguments, function.extra, note)
    if (custom := fragment.custom) is not None:
        if call.custom is None:
            call.custom = FunctionState()
        grown += call.custom.add(custom.name, custom.input, custom.extra, note)
    if fragment.extra_content is not None:
        grown += merge_object(call.extra, {"extra_content": fragment.extra_content})
    if fragment.extra:
        grown += merge_object(call.extra, fragment.extra)
    return grown
