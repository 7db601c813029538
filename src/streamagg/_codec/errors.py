"""The exceptions of the codec. They are private: `_apis`, `_accumulator` and `_types` raise public errors for them."""

from __future__ import annotations


class Unreadable(Exception):
    """Plain data that no reading can take; `path` grows from the inside out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path = ""


class TooDeep(Exception):
    """Objects and lists nest deeper than the caller's limit."""
