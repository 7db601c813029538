"""The output of `--text` and `--follow`: the text of a stream while it is read."""

from __future__ import annotations

import streamagg

from .terminal import write


def write_text(chunks: streamagg.SyncChatCompletionStream) -> None:
    """Write the text of choice 0 as it comes, and a newline at its end."""
    wrote = False
    try:
        for text in chunks.text():
            write(text)
            wrote = True
    finally:
        if wrote:
            write("\n")


def follow(chunks: streamagg.SyncChatCompletionStream) -> None:
    """Write choice 0 as it comes: its text, its reasoning dimmed, and its tool calls once they are ready."""
    page = _Page()
    try:
        for event in chunks.events():
            match event:
                case streamagg.ReasoningDelta(text, choice=0):
                    page.show("reasoning", text, dim=True)
                case streamagg.TextDelta(text, choice=0) | streamagg.RefusalDelta(text, choice=0):
                    page.show("text", text)
                case streamagg.ToolCallReady(call, place, choice=0):
                    page.show(place, _call_line(call))
                case streamagg.MessageReplaced(choice=0):
                    page.show("replaced", "(the server begins anew)", dim=True)
    finally:
        page.end()


class _Page:
    """Writes parts of text, each on lines of its own. A blank line separates two parts; two calls stand together."""

    def __init__(self) -> None:
        self._part: object = None
        self._end = ""  # the last two characters

    def show(self, part: str | int, text: str, *, dim: bool = False) -> None:
        """Write more text of a part, or begin another part. The part of a call is its number."""
        if part != self._part:
            self._feed(1 if isinstance(part, int) and isinstance(self._part, int) else 2)
            self._part = part
        self._end = (self._end + text)[-2:]  # before the write, which Ctrl-C may interrupt
        write(text, dim=dim)

    def end(self) -> None:
        self._feed(1)

    def _feed(self, newlines: int) -> None:
        """Make the output end in at least this number of newlines."""
        if self._end:
            written = len(self._end) - len(self._end.rstrip("\n"))
            write("\n" * (newlines - written))


def _call_line(call: streamagg.ToolCall) -> str:
    if call.custom is not None:
        return f"→ {call.custom.name or ''}({call.custom.input or ''})"
    function = call.function or streamagg.ToolCallFunction()
    return f"→ {function.name or ''}({function.arguments or ''})"
