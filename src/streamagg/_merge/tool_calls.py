"""Tool calls from fragments: which call does a fragment continue, and what does it add?

Servers disagree on `index` and `id` (absent, null, reused, the word `null`, repeated), so a
fragment finds its slot in this order; newest means created last:

1. it has an `id`: the slot with that id, unless both have an index, these differ, and the fragment
   brings a name; else the newest slot at its index that has no id yet; else a new slot;
2. it has only an `index`: the newest slot of that index; else a new slot;
3. it has neither: the newest slot; else a new slot.

In 2 and 3 a fragment with a name begins another call where the slot's own is over: it has another
name and its arguments have begun, or its arguments are a whole JSON object and more would come.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import Any

import msgspec

from .._codec.lenient import Note
from .._codec.struct import Extra
from .._types.chunk import (
    ChatCompletionChunkToolCall,
    ChatCompletionChunkToolCallCustom,
    ChatCompletionChunkToolCallFunction,
)
from .._types.message import ToolCall, ToolCallCustom, ToolCallFunction
from .text import Text
from .values import merge_object, settled

_Part = ChatCompletionChunkToolCallFunction | ChatCompletionChunkToolCallCustom


class Callee:
    """A call's `function` or `custom`: a name, a text that grows, and what else the server sends."""

    __slots__ = (
        "_closed", "_depth", "_in_string", "_name", "_name_size", "_origin", "_origin_scanned", "_scanned",
        "extra", "text",
    )  # fmt: skip

    def __init__(self) -> None:
        self._name: Text | None = None
        self._name_size = 0
        self.text: Text | None = None
        self.extra: dict[str, Any] = {}
        self._scanned = self._depth = 0
        self._in_string = False
        self._closed: int | None = None
        self._origin: Callee | None = None  # what this one is a trial of, whose text comes before its own
        self._origin_scanned: int | None = None

    @property
    def name(self) -> str | None:
        own = self._name.value() if self._name is not None else None
        before = self._origin.name if self._origin is not None else None
        return (before or "") + (own or "") if before is not None else own

    def has_name(self) -> bool:
        return self._name_size > 0

    def is_named(self, name: str) -> bool:
        """Whether this is the whole name so far; joins its pieces only where the length is the same."""
        return len(name) == self._name_size and name == self.name

    def add(self, name: str | None, text: str | None, extra: dict[str, Any], note: Note) -> int:
        """Take a fragment; returns the size by which the call grew. A repeated equal name is kept once."""
        grown = 0
        if name is not None and self._name is None:
            self._name = Text()
        if name and self._name is not None:
            if not self.is_named(name):
                self._name.add(name)
                self._name_size += len(name)
                grown += len(name)
            else:
                note("tool_name_repeated")
        if text is not None:
            if self.text is None:
                self.text = Text()
            self.text.add(text)
            grown += len(text)
        return grown + merge_object(self.extra, extra) if extra else grown

    def written(self) -> str | None:
        """The text so far; None where none came."""
        return self.text.value() if self.text is not None else None

    def begun(self) -> bool:
        """Whether any text came."""
        return bool(self.written()) or (self._origin is not None and self._origin.begun())

    def whole(self) -> bool:
        """Whether the text is one whole JSON object; linear over all calls, as each reads on.

        The first place where the brackets close decides: text that is JSON at all ends there.
        """
        before = self._read_origin() if self._origin is not None else ""
        text = self.written() or ""
        if self._closed is None:
            self._scan(text)
            if self._closed is not None and not _is_object(before[: self._origin_scanned] + text[: self._closed]):
                self._closed = _NEVER
        if self._closed is None or self._closed == _NEVER:
            return False
        self._closed = _NEVER if text[self._closed :].strip(" \t\r\n") else len(text)
        return self._closed != _NEVER

    def _read_origin(self) -> str:
        """The text that a trial continues; the first time, its own reading begins where that one's ended."""
        origin = self._origin
        assert origin is not None
        text = origin.written() or ""
        if self._origin_scanned is None:
            origin.whole()
            self._origin_scanned = origin._scanned
            self._depth, self._in_string = origin._depth, origin._in_string
            if origin._closed is not None:
                self._closed = min(origin._closed, 0)
            elif rest := text[origin._scanned :]:
                own, self.text = self.written() or "", Text()
                self.text.add(rest + own)
        return text

    def _scan(self, text: str) -> None:
        end = len(text)
        while end > self._scanned and text[end - 1] == "\\":
            end -= 1
        end = len(text) - (len(text) - end) % 2  # a last backslash escapes what is still to come
        for token in _TOKENS.finditer(text, self._scanned, end):
            mark = token[0]
            if mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string and len(mark) == 1:
                self._depth += 1 if mark in "{[" else -1
                if self._depth <= 0:
                    self._closed = token.end()
                    return
        self._scanned = end

    def trial(self) -> Callee:
        """One to try fragments on, which stands where this one does and changes nothing of it."""
        other = Callee()
        other._origin = self
        other._name_size = self._name_size
        return other


