"""Where the events of a stream differ from one another, and how to find these places in one of them.

That a hole is where it seems to be is not argued but tried: the event with another value in it must
decode to the same chunk with that value, or there is no hole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Annotated, Any

import msgspec

from .._codec.errors import Unreadable
from .._codec.lenient import parse, to_struct
from .._codec.struct import Extra
from .._types.chunk import ChatCompletionChunk, ChatCompletionChunkDelta, ChatCompletionChunkToolCall
from .._types.completion import ChatCompletionLogProbs
from .._types.usage import CompletionUsage

TEXT, PADDING, LAST, USAGE, INDEX, LOGPROBS = range(6)
"""What a hole holds: a delta's text; what is dropped; what the last one counts of; a usage report;
the index of the choice; the logprobs of its text."""

_MOST_TRIES = 4
"""How many places are tried where a hole may be."""
_MOST_HOLES = 8
"""How many holes there may be: past some, decoding the whole is as quick."""


class HoleReader(msgspec.Struct, frozen=True):
    """How to read the values of one kind; a ValueError where one is of another."""

    one: Callable[[bytes], Any]
    """The value, with its quotes if it is a string."""
    all: Callable[[Sequence[bytes]], list[Any]]
    """The values of as many events, without quotes."""
    quotes: int
    """1 for strings, else 0."""
    quick: Callable[[Sequence[bytes]], list[Any]]
    """As `all`, for who only merges them: refuses the same, and gives no more than what counts."""


class Hole(msgspec.Struct, frozen=True):
    """A place in an event where its value stands, of its kind."""

    kind: int
    name: str
    reader: HoleReader
    start: int
    end: int
    """The quotes of a string are not its own: they are the envelope's."""


# ------------------------------------------------------------------ reading what is in them

decode_string: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
_decode_strings: Callable[[bytes], list[str]] = msgspec.json.Decoder(list[str]).decode
_decode_integers: Callable[[bytes], list[int]] = msgspec.json.Decoder(list[int]).decode
_decode_any = msgspec.json.Decoder().decode
_decode_logprobs = msgspec.json.Decoder(ChatCompletionLogProbs).decode
_decode_usage = msgspec.json.Decoder(CompletionUsage).decode


def strings(raw: Sequence[bytes]) -> list[str]:
    """Strings without their quotes, decoded as one JSON array: a third of the cost of one by one.

    No string can span the raw line feeds between them, and nothing in the array can nest: where the
    count is right, each was one string and no more.
    """
    values = _decode_strings(b'["%b"]' % b'",\n"'.join(raw))
    if len(values) != len(raw):
        raise ValueError("not one string each")
    return values


def _alphabets(raw: Sequence[bytes]) -> list[str]:
    """Mistral's padding, which is padding only as long as it says nothing."""
    values = strings(raw)
    if not all(map(ALPHABET.startswith, values)):
        raise ValueError("not padding")
    return values


_SCALARS = {str, int, float, bool}


def _singles(raw: Sequence[bytes]) -> list[Any]:
    """Numbers or booleans, or strings beside them."""
    values = [_decode_any(each) for each in raw]
    if not _SCALARS.issuperset(map(type, values)):
        raise ValueError("not single values")
    return values


def _reports(raw: Sequence[bytes]) -> list[CompletionUsage]:
    """Usage reports that hold nothing which the limits would have to look at."""
    values = [_decode_usage(each) for each in raw]
    for value in values:
        if value.cost is not None or value.search_context_size is not None:
            raise ValueError("not counters alone")
    return values


def _indices(raw: Sequence[bytes]) -> list[int]:
    """As `strings`: what stands between two commas can be neither several integers nor none."""
    values = _decode_integers(b"[%b]" % b",".join(raw))
    if len(values) != len(raw):
        raise ValueError("not one integer each")
    return values


def _logprobs(raw: Sequence[bytes]) -> list[ChatCompletionLogProbs]:
    return [_decode_logprobs(each) for each in raw]


def _padding(raw: Sequence[bytes]) -> list[Any]:
    """Nothing: padding is letters and digits, which are a string, or else some string."""
    return [] if b"".join(raw).isalnum() else strings(raw)


class _Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A report of the three counters, as a running total repeats it."""

    prompt_tokens: Annotated[int, msgspec.Meta(gt=0)]
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: None = None
    completion_tokens_details: None = None


_decode_counters = msgspec.json.Decoder(list[tuple[_Counters]]).decode


def _running(raw: Sequence[bytes]) -> list[CompletionUsage]:
    """The last of some reports, where each of them replaces the one before it.

    Inside a `_Counters` no bracket can stand, so none of them spans two: as for `strings`, the count tells.
    """
    try:
        whole = len(_decode_counters(b"[[%b]]" % b"],[".join(raw))) == len(raw)
    except ValueError:
        whole = False
    return [_decode_usage(raw[-1])] if whole else _reports(raw)


_STRINGS = HoleReader(decode_string, strings, 1, strings)
_PADDING = HoleReader(decode_string, strings, 1, _padding)
_ALPHABETS = HoleReader(lambda raw: _alphabets((raw[1:-1],))[0], _alphabets, 1, _alphabets)
_SINGLES = HoleReader(lambda raw: _singles((raw,))[0], _singles, 0, _singles)
_REPORTS = HoleReader(lambda raw: _reports((raw,))[0], _reports, 0, _running)
_INDICES = HoleReader(msgspec.json.Decoder(int).decode, _indices, 0, _indices)
_LOGPROBS = HoleReader(_decode_logprobs, _logprobs, 0, _logprobs)


# ------------------------------------------------------------------ what may have them

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def text_name(delta: ChatCompletionChunkDelta) -> str | None:
    """The one text that a delta brings; None where it brings none, several, or something else."""
    names = [name for name in _TEXTS if getattr(delta, name)]
    if delta.tool_calls:
        names += ["arguments"] if _is_continuation(delta.tool_calls) else ["", ""]
    return names[0] if len(names) == 1 and not isinstance(delta.content, list) else None


def _is_continuation(calls: list[ChatCompletionChunkToolCall]) -> bool:
    """Whether a delta's calls are one fragment of arguments for the call at its index."""
    call = calls[0]
    function = call.function
    return (
        len(calls) == 1
        and call.index is not None
        and not call.id
        and call.custom is None
        and call.extra_content is None
        and not call.extra
        and function is not None
        and not function.name
        and bool(function.arguments)
        and not function.extra
    )


