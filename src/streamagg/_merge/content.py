"""A message's `content`: text, or a list of parts where a server sends parts (Mistral's thinking)."""

from __future__ import annotations

from typing import Any

from .._codec.size import weigh
from .text import Growing, Text
from .values import merge_object, replace, settled, taken


class Content(Growing):
    """Text until a list comes; from then on parts.

    `text` parts that follow each other are joined, `thinking` parts too (what they hold, by the same
    rule). A string beside a list is a text part, an empty one nothing.
    """

    __slots__ = ("parts", "text")

    def __init__(self) -> None:
        self.text = Text()
        self.parts: list[dict[str, Any]] | None = None

    def add(self, value: str | list[Any]) -> int:
        """Take what a delta brings; returns the size by which the content grew."""
        if isinstance(value, str):
            if self.parts is None:
                text = self.text
                text.tail.append(value)
                if len(text.tail) >= text.wait:
                    text.fold()
                return len(value)
            return self._add_part({"type": "text", "text": value}, self.parts) if value else 0
        if self.parts is None:
            self.parts = []
            if before := self.text.value():
                self._add_part({"type": "text", "text": before}, self.parts)
        return sum(self._add_part(part, self.parts) for part in value if part is not None and part != "")

    def value(self) -> str | list[Any]:
        return self.text.value() if self.parts is None else settled(self.parts)

    def _add_part(self, part: Any, parts: list[Any]) -> int:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "thinking"):
            parts.append(taken(part))
            return weigh(part) + 1
        if not (parts and isinstance(parts[-1], dict) and parts[-1].get("type") == kind):
            parts.append({})
        into: dict[str, Any] = parts[-1]
        grown = 0
        for name, value in part.items():
            if name == kind and isinstance(value, (str, list)):
                inner = into.get(name)
                if not isinstance(inner, Content):
                    inner = into[name] = Content()
                grown += len(name) + 1 + inner.add(value)
            elif isinstance(value, dict):
                grown += merge_object(into, {name: value})
            elif value is not None and name != "obfuscation":
                grown += replace(into, name, value)
        return grown
