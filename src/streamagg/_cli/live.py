"""What is shown while a stream is read."""

from __future__ import annotations

import streamagg

from .terminal import write


def write_text(chunks: streamagg.SyncChatCompletionStream) -> None:
    """Write the text of choice 0 as it comes, and a newline after it."""
    wrote = False
    try:
        for text in chunks.text():
            write(text)
            wrote = True
    finally:
        if wrote:
            write("\n")


def follow(chunks: streamagg.SyncChatCompletionStream) -> None:
    """Write what choice 0 says as it comes: reasoning dimmed, tool calls once they are ready."""
    page = _Page()
    try:
        for event in chunks.events():
            match event:
                case streamagg.ReasoningDelta(text, choice=0):
                    page.show("reasoning", text, dim=True)
                case streamagg.TextDelta(text, choice=0) | streamagg.RefusalDelta(text, choice=0):
                    page.show("text", text)
                case streamagg.ToolCallReady(call, place, choice=0):
                    page.show(place, _called(call))
                case streamagg.MessageReplaced(choice=0):
                    page.show("replaced", "(the server begins anew)", dim=True)
    finally:
        page.end()


class _Page:
    """Parts of text, each on lines of its own, with a blank line between them but for calls."""

    def __init__(self) -> None:
        self._part: object = None
        self._end = ""  # the last two characters

    def show(self, part: str | int, text: str, *, dim: bool = False) -> None:
        """Write more of a part, or begin another; calls are numbers."""
        if part != self._part:
            self._feed(1 if isinstance(part, int) and isinstance(self._part, int) else 2)
            self._part = part
        self._end = (self._end + text)[-2:]  # first, as an interruption may come once it is written
        write(text, dim=dim)

    def end(self) -> None:
        self._feed(1)

    def _feed(self, newlines: int) -> None:
        """See that what is there ends in so many newlines at least."""
        if self._end:
            there = len(self._end) - len(self._end.rstrip("\n"))
            write("\n" * (newlines - there))


def _called(call: streamagg.ToolCall) -> str:
    if call.custom is not None:
        return f"→ {call.custom.name or ''}({call.custom.input or ''})"
    function = call.function or streamagg.ToolCallFunction()
    return f"→ {function.name or ''}({function.arguments or ''})"
