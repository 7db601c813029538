"""One choice: its deltas, messages and logprobs, merged.

1. A `message` counts only while no delta has brought a non-empty value other than the role. The last one counts.
2. The delta of a chunk is read before its message.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from .._codec.lenient import Note
from .._codec.size import size_of
from .._codec.struct import NO_EXTRA, Extra, copied, detach, shallow_copy, to_plain
from .._types.chunk import ChatCompletionChunkChoice, ChatCompletionChunkDelta
from .._types.completion import ChatCompletionChoice, ChatCompletionLogProbs
from .._types.message import ChatCompletionAudio, ChatCompletionMessage
from .content import Content
from .function import FunctionState, function_of
from .rules import BESIDE_USUAL, NO_NUMBERS, OF_CHOICE, Fields, Numbers, append, append_content, last, to_arguments
from .text import TextBuffer
from .tool_calls import ToolCalls, ToolCallState
from .values import replace, without_padding

_EMPTY = ChatCompletionChunkDelta()


_REPEATED = {
    (role, content): ChatCompletionChunkDelta(role=role, content=content)
    for role in (None, "assistant")
    for content in (None, "")
}
"""The deltas of what some servers repeat beside each text: the role, and an empty content. They are shared, and never
changed."""
_CONTAINERS = attrgetter("content_filter_results", "token_ids", "error", "extra")
"""The fields of a choice that may hold lists and objects of its own."""
_NO_CONTAINERS = (None, None, None, NO_EXTRA)


def is_usual(delta: ChatCompletionChunkDelta) -> bool:
    """Whether a delta has a role, texts and tool calls alone: nineteen of twenty deltas."""
    role, content, calls = delta.role, delta.content, delta.tool_calls
    reasoning_content, reasoning, refusal = delta.reasoning_content, delta.reasoning, delta.refusal
    delta.role = delta.content = delta.tool_calls = None
    delta.reasoning_content = delta.reasoning = delta.refusal = None
    is_empty = delta == _EMPTY
    delta.role, delta.content, delta.tool_calls = role, content, calls
    delta.reasoning_content, delta.reasoning, delta.refusal = reasoning_content, reasoning, refusal
    # A list of parts may nest, and is no usual text.
    return is_empty and type(content) is not list


class ChoiceState:
    """One choice so far. `fields` and `delta` hold the fields of the choice and of its deltas, by name."""

    __slots__ = (
        *("_continued", "_is_repeatable", "_last", "_numbers", "calls", "delta", "fields", "function_call"),
        *("alone", "has_spoken", "logprobs", "message", "text_name"),
    )

    def __init__(self, continued: list[ToolCallState] | None = None) -> None:
        self._continued = continued
        # The choice of the chunk before; whether it changes nothing when it comes again, once that was asked.
        self._last: ChatCompletionChunkChoice | None = None
        self._is_repeatable: bool | None = None
        self._numbers: Numbers | None = None
        self.fields: Fields = {}
        self.delta: Fields = {}
        self.calls: ToolCalls | None = None
        self.function_call: FunctionState | None = None
        self.logprobs: Fields | None = None
        self.message: ChatCompletionMessage | None = None
        self.alone: list[ChatCompletionChunkChoice] | None = None
        """The choices of a chunk that repeats this choice and brings nothing else. None if it would change the
        choice."""
        self.text_name = "content"
        """The text that the last delta appended to."""
        self.has_spoken = False
        """Whether a delta has brought a non-empty value other than the role. From then on messages do not count."""

    def add(self, choice: ChatCompletionChunkChoice, note: Note, *, is_shared: bool = False) -> int:
        """Merge a chunk's choice. Returns the growth in size. `is_shared`: others may change it afterwards."""
        grown = 0
        if (delta := choice.delta) is not None:
            grown += self.add_delta(delta, note, is_usual=is_usual(delta))
        if choice.message is not None and not self.has_spoken:
            grown += size_of(choice.message) - (0 if self.message is None else size_of(self.message))
            self.message = without_padding(choice.message)
        if choice.logprobs is not None:
            grown += self.add_logprobs(choice.logprobs)
        if self.repeats(choice):
            return grown + self.add_changing(choice)
        self._last = template = shallow_copy(choice)
        template.delta = _EMPTY
        template.message = template.logprobs = template.finish_reason = template.text = None
        if is_shared and _CONTAINERS(template) != _NO_CONTAINERS:
            detach(template)
        self._is_repeatable = self.alone = None
        return grown + OF_CHOICE.merge(self.fields, choice)

    def repeats(self, choice: ChatCompletionChunkChoice) -> bool:
        """Whether a choice has the fields of the one before, and merging them again changes nothing.

        The delta, the logprobs, the finish reason, the text, and a message that does not count may differ.
        """
        template = self._last
        # Writer and Perplexity repeat the message so far beside each delta.
        if template is None or (choice.message is not None and not self.has_spoken):
            return False
        delta, kept = choice.delta, template.delta
        template.delta, template.message, template.logprobs = delta, choice.message, choice.logprobs
        template.finish_reason, template.text = choice.finish_reason, choice.text
        is_equal = choice == template
        # The parts of the chunk are let go: no chunk outlives its merge.
        template.delta = kept
        template.message = template.logprobs = template.finish_reason = template.text = None
        if not is_equal:
            return False
        if self._is_repeatable is None:
            # Most choices have no other field, which is quick to see.
            if template == ChatCompletionChunkChoice(index=template.index, delta=template.delta):
                self._is_repeatable, self._numbers = True, NO_NUMBERS
            else:
                self._is_repeatable = OF_CHOICE.is_idempotent(template, but=("delta",))
                self._numbers = OF_CHOICE.numbers_in(template)
            self.alone = [template] if self._is_repeatable and self._numbers is NO_NUMBERS else None
        if delta is not None:
            template.delta = _REPEATED.get((delta.role, "" if delta.content == "" else None), _EMPTY)
        numbers = self._numbers
        return self._is_repeatable and numbers is not None and (numbers is NO_NUMBERS or numbers.are_in(choice))

    def add_changing(self, choice: ChatCompletionChunkChoice) -> int:
        """Merge the finish reason and the text of a choice that `repeats`. Returns the growth in size."""
        grown = last(self.fields, "finish_reason", choice.finish_reason)
        # Together gives the text twice: here, and in the delta.
        return grown if choice.text is None else grown + append(self.fields, "text", choice.text)

    def add_delta(self, delta: ChatCompletionChunkDelta, note: Note, *, is_usual: bool) -> int:
        """Merge a delta. Returns the growth in size. `is_usual`: it has a role, texts and tool calls alone."""
        content, reasoning_content = delta.content, delta.reasoning_content
        reasoning, refusal, role, calls = delta.reasoning, delta.refusal, delta.role, delta.tool_calls
        if not self.has_spoken and (
            content or reasoning_content or reasoning or refusal or calls or (not is_usual and _speaks(delta))
        ):
            self.has_spoken = True
            self.message = None
        fields = self.delta
        grown = 0
        if role and fields.get("role") != role:
            grown += last(fields, "role", role)
        if content is not None:
            text = fields.get("content")
            if type(text) is TextBuffer and type(content) is str:
                text.append(content)
                grown += len(content)
            else:
                grown += append_content(fields, "content", content)
            self.text_name = "content"
        if reasoning_content is not None:
            grown += append(fields, "reasoning_content", reasoning_content)
            self.text_name = "reasoning_content"
        if reasoning is not None:
            grown += append(fields, "reasoning", reasoning)
            self.text_name = "reasoning"
        if refusal is not None:
            grown += append(fields, "refusal", refusal)
            self.text_name = "refusal"
        if calls:
            if self.calls is None:
                self.calls = ToolCalls(self._continued)
            for fragment in calls:
                grown += self.calls.add(fragment, note)
        return grown if is_usual else grown + self._add_rest(delta, note)

    def _add_rest(self, delta: ChatCompletionChunkDelta, note: Note) -> int:
        """Merge what a delta has beside its role, texts and tool calls."""
        grown = BESIDE_USUAL.merge(self.delta, delta)
        if (call := delta.function_call) is not None:
            if self.function_call is None:
                self.function_call = FunctionState()
            grown += self.function_call.add(call.name, call.arguments, call.extra, note)
        return grown

    def add_logprobs(self, new: ChatCompletionLogProbs) -> int:
        """Extend the lists; other members are last non-null.

        The entries are taken over: the caller must not change them. Returns the growth in size: the length of their
        JSON. To encode them takes a tenth of a walk through the structs.
        """
        if self.logprobs is None:
            self.logprobs = {}
        merged = self.logprobs
        for name in new.__struct_fields__:
            if name != "extra" and (value := getattr(new, name)) is not None:
                _extend(merged, name, value)
        for name, value in new.extra.items():
            _extend(merged, name, value)
        try:
            return len(msgspec.json.encode(new))
        except UnicodeEncodeError:  # half of a surrogate pair in a token
            return size_of(new)

    def text_of(self, name: str) -> TextBuffer | None:
        """The text that the deltas' field of this name appends to; None where it is no text."""
        text = self.delta.get(name)
        return text if isinstance(text, TextBuffer) else None

    @property
    def text_length(self) -> int:
        """Characters of text."""
        if self.message is not None:
            return len(self.message.text)
        content = self.delta.get("content")
        return content.length if content is not None else 0

    @property
    def has_reasoning(self) -> bool:
        """Whether any reasoning came, in a field of its own or in thinking parts."""
        if self.message is not None:
            return bool(self.message.reasoning_text)
        for name in ("reasoning_content", "reasoning"):
            if (text := self.text_of(name)) is not None and text.length:
                return True
        content = self.delta.get("content")
        return isinstance(content, Content) and content.has_thinking

    def value(self, index: int, *, final: bool) -> ChatCompletionChoice:
        """The choice as it stands, which shares nothing with what follows. `final`: nothing follows."""
        known = to_arguments(self.fields, ChatCompletionChoice)
        if self.logprobs is not None:
            logprobs = to_arguments(self.logprobs, ChatCompletionLogProbs, final=final)
            known["logprobs"] = ChatCompletionLogProbs(**logprobs)
        return ChatCompletionChoice(index=index, message=self._message(), **known)

    def _message(self) -> ChatCompletionMessage:
        known = to_arguments(self.delta, ChatCompletionMessage)
        if (message := self.message) is not None:  # the deltas brought nothing, or their role alone
            fields = {name: copied(getattr(message, name)) for name in message.__struct_fields__}
            fields["extra"] = Extra({**known.get("extra", NO_EXTRA), **fields["extra"]}) or NO_EXTRA
            known.update((name, value) for name, value in fields.items() if value is not None)
            return ChatCompletionMessage(**known)
        if self.calls is not None:
            known["tool_calls"] = self.calls.value()
        if self.function_call is not None:
            known["function_call"] = function_of(self.function_call)
        if "audio" in known:
            known["audio"] = ChatCompletionAudio(**to_arguments(known["audio"], ChatCompletionAudio))
        return ChatCompletionMessage(**known)


def _speaks(delta: ChatCompletionChunkDelta) -> bool:
    """Whether a delta brings a non-empty value other than its role."""
    *values, extra = astuple(delta)
    brought = (value for name, value in zip(delta.__struct_fields__, values, strict=False) if name != "role")
    return any(map(_is_full, brought)) or any(map(_is_full, extra.values()))


def _is_full(value: object) -> bool:
    if isinstance(value, Struct):
        return bool(to_plain(value))
    return value is not None and value not in ("", [], {})


def _extend(fields: Fields, name: str, value: object) -> None:
    if isinstance(value, list):
        before = fields.get(name)
        if isinstance(before, list):
            before.extend(value)
        else:
            fields[name] = [*value]
    elif value is not None:
        replace(fields, name, value)
