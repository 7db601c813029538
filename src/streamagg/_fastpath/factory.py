"""A chunk factory: chunks that differ only in their placeholders, made from one of them instead of from their JSON.

It takes half of the time of decoding. Typed chunks of long streams are handed out twice as quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._codec.struct import Extra
from .._types.chunk import ChatCompletionChunk
from .placeholders import ChoiceIndex, LastValue, Placeholder, Text

Factory = Callable[[Sequence[Any]], ChatCompletionChunk]
"""Takes the values of the placeholders, in order. Returns a chunk that shares nothing with any other."""


def factory_of(chunk: ChatCompletionChunk, placeholders: Sequence[Placeholder]) -> Factory | None:
    """The factory of chunks like this one. None if the chunk holds a list or an object that its copies would share."""
    if not _is_flat(chunk) or not chunk.choices:
        return None
    first: Any = chunk.choices[0]
    call = first.delta.tool_calls[0] if first.delta.tool_calls else None
    of_text = next(place for place, each in enumerate(placeholders) if type(each) is Text)
    text_name = placeholders[of_text].name
    of_index = next((place for place, each in enumerate(placeholders) if type(each) is ChoiceIndex), None)
    unknown = [place for place, each in enumerate(placeholders) if type(each) is LastValue and each.name in chunk.extra]
    own = [place for place, each in enumerate(placeholders) if place not in (of_text, of_index, *unknown)]
    names = [each.name for each in placeholders]
    # `__copy__` is msgspec's own, which its types do not name.
    copy, copy_choice, copy_delta = chunk.__copy__, first.__copy__, first.delta.__copy__  # type: ignore[attr-defined]

    def make(values: Sequence[Any]) -> ChatCompletionChunk:
        new: ChatCompletionChunk = copy()
        choice = copy_choice()
        choice.delta = owner = copy_delta()
        for part in (choice, owner):
            if part.extra:
                part.extra = Extra(part.extra)
        new.choices = [choice]
        if call is not None:
            owner.tool_calls = [new_call := call.__copy__()]
            new_call.function = owner = call.function.__copy__()
        setattr(owner, text_name, values[of_text])
        if of_index is not None:
            choice.index = values[of_index]
        for place in own:
            setattr(new, names[place], values[place])
        if chunk.extra:
            new.extra = extra = Extra(chunk.extra)
            for place in unknown:
                extra[names[place]] = values[place]
        return new

    return make


def _is_flat(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk holds no lists and objects but those around its text and in its placeholders."""
    outside = chunk.to_dict()
    choice = outside.pop("choices")[0]
    delta, around = choice.pop("delta"), ("usage", "tool_calls")
    fields = [*outside.items(), *choice.items(), *delta.items()]
    return not any(isinstance(value, (dict, list)) for name, value in fields if name not in around)
