"""Chunks that differ in a few places only, made from one of them instead of from their JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._codec.struct import Extra, copied
from .._types.chunk import ChatCompletionChunk
from .placeholders import INDEX, LAST, LOGPROBS, TEXT, Hole, with_value

Stamp = Callable[[Sequence[Any]], ChatCompletionChunk]
"""From the values in the holes to the chunk, which shares nothing with any other."""


def stamp_of(chunk: ChatCompletionChunk, holes: Sequence[Hole]) -> Stamp:
    """What makes chunks like this one, with other values in its holes."""
    template: Any = copied(chunk)
    if not _is_flat(chunk):

        def slow(row: Sequence[Any]) -> ChatCompletionChunk:
            new: ChatCompletionChunk = copied(template)
            for hole, value in zip(holes, row, strict=True):
                with_value(new, hole.kind, hole.name, value)
            return new

        return slow

    where: list[list[tuple[int, str]]] = [[], [], [], []]  # the chunk's own, the choice's, the text, the unknown
    for place, hole in enumerate(holes):
        unknown = hole.kind == LAST and hole.name in chunk.extra
        where[3 if unknown else _LEVELS.get(hole.kind, 0)].append((place, hole.name))
    own, choices, ((text_at, text_name),), extras = where
    has_extra = bool(chunk.extra)
    first = template.choices[0]
    copy, copy_choice, copy_delta = template.__copy__, first.__copy__, first.delta.__copy__
    call = first.delta.tool_calls[0] if first.delta.tool_calls else None

    def quick(row: Sequence[Any]) -> ChatCompletionChunk:
        new: ChatCompletionChunk = copy()
        choice = copy_choice()
        choice.delta = told = copy_delta()
        new.choices = [choice]
        if call is not None:
            told.tool_calls = [of_call := call.__copy__()]
            of_call.function = told = call.function.__copy__()
        setattr(told, text_name, row[text_at])
        for place, name in own:
            setattr(new, name, row[place])
        for place, name in choices:
            setattr(choice, name, row[place])
        if has_extra:
            new.extra = extra = Extra(template.extra)
            for place, name in extras:
                extra[name] = row[place]
        return new

    return quick


_LEVELS = {TEXT: 2, INDEX: 1, LOGPROBS: 1}


def _is_flat(chunk: ChatCompletionChunk) -> bool:
    """Whether a chunk holds no lists and objects but those around its one text and in its holes."""
    outside = chunk.to_dict()
    choice = outside.pop("choices")[0]
    delta, around = choice.pop("delta"), ("usage", "logprobs", "tool_calls")
    fields = [*outside.items(), *choice.items(), *delta.items()]
    return not any(isinstance(value, (dict, list)) for name, value in fields if name not in around)
