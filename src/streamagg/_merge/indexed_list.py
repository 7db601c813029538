"""Lists of the delta whose items have an `index` (`reasoning_details`, `images`, lists that no type knows).

1. An item merges into the newest item of the same `index`, among the last 64 of that index.
2. Two items are different where both have a `type`, or both an `id`, and the two differ.
3. An item without an index is an item of its own.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from .._codec.size import size_of
from .._codec.struct import LARGEST_INDEX
from .text import Growing, TextBuffer
from .values import PADDING, current, growth_to_empty, merge_object, replace, without_padding

APPENDED = ("text", "summary", "data")
"""The fields of an item whose texts are appended (OpenRouter's `reasoning_details`)."""
_OPEN = 64
"""The newest items of one index that a new item is compared with. To compare with all would be quadratic; with half as
many, a server that takes turns between more than 32 items of one index would get them split."""


class IndexedList(Growing):
    """The items of one list, in order of appearance."""

    __slots__ = ("_at", "items")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._at: dict[int | float, list[dict[str, Any]]] = {}

    def add(self, item: Any) -> int:
        """Take one item; returns the size by which the list grew."""
        if type(item) is dict and type(index := item.get("index")) is int and (held := self._at.get(index)):
            newest = held[-1]
            # Nearly every item continues the newest one, and repeats its labels.
            if item.get("type") == newest.get("type") and item.get("id") == newest.get("id"):
                return _merge_item(newest, item)
        index = index_of(item)
        if index is None:
            self.items.append(new := without_padding(item))
            return size_of(new) + 1
        held = self._at.setdefault(index, [])
        found = _find_continued(held, item)
        if found is None:
            found = {}
            self.items.append(found)
            held.append(found)
            return _merge_item(found, item) + size_of({}) + 1
        return _merge_item(found, item)

    def would_exceed(self, items: list[Any], most: int) -> bool:
        """Whether some index would hold more than `most` items after `items`; changes nothing."""
        if len(self.items) + len(items) <= most:
            return False
        counts: dict[int | float, int] = {}
        held: dict[int | float, list[dict[str, Any]]] = {}
        for item in items:
            index = index_of(item)
            if index is None:
                continue
            if index not in held:
                before = self._at.get(index, [])
                counts[index] = len(before)
                held[index] = [_labels(one) for one in before[-_OPEN:]]
            found = _find_continued(held[index], item)
            if found is None:
                held[index].append(found := {})
                counts[index] += 1
            found.update(_labels(item))
        return max(counts.values(), default=0) > most

    def value(self) -> list[Any]:
        return [current(item) for item in self.items]


def _find_continued(items: list[dict[str, Any]], item: dict[str, Any]) -> dict[str, Any] | None:
    """The item that this one continues, among those of its index; None where it begins one."""
    kind, name = _label(item, "type"), _label(item, "id")
    held: dict[str, Any]
    for held in islice(reversed(items), _OPEN):
        if (kind is None or (_label(held, "type") or kind) == kind) and (
            name is None or (_label(held, "id") or name) == name
        ):
            return held
    return None


def _labels(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in ("type", "id") if item.get(name) is not None}


def index_of(item: Any) -> int | float | None:
    """The `index` of an item as a number; None where it has none, or one past all bounds."""
    index = item.get("index") if isinstance(item, dict) else None
    if isinstance(index, str) and index.removeprefix("-").isdecimal() and len(index) < 20:
        index = int(index)
    if isinstance(index, (int, float)) and not isinstance(index, bool) and -LARGEST_INDEX <= index <= LARGEST_INDEX:
        return index
    return None


def _label(item: dict[str, Any], name: str) -> str | None:
    """An item's `type` or `id` if that is a string that is not empty, else None."""
    label = item.get(name)
    return label if isinstance(label, str) and label else None


def _merge_item(fields: dict[str, Any], item: dict[str, Any]) -> int:
    grown = 0
    for name, value in item.items():
        if name in APPENDED and isinstance(value, str):
            text = fields.get(name)
            if not isinstance(text, TextBuffer):
                grown += growth_to_empty(fields, name, "")
                text = fields[name] = TextBuffer()
            text.append(value)
            grown += len(value)
        elif isinstance(value, dict):
            grown += merge_object(fields, {name: value})
        elif value is not None and name != PADDING:
            grown += replace(fields, name, value)
    return grown