_NEVER = -1
_OF_A_CALL = 10
"""The size of a call with nothing in it: that of the least JSON that begins one."""
_TOKENS = re.compile(r'["{}\[\]]|\\.', re.DOTALL)


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False


class Slot:
    """One tool call that is being put together."""

    __slots__ = ("custom", "extra", "function", "id", "index", "place", "type")

    def __init__(self, index: int | float | None, place: int) -> None:
        self.index = index
        self.place = place
        self.id: str | None = None
        self.type: str | None = None
        self.function: Callee | None = None
        self.custom: Callee | None = None
        self.extra: dict[str, Any] = {}

    def trial(self) -> Slot:
        other = Slot(self.index, self.place)
        other.id, other.type = self.id, self.type
        other.function = self.function and self.function.trial()
        other.custom = self.custom and self.custom.trial()
        return other

    def is_over(self, name: str, brings_text: bool) -> bool:
        """Whether a fragment with this name must belong to another call."""
        callee = self.function or self.custom
        if callee is None or not callee.begun():
            return False
        return (callee.has_name() and not callee.is_named(name)) or (brings_text and callee.whole())

    def value(self) -> ToolCall:
        known: dict[str, Any] = {"type": self.type or ("custom" if self.custom else "function")}
        if self.id is not None:
            known["id"] = self.id
        if self.function is not None:
            known["function"] = function_of(self.function)
        if self.custom is not None:
            custom = self.custom
            known["custom"] = ToolCallCustom(name=custom.name, input=custom.written(), **_extra(custom.extra))
        extra = settled(self.extra)
        if "extra_content" in extra:
            known["extra_content"] = extra.pop("extra_content")
        return ToolCall(**known, **_extra(extra))


def function_of(callee: Callee) -> ToolCallFunction:
    return ToolCallFunction(name=callee.name, arguments=callee.written(), **_extra(callee.extra))


def _extra(fields: dict[str, Any]) -> dict[str, Any]:
    return {"extra": Extra(settled(fields))} if fields else {}


