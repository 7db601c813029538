"""What a message says, and what there is of a tool call, wherever the merge has put it."""

from __future__ import annotations

from typing import NamedTuple

from .._codec.struct import copied
from .._merge.tool_calls import Callee, Slot, function_of
from .._types.chunk import ChatCompletionChunkToolCall
from .._types.message import ChatCompletionMessage, ToolCall

Source = Slot | Callee | ToolCall
"""Where a call stands in the merge: a slot, the legacy `function_call`, or a message."""

LEGACY = -1
"""The place of the legacy `function_call` among the calls."""


class Said(NamedTuple):
    """What a message says."""

    reasoning: str
    text: str
    refusal: str
    calls: dict[int, ToolCall]


NOTHING = Said("", "", "", {})


def said_by(message: ChatCompletionMessage) -> Said:
    calls = dict(enumerate(message.tool_calls or ()))
    if message.function_call is not None:
        calls[LEGACY] = ToolCall(function=message.function_call)
    return Said(message.reasoning_text, message.text, message.refusal or "", calls)


def continues(before: Said, said: Said) -> bool:
    """Whether all that a message said still stands in the next."""
    return all(new.startswith(old) for old, new in zip(before[:3], said[:3], strict=True)) and all(
        place in said.calls
        and written_in(said.calls[place]).startswith(written_in(call))
        and all(old in (None, new) for old, new in zip(known_of(call), known_of(said.calls[place]), strict=True))
        for place, call in before.calls.items()
    )


def known_of(source: Source) -> tuple[str | None, str | None]:
    """A call's id and name, as far as they are known."""
    if isinstance(source, Callee):
        return None, source.name
    callee = source.function or source.custom
    return source.id, callee.name if callee is not None else None


def written_in(call: ToolCall | None) -> str:
    """What a message's call has for arguments, or as a custom tool's input."""
    if call is None:
        return ""
    return (call.function and call.function.arguments) or (call.custom and call.custom.input) or ""


def brought_by(fragment: ChatCompletionChunkToolCall) -> str:
    """What a fragment adds to that."""
    function, custom = fragment.function, fragment.custom
    return ((function and function.arguments) or "") + ((custom and custom.input) or "")


def is_whole(source: Source) -> bool:
    """Whether a call's arguments are a whole JSON object. A message may still be replaced, free text go on."""
    callee = source.function if isinstance(source, Slot) and source.custom is None else source
    return isinstance(callee, Callee) and callee.whole()


def finished(source: Source) -> ToolCall:
    """The call as it stands, sharing nothing."""
    if isinstance(source, Slot):
        return source.value()
    if isinstance(source, Callee):
        return ToolCall(function=function_of(source))
    call: ToolCall = copied(source)
    return call
