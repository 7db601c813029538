"""Merging chunks into one response: the merge table, a rule for each field of each level.

Nothing here can fail half-way. `Merger.add` first looks whether the chunk would pass a limit (or,
when strict, needs a repair) and raises then, with nothing changed; after that every rule succeeds.
`null` never erases what is there, and what never came stays None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ._chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionChunkToolCall,
)
from ._content import Content
from ._errors import LimitError
from ._items import Items
from ._lenient import Note, to_struct
from ._limits import Limits
from ._response import (
    ChatCompletionAudio,
    ChatCompletionChoice,
    ChatCompletionLogProbs,
    ChatCompletionMessage,
    ChatCompletionResponse,
    CompletionUsage,
)
from ._slots import Callee, Slots, function_of
from ._struct import Extra, WireStruct, copied
from ._text import Text
from ._usage import UsageMerge, UsageMode
from ._values import check_depth, merge_object, replace, settled, weigh

Fields = dict[str, Any]
Rule = Callable[[Fields, str, Any], int]
"""Lets a value join the fields of its level; returns the growth in size."""

# ------------------------------------------------------------------ the outcomes


def first(fields: Fields, name: str, value: Any) -> int:
    """First non-empty, else the first that came."""
    before = fields.get(name)
    return replace(fields, name, value) if before is None or (not before and value) else 0


def last(fields: Fields, name: str, value: Any) -> int:
    """Last non-empty."""
    return replace(fields, name, value) if value else 0


def last_even_empty(fields: Fields, name: str, value: Any) -> int:
    """Last non-empty; `""` where nothing else came."""
    return replace(fields, name, value) if value or name not in fields else 0


def append(fields: Fields, name: str, value: str) -> int:
    """Append."""
    text = fields.get(name)
    if not isinstance(text, Text):
        text = fields[name] = Text()
    text.add(value)
    return len(value)


def extend(fields: Fields, name: str, value: list[Any]) -> int:
    """Extend, whether the items have an index or not."""
    items = fields.get(name)
    if not isinstance(items, list):
        items = fields[name] = []
    items.extend(copied(value))
    return weigh(value)


def by_index(fields: Fields, name: str, value: list[Any]) -> int:
    """By index, where the items have one; extend, where not."""
    items = fields.get(name)
    if not isinstance(items, Items):
        items = fields[name] = Items()
    return sum(items.add(item) for item in value)


def content(fields: Fields, name: str, value: str | list[Any]) -> int:
    """Append; a list of parts survives as one."""
    held = fields.get(name)
    if held is None:
        held = fields[name] = Content()
    grown: int = held.add(value)
    return grown


def audio(fields: Fields, name: str, value: ChatCompletionAudio) -> int:
    """Key by key; the base64 data and the transcript appended."""
    into = fields.setdefault(name, {})
    plain = value.to_dict()
    grown = sum(append(into, part, plain.pop(part)) for part in ("data", "transcript") if part in plain)
    return grown + merge_object(into, plain)


def dropped(fields: Fields, name: str, value: Any) -> int:
    """Dropped."""
    return 0


def padding(fields: Fields, name: str, value: str) -> int:
    """Dropped, where it is Mistral's padding: a prefix of the alphabet and the digits."""
    return 0 if "abcdefghijklmnopqrstuvwxyz0123456789".startswith(value) else replace(fields, name, value)


def other(fields: Fields, name: str, value: Any) -> int:
    """An unknown field of chunk or choice: objects key by key, the rest last non-null."""
    return merge_object(fields, {name: value}) if isinstance(value, dict) else replace(fields, name, value)


def other_of_delta(fields: Fields, name: str, value: Any) -> int:
    """An unknown field of a delta: strings append, lists extend or go by index, objects key by key."""
    if isinstance(value, str):
        return append(fields, name, value)
    if isinstance(value, list):
        return by_index(fields, name, value)
    return other(fields, name, value)


