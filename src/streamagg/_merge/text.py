"""Text that arrives in fragments.

Fragments stay in a list and are joined on request. Both extremes cost too much:

1. A fragment of a few letters takes some 60 bytes as an object. A million of them would hold ten times their text.
2. A join at each fragment would be quadratic.
"""

from __future__ import annotations

from typing import Any

_FEW = 6
"""Fragments that may wait in a short text. 10,000 open streams hold these: 64 in each would double their memory."""
_MANY = 16384
"""Fragments that may wait in a long text: 1 MiB of objects. Half as many join a text of 100 MB twice as often."""
_PER_FRAGMENT = 128
"""Characters of text for each fragment that may wait. Its object (60 bytes) then costs half of the joined text."""


class Growing:
    """A value that is still arriving. `value()` gives it as it stands; later input does not change what was given."""

    __slots__ = ()

    def value(self) -> Any:
        raise NotImplementedError  # pragma: no cover - every kind of growing value has its own


class TextBuffer(Growing):
    """A text that grows at its end. `length`: its characters."""

    __slots__ = ("_fragments", "_joined", "_room", "length")

    def __init__(self) -> None:
        self._joined = ""
        self._fragments: list[str] = []
        self._room = _FEW
        self.length: int = 0

    def append(self, fragment: str) -> None:
        """Add a fragment. The cost does not depend on the text so far."""
        self._fragments.append(fragment)
        self.length += len(fragment)
        if len(self._fragments) >= self._room:
            self.value()
            self._room = max(_FEW, min(self.length // _PER_FRAGMENT, _MANY))

    def value(self) -> str:
        """The whole text. Joins what came since the last call."""
        if self._fragments:
            joined, self._joined = self._joined, ""  # CPython grows a string in place while one name holds it
            joined += "".join(self._fragments)
            self._joined = joined
            self._fragments.clear()
        return self._joined
