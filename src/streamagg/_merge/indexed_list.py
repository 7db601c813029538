"""Lists of the delta whose items say by an `index` which item they continue (`reasoning_details`)."""

from __future__ import annotations

from itertools import islice
from typing import Any

from .._codec.size import weigh
from .._codec.struct import LARGEST_INDEX
from .text import Growing, Text
from .values import merge_object, replace, room_of, settled, taken

APPENDED = ("text", "summary", "data")
"""The fields of an item that continue the text that came before."""
_OPEN = 64
"""So many items of one index may still be continued: looking at all of them at each item would be quadratic."""


class Items(Growing):
    """The items of one list, in the order in which they began.

    An item merges into the newest one of the same `index`, of the last 64, unless both have a `type`, or
    both an `id`, and these differ. An item without an index stands for itself.
    """

    __slots__ = ("_at", "items")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._at: dict[int | float, list[dict[str, Any]]] = {}

    def add(self, item: Any) -> int:
        """Take one item; returns the size by which the list grew."""
        index = index_of(item)
        if index is None:
            self.items.append(taken(item))
            return weigh(item) + 1
        held = self._at.setdefault(index, [])
        found = _continued(held, item)
        if found is None:
            found = {}
            self.items.append(found)
            held.append(found)
            return _merge_item(found, item) + weigh({}) + 1
        return _merge_item(found, item)

    def passes(self, items: list[Any], most: int) -> bool:
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
            found = _continued(held[index], item)
            if found is None:
                held[index].append(found := {})
                counts[index] += 1
            found.update(_labels(item))
        return max(counts.values(), default=0) > most

    def value(self) -> list[Any]:
        return [settled(item) for item in self.items]


def _continued(items: list[dict[str, Any]], item: dict[str, Any]) -> dict[str, Any] | None:
    """Which of the items of its index this one continues."""
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
    """An item's `type` or `id`; other than a string that says something, it has none."""
    label = item.get(name)
    return label if isinstance(label, str) and label else None


def _merge_item(into: dict[str, Any], item: dict[str, Any]) -> int:
    grown = 0
    for name, value in item.items():
        if name in APPENDED and isinstance(value, str):
            text = into.get(name)
            if not isinstance(text, Text):
                grown += room_of(into, name, "")
                text = into[name] = Text()
            text.add(value)
            grown += len(value)
        elif isinstance(value, dict):
            grown += merge_object(into, {name: value})
        elif value is not None and name != "obfuscation":
            grown += replace(into, name, value)
    return grown