# ------------------------------------------------------------------ the table

CHUNK: dict[str, Rule] = {
    "id": first,
    "created": first,
    "model": first,
    "service_tier": last_even_empty,
    "system_fingerprint": last_even_empty,
    "p": padding,
    "object": dropped,
    "obfuscation": dropped,
    "error": dropped,
    "choices": dropped,  # by index, below
    "usage": dropped,  # to the usage rules
}
CHOICE: dict[str, Rule] = {
    "finish_reason": last,
    "text": append,
    "token_ids": extend,
    "error": dropped,
    "index": dropped,
    "usage": dropped,
    "delta": dropped,  # below, as are `message` and `logprobs`
    "message": dropped,
    "logprobs": dropped,
}
DELTA: dict[str, Rule] = {
    "role": last,
    "name": last,
    "channel": last,
    "phase": last,
    "recipient": last,
    "content": content,
    "refusal": append,
    "reasoning_content": append,
    "reasoning": append,
    "annotations": extend,
    "images": by_index,
    "reasoning_details": by_index,
    "audio": audio,
    "token_id": replace,
    "tool_calls": dropped,  # to their slots, as `function_call`
    "function_call": dropped,
}


def _rules(cls: type[WireStruct], table: dict[str, Rule], default: Rule) -> tuple[tuple[str, Rule], ...]:
    named = ((name, table.get(name, default)) for name in cls.__struct_fields__ if name != "extra")
    return tuple((name, rule) for name, rule in named if rule is not dropped)


_CHUNK_RULES = _rules(ChatCompletionChunk, CHUNK, other)
_CHOICE_RULES = _rules(ChatCompletionChunkChoice, CHOICE, other)
_DELTA_RULES = _rules(ChatCompletionChunkDelta, DELTA, other_of_delta)


def _merge_fields(
    fields: Fields, new: WireStruct, rules: tuple[tuple[str, Rule], ...], default: Rule, extra: Extra
) -> int:
    grown = 0
    for name, rule in rules:
        if (value := getattr(new, name)) is not None:
            grown += rule(fields, name, value)
    for name, value in extra.items():
        grown += default(fields, name, value)
    return grown


# ------------------------------------------------------------------ the state


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
        return grown + _merge_fields(self.fields, choice, _CHOICE_RULES, other, choice.extra)

    def _add_delta(self, delta: ChatCompletionChunkDelta, note: Note) -> int:
        if not self.spoke and _speaks(delta):
            self.spoke = True
            self.message = None
        grown = _merge_fields(self.delta, delta, _DELTA_RULES, other_of_delta, delta.extra)
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
        known = _split(self.fields, ChatCompletionChoice)
        if self.logprobs is not None:
            known["logprobs"] = ChatCompletionLogProbs(**_split(self.logprobs, ChatCompletionLogProbs))
        return ChatCompletionChoice(index=index, message=self._message(), **known)

    def _message(self) -> ChatCompletionMessage:
        if self.message is not None:
            message: ChatCompletionMessage = copied(self.message)
            return message
        known = _split(self.delta, ChatCompletionMessage)
        if self.calls is not None:
            known["tool_calls"] = self.calls.value()
        if self.function_call is not None:
            known["function_call"] = function_of(self.function_call)
        if "audio" in known:
            known["audio"] = ChatCompletionAudio(**_split(known["audio"], ChatCompletionAudio))
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


def _split(fields: Fields, cls: type[WireStruct]) -> Fields:
    """`fields` as they stand, as arguments of `cls`: those it does not know under `extra`."""
    known: Fields = {}
    extra: Fields = {}
    for name, value in fields.items():
        (known if name in cls.__struct_fields__ and name != "extra" else extra)[name] = settled(value)
    if extra:
        known["extra"] = Extra(extra)
    return known