class Slots:
    """The tool calls of one choice."""

    __slots__ = ("_by_id", "_by_index", "_idless", "_touched", "count", "slots")

    def __init__(self, touched: list[Slot] | None = None) -> None:
        self.slots: list[Slot] = []
        self._touched = touched
        self.count = 0
        """How many there are: of a trial `slots` are only those that may matter."""
        self._by_id: dict[tuple[str, int | float | None] | str, Slot] = {}
        self._by_index: dict[int | float, Slot] = {}
        self._idless: dict[int | float, list[Slot]] = {}

    def trial(self, fragments: list[ChatCompletionChunkToolCall]) -> Slots:
        """To try some fragments on, changing nothing; costs what they do, however many calls there are."""
        near = set(self.slots[-1:])
        for index, times in Counter(fragment.index for fragment in fragments).items():
            if index is not None:
                near.update(islice(reversed(self._idless.get(index, [])), times))
        for fragment in fragments:
            index, name = fragment.index, fragment.id or ""
            found = [self._by_id.get(name), self._by_id.get((name, index)), self._by_id.get((name, None))]
            found += [self._by_index.get(index)] if index is not None else []
            near.update(slot for slot in found if slot is not None)
        other = Slots()
        for slot in sorted(near, key=lambda slot: slot.place):
            copy = slot.trial()
            other.slots.append(copy)
            other._register(copy)
        other.count = self.count
        return other

    def add(self, fragment: ChatCompletionChunkToolCall, note: Note) -> int:
        """Take one fragment; returns the size by which the calls grew."""
        call_id = _id_of(fragment, note)
        slot = self._find(fragment, call_id, note)
        grown = 0
        if slot is None:
            slot = Slot(fragment.index, self.count)
            slot.id = call_id
            grown = _OF_A_CALL + len(call_id or "")
            self.slots.append(slot)
            self.count += 1
            self._register(slot)
        elif call_id is not None and slot.id == call_id:
            note("tool_id_repeated")
            if slot.index is None and fragment.index is not None:
                del self._by_id[call_id, None]
                slot.index = fragment.index
                self._register(slot)
        elif call_id is not None:
            slot.id = call_id
            grown = len(call_id)
            self._register(slot)
        if self._touched is not None:
            self._touched.append(slot)
        return grown + _fill(slot, fragment, note)

    def add_plain(self, fragments: list[ChatCompletionChunkToolCall]) -> int | None:
        """Take a single fragment that brings but arguments for a call at its index, as nearly all do;
        returns the growth. None, with nothing changed, where there is more to it."""
        fragment = fragments[0]
        function = fragment.function
        if (
            len(fragments) > 1
            or fragment.index is None
            or fragment.id
            or fragment.custom is not None
            or fragment.extra_content is not None
            or fragment.extra
            or function is None
            or function.name is not None
            or function.extra
            or function.arguments is None
        ):
            return None
        slot = self._by_index.get(fragment.index)
        if slot is None or slot.function is None or slot.function.text is None:
            return None
        if fragment.type and fragment.type != slot.type:
            return None
        slot.function.text.add(function.arguments)
        if self._touched is not None:
            self._touched.append(slot)
        return len(function.arguments)

    def text_at(self, index: int) -> Text | None:
        """The arguments of the newest function call at an index, which a fragment for it continues."""
        slot = self._by_index.get(index)
        return slot.function.text if slot is not None and slot.function is not None else None

    def value(self) -> list[ToolCall]:
        """The calls in order of index; one without an index has its place of appearance instead."""
        ordered = sorted(self.slots, key=lambda slot: (slot.place if slot.index is None else slot.index, slot.place))
        return [slot.value() for slot in ordered]

    def _find(self, fragment: ChatCompletionChunkToolCall, call_id: str | None, note: Note) -> Slot | None:
        """The slot that the fragment continues; None where it begins a call."""
        index = fragment.index
        callee: _Part | None = fragment.function or fragment.custom
        name = callee.name if callee is not None else None
        if call_id is not None:
            slot = self._by_id.get((call_id, index)) or self._by_id.get(call_id)
            if slot is not None and slot.index not in (index, None) and index is not None and name:
                slot = self._by_id.get((call_id, None))
            if slot is not None or index is None:
                return slot
            idless = self._idless.get(index, [])
            while idless and idless[-1].id is not None:
                idless.pop()
            if idless:
                return idless[-1]
            if index in self._by_index:
                note("tool_index_reused")
            return None
        slot = self._by_index.get(index) if index is not None else self.slots[-1] if self.slots else None
        if slot is not None and name and slot.is_over(name, brings_text=_text_of(callee) not in (None, "")):
            note("tool_call_split")
            return None
        return slot

    def _register(self, slot: Slot) -> None:
        """Make a slot known under its index and id, once it has them; the newest one counts."""
        if slot.id is not None:
            self._by_id[slot.id, slot.index] = slot
            newest = self._by_id.get(slot.id, slot)
            self._by_id[slot.id] = slot if slot.place >= newest.place else newest
        if slot.index is not None:
            newest = self._by_index.get(slot.index, slot)
            self._by_index[slot.index] = slot if slot.place >= newest.place else newest
            if slot.id is None:
                self._idless.setdefault(slot.index, []).append(slot)


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


def _fill(slot: Slot, fragment: ChatCompletionChunkToolCall, note: Note) -> int:
    """Merge what the fragment says into its slot."""
    grown = 0
    if fragment.type:
        grown += len(fragment.type) - len(slot.type or "")
        slot.type = fragment.type
    if (function := fragment.function) is not None:
        if slot.function is None:
            slot.function = Callee()
        grown += slot.function.add(function.name, function.arguments, function.extra, note)
    if (custom := fragment.custom) is not None:
        if slot.custom is None:
            slot.custom = Callee()
        grown += slot.custom.add(custom.name, custom.input, custom.extra, note)
    if fragment.extra_content is not None:
        grown += merge_object(slot.extra, {"extra_content": fragment.extra_content})
    if fragment.extra:
        grown += merge_object(slot.extra, fragment.extra)
    return grown