# ------------------------------------------------------------------ finding them

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_SINGLE = rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|true|false'
_OBJECT = rb"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_INTEGER = rb"[0-9]+"
_PROBE = '"\\,:{}[]\x00é😀'
_PROBES: dict[int, Any] = {
    INDEX: 987654321,
    USAGE: CompletionUsage(prompt_tokens=987654321, total_tokens=1),
    LOGPROBS: ChatCompletionLogProbs(content=[]),
}
_PATTERNS = {INDEX: _INTEGER, USAGE: _OBJECT, LAST: _SINGLE}


class _Outer(msgspec.Struct):
    """A chunk's logprobs as they stand in its bytes: no pattern finds where they end."""

    class Choice(msgspec.Struct):
        logprobs: msgspec.Raw

    choices: list[Choice]


_decode_outer = msgspec.json.Decoder(_Outer).decode
_decode_strictly = msgspec.json.Decoder(ChatCompletionChunk).decode


def decode_chunk(data: bytes) -> ChatCompletionChunk:
    """A chunk read either way; a ValueError where that needs a repair, which must be counted each time."""
    try:
        return _decode_strictly(data)
    except (ValueError, RecursionError):
        needed: list[str] = []
        try:
            chunk = to_struct(ChatCompletionChunk, parse(data, needed.append), needed.append)
        except (Unreadable, RecursionError):
            needed.append("unreadable")
        if needed:
            raise ValueError(needed) from None
        return chunk


def holes_of(chunk: ChatCompletionChunk, name: str, data: bytes, *, indexed: bool) -> list[Hole] | None:
    """The holes of a chunk whose only choice brings one text, of this name, in order; None where one cannot
    be found. `indexed`: the index of its choice is one too.
    """
    wanted: list[tuple[int, str, HoleReader]] = [(TEXT, name, _STRINGS)]
    for field, value in {"signature": chunk.signature, "response_hash": chunk.response_hash, **chunk.extra}.items():
        if value is not None and not isinstance(value, (dict, list)):
            wanted.append((LAST, field, _STRINGS if isinstance(value, str) else _SINGLES))
    if chunk.obfuscation is not None:
        wanted.append((PADDING, "obfuscation", _PADDING))
    if chunk.p is not None:
        wanted.append((PADDING, "p", _ALPHABETS))
    if chunk.usage is not None:
        if chunk.usage.cost is not None or chunk.usage.search_context_size is not None:
            return None
        wanted.append((USAGE, "usage", _REPORTS))
    if chunk.choices and chunk.choices[0].logprobs is not None:
        wanted.append((LOGPROBS, "logprobs", _LOGPROBS))
    if indexed:
        wanted.append((INDEX, "index", _INDICES))
    if len(wanted) > _MOST_HOLES:
        return None
    holes: list[Hole] = []
    for want in wanted:
        hole = _found(data, *want)
        if hole is None:
            return None
        holes.append(hole)
    return sorted(holes, key=lambda hole: hole.start)


def _found(data: bytes, kind: int, name: str, reader: HoleReader) -> Hole | None:
    """Where a field's value stands: the place where another value changes that field and nothing else."""
    probe: Any = _PROBES.get(kind, "abc" if name == "p" else _PROBE)
    if reader is _SINGLES:
        probe = 987654321
    raw = msgspec.json.encode(probe)
    value = _PATTERNS.get(kind, _STRING)
    if kind == LOGPROBS:
        value = re.escape(bytes(_decode_outer(data).choices[0].logprobs))
    pattern = rb'"%b"\s*:\s*(%b)' % (re.escape(name.encode("utf-8", "replace")), value)
    for match in islice(re.finditer(pattern, data), _MOST_TRIES):
        start, end = match.span(1)
        try:
            tried = decode_chunk(data[:start] + raw + data[end:])
        except ValueError:
            continue
        if tried == with_value(decode_chunk(data), kind, name, probe):
            return Hole(kind, name, reader, start + reader.quotes, end - reader.quotes)
    return None


def with_value(chunk: ChatCompletionChunk, kind: int, name: str, value: Any) -> ChatCompletionChunk:
    """A chunk of one choice, with another value in one field."""
    target: Any = chunk
    if kind in (TEXT, INDEX, LOGPROBS) and chunk.choices:
        target = chunk.choices[0]
        if kind == TEXT:
            target = target.delta
        if name == "arguments":
            target = target.tool_calls[0].function
    if kind == LAST and name in chunk.extra:
        chunk.extra = Extra({**chunk.extra, name: value})
    else:
        setattr(target, name, value)
    return chunk
