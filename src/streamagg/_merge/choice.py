"""One choice that is being put together: what its deltas, messages and logprobs merge to."""

from __future__ import annotations

from .._codec.lenient import Note
from .._codec.size import weigh
from .._codec.struct import NO_EXTRA, Extra, copied
from .._types.chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta
from .._types.completion import ChatCompletionChoice, ChatCompletionLogProbs
from .._types.message import ChatCompletionAudio, ChatCompletionMessage
from .content import Content
from .rules import OF_CHOICE, OF_DELTA, Fields, append, content, other, other_of_delta, split
from .text import Text
from .tool_calls import Callee, Slot, Slots, function_of
from .values import replace, taken


class ChoiceState:
    """One choice that is being put together."""

    __slots__ = ("_touched", "calls", "delta", "fields", "function_call", "logprobs", "message", "spoke")

    def __init__(self, touched: list[Slot] | None = None) -> None:
        self._touched = touched
        self.fields: Fields = {}
        self.delta: Fields = {}
        self.calls: Slots | None = None
        self.function_call: Callee | None = None
        self.logprobs: Fields | None = None
        self.message: ChatCompletionMessage | None = None
        self.spoke = False
        """Whether a delta has brought anything but its role: from then on messages do not count."""

    def add_plain(self, choice: ChatCompletionChunkChoice) -> int | None:
        """Merge a choice that says no more than nearly every chunk does; returns the growth in size.

        None, with nothing changed, where there is more to it: `add` merges the same things, and all
        others, at several times the cost.
        """
        delta = choice.delta
        if (
            delta is None
            or not self.spoke
            or choice.message is not None
            or choice.content_filter_results is not None
            or choice.stop_reason is not None
            or choice.native_finish_reason is not None
            or choice.matched_stop is not None
            or choice.text is not None
            or choice.token_ids is not None
            or choice.seed is not None
            or choice.usage is not None
            or choice.error is not None
            or delta.reasoning_details is not None
            or delta.function_call is not None
            or delta.audio is not None
            or delta.annotations is not None
            or delta.images is not None
            or delta.name is not None
            or delta.channel is not None
            or delta.phase is not None
            or delta.recipient is not None
            or delta.token_id is not None
            or type(delta.content) is list
            or (delta.extra and any(isinstance(value, list) for value in delta.extra.values()))
        ):
            return None
        grown = 0
        if delta.tool_calls:
            more = self.calls.add_plain(delta.tool_calls) if self.calls is not None else None
            if more is None:
                return None
            grown = more
        fields = self.delta
        if delta.role:
            fields["role"] = delta.role
        if delta.content is not None:
            grown += content(fields, "content", delta.content)
        if delta.reasoning_content is not None:
            grown += append(fields, "reasoning_content", delta.reasoning_content)
        if delta.reasoning is not None:
            grown += append(fields, "reasoning", delta.reasoning)
        if delta.refusal is not None:
            grown += append(fields, "refusal", delta.refusal)
        if choice.finish_reason:
            self.fields["finish_reason"] = choice.finish_reason
        for name, value in choice.extra.items():
            grown += other(self.fields, name, value)
        for name, value in delta.extra.items():
            grown += other_of_delta(fields, name, value)
        if choice.logprobs is not None:
            self.add_logprobs(choice.logprobs)
        return grown

    def add(self, choice: ChatCompletionChunkChoice, note: Note) -> int:
        """Merge what a chunk says of this choice; returns the growth in size. The delta comes first."""
        grown = 0
        if (delta := choice.delta) is not None:
            grown += self._add_delta(delta, note)
        if choice.message is not None and not self.spoke:
            grown += weigh(choice.message) - weigh(self.message)
            self.message = taken(choice.message)
        if choice.logprobs is not None:
            self.add_logprobs(choice.logprobs)
        return grown + OF_CHOICE.merge(self.fields, choice)

    def _add_delta(self, delta: ChatCompletionChunkDelta, note: Note) -> int:
        if not self.spoke and _speaks(delta):
            self.spoke = True
            self.message = None
        grown = OF_DELTA.merge(self.delta, delta)
        if delta.tool_calls:
            if self.calls is None:
                self.calls = Slots(self._touched)
            grown += sum(self.calls.add(fragment, note) for fragment in delta.tool_calls)
        if (call := delta.function_call) is not None:
            if self.function_call is None:
                self.function_call = Callee()
            grown += self.function_call.add(call.name, call.arguments, call.extra, note)
        return grown

    def add_logprobs(self, new: ChatCompletionLogProbs) -> None:
        """Extend the lists, whose entries are taken over as they are; the rest is last non-null.

        Their size is not looked at: with five alternatives that costs more than decoding them. The
        merger counts the whole chunk's instead.
        """
        if self.logprobs is None:
            self.logprobs = {}
        held = self.logprobs
        for name, value in (
            ("content", new.content),
            ("refusal", new.refusal),
            ("reasoning_content", new.reasoning_content),
            *new.extra.items(),
        ):
            if isinstance(value, list):
                if not isinstance(held.get(name), list):
                    held[name] = []
                held[name].extend(value)
            elif value is not None:
                replace(held, name, value)

    def text_of(self, name: str, call_index: int | None) -> Text | None:
        """The text that grows under this name, or in the call at this index; None where there is none."""
        if call_index is not None:
            return self.calls.text_at(call_index) if self.calls is not None else None
        held = self.delta.get(name)
        if isinstance(held, Content):
            return held.text if held.parts is None else None
        return held if isinstance(held, Text) else None

    def value(self, index: int, *, final: bool) -> ChatCompletionChoice:
        """The choice as it stands, sharing nothing; `final` hands over what nothing will change."""
        known = split(self.fields, ChatCompletionChoice)
        if self.logprobs is not None:
            logprobs = split(self.logprobs, ChatCompletionLogProbs, final=final)
            known["logprobs"] = ChatCompletionLogProbs(**logprobs)
        return ChatCompletionChoice(index=index, message=self._message(), **known)

    def _message(self) -> ChatCompletionMessage:
        known = split(self.delta, ChatCompletionMessage)
        if (message := self.message) is not None:  # the deltas brought nothing, or their role alone
            said = {name: copied(getattr(message, name)) for name in message.__struct_fields__}
            said["extra"] = Extra({**known.get("extra", NO_EXTRA), **said["extra"]}) or NO_EXTRA
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
