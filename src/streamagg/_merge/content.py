"""A message's `content`: a text, or a list of parts where a server sends parts (Mistral's thinking).

1. The content is a text until a list arrives. From then on it is a list of parts.
2. Adjacent `text` parts are joined, and adjacent `thinking` parts. The list inside a thinking part follows the same
   rule.
3. A string after a list becomes a `text` part. An empty string makes no part.
"""

from __future__ import annotations

from typing import Any

from .._codec.size import size_of
from .._types.message import text_of, thinking_of
from .text import Growing, TextBuffer
from .values import PADDING, current, growth_to_empty, merge_object, replace, without_padding

_TEXTS = ("text", "thinking")
"""The kinds of parts that are joined, and the fields of these parts that grow."""


class Content(Growing):
    """A content of parts. `length`: characters of its text, without thinking; `has_thinking`: whether any thinking
    came."""

    __slots__ = ("has_thinking", "length", "parts")

    def __init__(self, before: TextBuffer | None = None) -> None:
        self.parts: list[Any] = []
        self.has_thinking = False
        self.length = 0
        if before is not None and (text := before.value()):
            self._add_part(text)

    def add(self, value: str | list[Any]) -> int:
        """Merge the content of a delta. Returns the growth in size."""
        parts = value if isinstance(value, list) else [value]
        return sum(self._add_part(part) for part in parts if part is not None and part != "")

    def value(self) -> list[Any]:
        return [current(part) for part in self.parts]

    def _add_part(self, part: Any) -> int:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        self.length += len(text_of([part]))
        self.has_thinking = self.has_thinking or bool(thinking_of([part]))
        kind = part.get("type") if isinstance(part, dict) else None
        # Other parts (images, references) are whole: joining two of them would lose one.
        if kind not in _TEXTS:
            self.parts.append(without_padding(part))
            return size_of(part) + 1
        last = self.parts[-1] if self.parts else None
        if not (isinstance(last, dict) and last.get("type") == kind):
            last = {}
            self.parts.append(last)
        grown = 0
        for name, value in part.items():
            if name in _TEXTS and isinstance(value, (str, list)):
                grown += _append(last, name, value)
            elif isinstance(value, dict):
                grown += merge_object(last, {name: value})
            elif value is not None and name != PADDING:
                grown += replace(last, name, value)
        return grown


def _append(part: dict[str, Any], name: str, value: str | list[Any]) -> int:
    """Append to the text of a part, or to its list of parts."""
    before = part.get(name)
    grown = 0
    if isinstance(value, str) and not isinstance(before, Content):
        if not isinstance(before, TextBuffer):
            grown = growth_to_empty(part, name, "")
            before = part[name] = TextBuffer()
        before.append(value)
        return grown + len(value)
    if not isinstance(before, Content):
        grown = growth_to_empty(part, name, []) if before is None else 0
        before = part[name] = Content(before if isinstance(before, TextBuffer) else None)
    return grown + before.add(value)
