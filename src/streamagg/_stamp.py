"""Chunks that differ in a few places only, made from one of them instead of from their JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._chunk import ChatCompletionChunk
from ._holes import INDEX, LAST, LOGPROBS, TEXT, Hole, with_value
from ._struct import Extra, copied

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

    levels = [3 if hole.name == "arguments" else _LEVELS.get(hole.kind, 0) for hole in holes]
    unknown = [(place, hole.name) for place, hole in enumerate(holes) if hole.kind == LAST and hole.name in chunk.extra]
    targets = [
        (place, levels[place], hole.name) for place, hole in enumerate(holes) if (place, hole.name) not in unknown
    ]

    has_extra = bool(chunk.extra)

    def quick(row: Sequence[Any]) -> ChatCompletionChunk:
        new: ChatCompletionChunk = template.__copy__()
        new.choices = [choice := template.choices[0].__copy__()]
        choice.delta = delta = choice.delta.__copy__()
        function = None
        if delta.tool_calls:
            delta.tool_calls = [call := delta.tool_calls[0].__copy__()]
            call.function = function = call.function.__copy__()
        made = (new, choice, delta, function)
        for place, level, name in targets:
            setattr(made[level], name, row[place])
        if has_extra:
            new.extra = extra = Extra(template.extra)
            for place, name in unknown:
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
