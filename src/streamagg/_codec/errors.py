"""The exceptions of the codec. Private: `_apis` and `_types` turn each into a public error, which knows the event."""

from __future__ import annotations


class Unreadable(Exception):
    """Plain data that no reading can take; `path` grows from the inside out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path = ""


class TooDeep(Exception):
    """Objects and lists nest deeper than the caller's limit."""