class Merger:
    """Takes chunks in order; `response()` is what they merge to so far, None before the first."""

    def __init__(self, usage: UsageMode, limits: Limits, note: Note, *, strict: bool) -> None:
        self.choices: dict[int, ChoiceState] = {}
        self.size = 0
        self.began = False
        self._fields: Fields = {}
        self._usage = UsageMerge(usage)
        self._limits = limits
        self._note = note
        self._strict = strict
        self._near_limit = limits.response_size - limits.event_bytes  # an event weighs no more than its bytes

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Merge one chunk. Where it passes a limit, or needs a repair when strict, nothing changes."""
        if self.size > self._near_limit or not _is_plain(chunk, self.choices):
            self._check(chunk)
        if self._strict:
            self._rehearse(chunk)
        self.began = True
        if chunk.id and self._fields.get("id", chunk.id) not in ("", chunk.id):
            self._note("id_changed")
        self.size += _merge_fields(self._fields, chunk, _CHUNK_RULES, other, chunk.extra)
        if chunk.choices is None:
            self._note("choices_missing")
        for index, choice in _numbered(chunk.choices):
            _note_choice(choice, self._note)
            state = self.choices.get(index)
            if state is None:
                state = self.choices[index] = ChoiceState()
                self.size += 1
            self.size += state.add(choice, self._note)
        for report in usage_reports(chunk):
            self.size += self._usage.add(report, alone=not chunk.choices)

    def response(self) -> ChatCompletionResponse | None:
        """The response so far, which shares nothing with what follows."""
        if not self.began:
            return None
        return ChatCompletionResponse(
            choices=[self.choices[index].value(index) for index in sorted(self.choices)],
            usage=self._usage.value(),
            **_split(self._fields, ChatCompletionResponse),
        )

    def finished(self) -> bool:
        """Whether there is a choice and every one has a finish reason."""
        return bool(self.choices) and all(state.fields.get("finish_reason") for state in self.choices.values())

    def missing(self) -> str:
        """What keeps the response from being finished, in words."""
        open_ = [str(index) for index in sorted(self.choices) if not self.choices[index].fields.get("finish_reason")]
        if open_:
            return f"with no finish_reason for choice {', '.join(open_[:5])}{', ...' if len(open_) > 5 else ''}"
        return "with every choice finished" if self.choices else "with no choice"

    # -------------------------------------------------------------- what may refuse a chunk

    def _check(self, chunk: ChatCompletionChunk) -> None:
        """Raise `LimitError` where the chunk would pass a limit."""
        limits = self._limits
        if self.size > self._near_limit and self.size + weigh(chunk) > limits.response_size:
            raise LimitError("response_size", limits.response_size)
        _check_nesting(chunk, limits.depth)
        numbered = list(_numbered(chunk.choices))
        opened = {index for index, _ in numbered if index not in self.choices}
        if len(self.choices) + len(opened) > limits.choices:
            raise LimitError("choices", limits.choices)
        calls: dict[int, list[ChatCompletionChunkToolCall]] = {}
        for index, choice in numbered:
            if (delta := choice.delta) is not None:
                calls.setdefault(index, []).extend(delta.tool_calls or ())
                self._check_items(self.choices.get(index), delta)
        for index, fragments in calls.items():
            slots = self._calls_of(index)
            if len(slots.slots) + len(fragments) > limits.tool_calls:
                slots = slots.copy()
                for fragment in fragments:
                    slots.add(fragment, _ignore)
                    if len(slots.slots) > limits.tool_calls:
                        raise LimitError("tool_calls", limits.tool_calls)

    def _check_items(self, state: ChoiceState | None, delta: ChatCompletionChunkDelta) -> None:
        held = state.delta if state is not None else {}
        for name, value in (*((name, getattr(delta, name)) for name in _ITEM_LISTS), *delta.extra.items()):
            if isinstance(value, list):
                items = held.get(name)
                counts = (items if isinstance(items, Items) else Items()).opens(value)
                if counts and max(counts.values()) > self._limits.tool_calls:
                    raise LimitError("tool_calls", self._limits.tool_calls)

    def _rehearse(self, chunk: ChatCompletionChunk) -> None:
        """Note every repair that the chunk needs, on copies: when strict, the first one raises."""
        note = self._note
        if chunk.id and self._fields.get("id", chunk.id) not in ("", chunk.id):
            note("id_changed")
        if chunk.choices is None:
            note("choices_missing")
        calls: dict[int, Slots] = {}
        for index, choice in _numbered(chunk.choices):
            _note_choice(choice, note)
            delta = choice.delta
            if delta is not None and delta.tool_calls:
                slots = calls.setdefault(index, self._calls_of(index).copy())
                for fragment in delta.tool_calls:
                    slots.add(fragment, note)
            if delta is not None and (call := delta.function_call) is not None:
                state = self.choices.get(index)
                held = state.function_call if state is not None else None
                if held is not None and call.name and call.name == held.name:
                    note("tool_name_repeated")

    def _calls_of(self, index: int) -> Slots:
        state = self.choices.get(index)
        return state.calls if state is not None and state.calls is not None else Slots()


def _numbered(choices: list[ChatCompletionChunkChoice] | None) -> Iterator[tuple[int, ChatCompletionChunkChoice]]:
    """Each choice with its index; one without has its position in the list."""
    for place, choice in enumerate(choices or ()):
        yield place if choice.index is None else choice.index, choice


def _note_choice(choice: ChatCompletionChunkChoice, note: Note) -> None:
    if choice.index is None:
        note("choice_index_missing")
    if choice.delta is None and choice.message is None:
        note("delta_missing")


def usage_reports(chunk: ChatCompletionChunk) -> Iterator[CompletionUsage]:
    """The usage reports of a chunk, in order: of its choices (Moonshot), its own, else Groq's."""
    for choice in chunk.choices or ():
        if choice.usage is not None:
            yield choice.usage
    if chunk.usage is not None:
        yield chunk.usage
    elif isinstance(chunk.x_groq, dict) and isinstance(report := chunk.x_groq.get("usage"), dict):
        yield to_struct(CompletionUsage, report, _ignore)


