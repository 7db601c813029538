"""Lists of the delta whose items say by an `index` which item they continue (`reasoning_details`)."""

from __future__ import annotations

from typing import Any

from ._text import Growing, Text
from ._values import merge_object, replace, settled, taken, weigh

APPENDED = ("text", "summary", "data")
"""The fields of an item that continue the text that came before."""


class Items(Growing):
    """The items of one list, in the order in which they began.

    An item merges into the newest one of the same `index`, unless both have a `type`, or both an `id`,
    and these differ. An item without an index stands for itself.
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
        found = self._continued(index, item)
        if found is None:
            found = {}
            self.items.append(found)
            self._at.setdefault(index, []).append(found)
            return _merge_item(found, item) + 1
        return _merge_item(found, item)

    def opens(self, items: list[Any]) -> dict[Any, int]:
        """At most how many items each index would hold after `items`."""
        counts: dict[Any, int] = {}
        for item in items:
            index = index_of(item)
            if index is not None and self._continued(index, item) is None:
                counts[index] = counts.get(index, len(self._at.get(index, ()))) + 1
        return counts

    def value(self) -> list[Any]:
        return [settled(item) for item in self.items]

    def _continued(self, index: int | float, item: dict[str, Any]) -> dict[str, Any] | None:
        """The item that this one continues."""
        kind, name = _label(item, "type"), _label(item, "id")
        held: dict[str, Any]
        for held in reversed(self._at.get(index, ())):
            if (kind is None or (_label(held, "type") or kind) == kind) and (
                name is None or (_label(held, "id") or name) == name
            ):
                return held
        return None


def index_of(item: Any) -> int | float | None:
    """The `index` of an item as a number; None where it has none."""
    index = item.get("index") if isinstance(item, dict) else None
    if isinstance(index, str) and index.removeprefix("-").isdecimal() and len(index) < 20:
        return int(index)
    if isinstance(index, (int, float)) and not isinstance(index, bool) and index == index:
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
                text = into[name] = Text()
                grown += len(name) + 1
            text.add(value)
            grown += len(value)
        elif isinstance(value, dict):
            grown += merge_object(into, {name: value})
        elif value is not None and name != "obfuscation":
            grown += replace(into, name, value)
    return grown
