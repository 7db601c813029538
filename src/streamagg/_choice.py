"""One choice that is being put together: what its deltas, messages and logprobs merge to."""

from __future__ import annotations

from ._chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta
from ._lenient import Note
from ._response import ChatCompletionAudio, ChatCompletionChoice, ChatCompletionLogProbs, ChatCompletionMessage
from ._rules import CHOICE_RULES, DELTA_RULES, Fields, extend, merge_fields, other, other_of_delta, split
from ._slots import Callee, Slots, function_of
from ._struct import copied
from ._values import replace, weigh


class ChoiceState:
    """One choice that is being put together."""

    __slots__ = ("calls", "delta", "fields", "function_call", "logprobs", "message", "spoke")

    def __init__(self) -> None:
        self.fields: Fields = {}
        self.delta: Fields = {}
        self.calls: Slots | None = None
        self.function_call: Callee | None = None
        self.logprobs: Fields | None = None
        self.message: ChatCompletionMessage | None = None
        self.spoke = False
        """Whether a delta has brought anything but its role: from then on messages do not count."""

    def add(self, choice: ChatCompletionChunkChoice, note: Note) -> int:
        """Merge what a chunk says of this choice; returns the growth in size. The delta comes first."""
        grown = 0
        if (delta := choice.delta) is not None:
            grown += self._add_delta(delta, note)
        if choice.message is not None and not self.spoke:
            grown += weigh(choice.message) - weigh(self.message)
            self.message = copied(choice.message)
        if choice.logprobs is not None:
            if self.logprobs is None:
                self.logprobs = {}
            grown += _add_logprobs(self.logprobs, choice.logprobs)
        return grown + merge_fields(self.fields, choice, CHOICE_RULES, other, choice.extra)

    def _add_delta(self, delta: ChatCompletionChunkDelta, note: Note) -> int:
        if not self.spoke and _speaks(delta):
            self.spoke = True
            self.message = None
        grown = merge_fields(self.delta, delta, DELTA_RULES, other_of_delta, delta.extra)
        if delta.tool_calls:
            if self.calls is None:
                self.calls = Slots()
            grown += sum(self.calls.add(fragment, note) for fragment in delta.tool_calls)
        if (call := delta.function_call) is not None:
            if self.function_call is None:
                self.function_call = Callee()
            grown += self.function_call.add(call.name, call.arguments, call.extra, note)
        return grown

    def value(self, index: int) -> ChatCompletionChoice:
        known = split(self.fields, ChatCompletionChoice)
        if self.logprobs is not None:
            known["logprobs"] = ChatCompletionLogProbs(**split(self.logprobs, ChatCompletionLogProbs))
        return ChatCompletionChoice(index=index, message=self._message(), **known)

    def _message(self) -> ChatCompletionMessage:
        known = split(self.delta, ChatCompletionMessage)
        if (message := self.message) is not None:  # the deltas brought nothing, or their role alone
            said = {name: copied(getattr(message, name)) for name in message.__struct_fields__}
            known.update((name, value) for name, value in said.items() if value is not None)
            return ChatCompletionMessage(**known)
        if self.calls is not None:
            known["tool_calls"] = self.calls.value()
        if self.function_call is not None:
            known["function_call"] = function_of(self.function_call)
        if "audio" in known:
            known["audio"] = ChatCompletionAudio(**split(known["audio"], ChatCompletionAudio))
        return ChatCompletionMessage(**known)


def _speaks(delta: ChatCompletionChunkDelta) -> bool:
    """Whether a delta brings a non-empty value other than its role."""
    return any(value not in ("", [], {}) for name, value in delta.to_dict().items() if name != "role")


def _add_logprobs(into: Fields, new: ChatCompletionLogProbs) -> int:
    grown = 0
    for name in new.__struct_fields__:
        value = getattr(new, name)
        if value is not None and name != "extra":
            grown += extend(into, name, value)
    for name, value in new.extra.items():
        grown += extend(into, name, value) if isinstance(value, list) else replace(into, name, value)
    return grown
