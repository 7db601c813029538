"""Text that arrives in fragments."""

from __future__ import annotations

from typing import Any

_FEW = 6
_MANY = 16384
_PER_FRAGMENT = 128
"""For so many characters of text one more fragment may wait; it costs some 60 bytes beside its own."""


class Growing:
    """A value that is still arriving; `value()` gives what there is of it, sharing nothing mutable."""

    __slots__ = ()

    def value(self) -> Any:
        raise NotImplementedError  # pragma: no cover - every kind of growing value has its own


class Text(Growing):
    """Fragments in a list, joined into `head` now and then.

    A fragment of a few letters costs some 60 bytes as an object of its own, so a million of them
    would hold ten times their text; joining at every fragment would be quadratic. As many may wait
    as cost half of what the joined text does: from 6 to 16,384 (1 MiB), so that each join adds a fixed part.
    """

    __slots__ = ("head", "tail", "wait")

    def __init__(self) -> None:
        self.head = ""
        self.tail: list[str] = []
        self.wait = _FEW

    def add(self, fragment: str, count: int = 1) -> None:
        """Append a fragment, which was `count` of them."""
        tail = self.tail
        tail.append(fragment)
        if len(tail) * count >= self.wait:
            self.fold()

    def fold(self) -> None:
        """Join what waits, and let more wait the longer the text is."""
        self.value()
        self.wait = max(_FEW, min(len(self.head) // _PER_FRAGMENT, _MANY))

    def value(self) -> str:
        """The whole text; costs what came since the last call."""
        if self.tail:
            head, self.head = self.head, ""  # CPython grows a string in place while one name holds it
            head += "".join(self.tail)
            self.head = head
            self.tail.clear()
        return self.head