_UNTYPED_OF_CHUNK = tuple(name for name, rule in _CHUNK_RULES if rule is other)
_ITEM_LISTS = tuple(name for name, rule in _DELTA_RULES if rule is by_index)


def _is_plain(chunk: ChatCompletionChunk, known: dict[int, ChoiceState]) -> bool:
    """Whether a chunk can pass no limit but the size: known choices, no new calls, nothing untyped."""
    choices = chunk.choices
    if not choices:
        choices = []
    elif len(choices) > 1:
        return False
    for choice in choices:
        delta = choice.delta
        if choice.index not in known or choice.message is not None or choice.extra or choice.usage is not None:
            return False
        if choice.content_filter_results is not None or choice.token_ids is not None:
            return False
        if delta is not None and (
            delta.tool_calls is not None
            or isinstance(delta.content, list)
            or delta.reasoning_details is not None
            or delta.annotations is not None
            or delta.images is not None
            or delta.token_id is not None
            or delta.extra
        ):
            return False
    return not chunk.extra and all(
        getattr(chunk, name) is None or isinstance(getattr(chunk, name), str) for name in _UNTYPED_OF_CHUNK
    )


def _check_nesting(value: Any, limit: int) -> None:
    """Check the depth of every untyped value in a struct. What logprobs hold is typed throughout, and
    where the tolerant reader read them, it looked itself."""
    if isinstance(value, WireStruct):
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if isinstance(item, (WireStruct, list, dict)) and not isinstance(item, ChatCompletionLogProbs):
                _check_nesting(item, limit)
    elif isinstance(value, list) and value and isinstance(value[0], WireStruct):
        for item in value:
            _check_nesting(item, limit)
    else:
        check_depth(value, limit)


def _ignore(kind: str) -> None:
    """What a rehearsal meets is counted when it comes to pass."""
