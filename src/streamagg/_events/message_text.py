"""The texts and tool calls of a message, and whether one message continues another."""

from __future__ import annotations

from typing import NamedTuple

from .._codec.struct import copied
from .._merge.function import FunctionState, function_of
from .._merge.tool_calls import ToolCallState
from .._types.chunk import ChatCompletionChunkToolCall
from .._types.message import ChatCompletionMessage, ToolCall

Call = ToolCallState | FunctionState | ToolCall
"""A call in the merge, the legacy `function_call` in the merge, or a call of a message."""

LEGACY = -1
"""The place of the legacy `function_call` among the calls."""


class MessageText(NamedTuple):
    """The texts of a message, and its calls by place."""

    reasoning: str
    text: str
    refusal: str
    calls: dict[int, ToolCall]


EMPTY = MessageText("", "", "", {})


def text_of_message(message: ChatCompletionMessage) -> MessageText:
    calls = dict(enumerate(message.tool_calls or ()))
    if message.function_call is not None:
        calls[LEGACY] = ToolCall(function=message.function_call)
    return MessageText(message.reasoning_text, message.text, message.refusal or "", calls)


def continues(before: MessageText, after: MessageText) -> bool:
    """Whether every text and call of a message still stands in the next one."""
    return all(new.startswith(old) for old, new in zip(before[:3], after[:3], strict=True)) and all(
        place in after.calls
        and arguments_of(after.calls[place]).startswith(arguments_of(call))
        and all(old in (None, new) for old, new in zip(id_and_name(call), id_and_name(after.calls[place]), strict=True))
        for place, call in before.calls.items()
    )


def id_and_name(call: Call) -> tuple[str | None, str | None]:
    """The id and the name of a call, as far as they are known."""
    if isinstance(call, FunctionState):
        return None, call.name
    function = call.function or call.custom
    return call.id, function.name if function is not None else None


def arguments_of(call: ToolCall | None) -> str:
    """The arguments of a message's call, or the input of its custom tool."""
    if call is None:
        return ""
    return (call.function and call.function.arguments) or (call.custom and call.custom.input) or ""


def arguments_in(fragment: ChatCompletionChunkToolCall) -> str:
    """The arguments or input that a fragment adds."""
    function, custom = fragment.function, fragment.custom
    return ((function and function.arguments) or "") + ((custom and custom.input) or "")


def is_whole(call: Call) -> bool:
    """Whether the arguments of a call are a whole JSON object. A message may still be replaced, and free text go on."""
    function = call.function if isinstance(call, ToolCallState) and call.custom is None else call
    return isinstance(function, FunctionState) and function.is_whole()


def finished_call(call: Call) -> ToolCall:
    """The call as it stands, which shares nothing."""
    if isinstance(call, ToolCallState):
        return call.value()
    if isinstance(call, FunctionState):
        return ToolCall(function=function_of(call))
    independent: ToolCall = copied(call)
    return independent
