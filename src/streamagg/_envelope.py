"""The fast path: consecutive chunks differ only in a few places, so only those are decoded.

What it assumes. A stream's events repeat one another but for some *holes*: the delta's text, and
where the server sends them padding, signatures, a running usage. An `Envelope` is made from one
event that the general path has just read and merged: the bytes around its holes.

Why it is safe. A line that starts with the envelope's first piece, has the other pieces in order and
ends with the last one, is that event with other bytes in its holes. Each hole is decoded on its own,
as one JSON value and nothing more, so the line is the same JSON with other values in these places,
whatever they hold: quotes, backslashes and control characters at the seams make the value no JSON
string, and the general path then reads the line and says what is wrong with it. That the holes are
where they seem to be is not argued but tried: the event with other values in them must decode to the
same chunk with those values, or there is no envelope. Everything outside the holes was merged with
the event that the envelope was made from, and merging it again would change nothing: `_is_repeatable`
refuses chunks of which that is not so.

What ends it. A chunk read by the general path that differs in more than its choice's text ends all
envelopes; so does anything else that the general path sees between two events. A line that does not
fit, or is not followed by its blank line, goes the general way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from ._chunk import ChatCompletionChunk, ChatCompletionChunkDelta, ChatCompletionChunkToolCall
from ._merge import Merger
from ._response import CompletionUsage
from ._text import Text

_decode_chunk = msgspec.json.Decoder(ChatCompletionChunk).decode
_decode_text: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
_decode_usage = msgspec.json.Decoder(CompletionUsage).decode

_TEXT, _PADDING, _LAST, _USAGE = range(4)

_MOST = 64
"""How many envelopes a stream may have: one for each of so many choices."""
_PATIENCE = 512
"""How many chunks at most are let pass before another try, where envelopes never fit."""


class Hole:
    """A place in an event where its value stands, of its kind."""

    __slots__ = ("decode", "end", "kind", "name", "start")

    def __init__(self, kind: int, name: str, decode: Callable[[bytes], Any], start: int, end: int) -> None:
        self.kind = kind
        self.name = name
        self.decode = decode
        self.start = start
        self.end = end


class Envelope:
    """The bytes around the holes of one choice's events, and where what is in the holes goes."""

    __slots__ = ("append", "cut", "decoders", "gaps", "head", "holes", "start", "tail", "text")

    def __init__(self, pieces: list[bytes], holes: list[Hole], text: Text) -> None:
        self.head = pieces[0]
        self.tail = pieces[-1]
        self.start = len(self.head)
        self.cut = -len(self.tail)
        self.gaps = pieces[1:-1]
        self.holes = holes
        self.decoders = [hole.decode for hole in holes]
        self.text = text
        self.append = text.tail.append

    def open(self, line: bytes) -> list[Any] | None:
        """What is in the holes of a line; None where it does not fit."""
        if not (line.startswith(self.head) and line.endswith(self.tail, self.start)):
            return None
        values = []
        place = self.start
        try:
            for gap, decode in zip(self.gaps, self.decoders, strict=False):
                end = line.index(gap, place)
                values.append(decode(line[place:end]))
                place = end + len(gap)
            values.append(self.decoders[-1](line[place : self.cut]))
        except (ValueError, RecursionError):  # msgspec's and Unicode's errors are ValueErrors
            return None
        return values

    def merge(self, values: list[Any], merger: Merger) -> int:
        """Merge what was in the holes; returns the growth in size."""
        grown = 0
        for hole, value in zip(self.holes, values, strict=True):
            if hole.kind == _TEXT:
                self.append(value)
                grown += len(value)
            elif hole.kind == _LAST:
                merger.fields[hole.name] = value
            elif hole.kind == _USAGE:
                grown += merger.usage.add(value, alone=False)
        return grown


class Envelopes:
    """The envelopes of one stream, one for each choice, and when it is worth making them."""

    def __init__(self, merger: Merger) -> None:
        self._merger = merger
        self._order: list[Envelope] = []
        self._by_choice: dict[int | None, Envelope] = {}
        self._shell: ChatCompletionChunk | None = None
        self._turn = 0
        self._hits = 0
        self._wait = 1
        self._skip = 0
        self.ready = False
        """Whether there is an envelope to try."""

    def take(self, lines: list[bytes]) -> tuple[int, list[bytes]]:
        """Merge the events that fit, from the first line on, up to one that does not.

        The lines must begin between two events. Returns how many events were merged, and the lines
        that are left: none of theirs was looked at.
        """
        order, merger = self._order, self._merger
        turn = self._turn
        envelope = order[turn]
        head, tail, start, cut = envelope.head, envelope.tail, envelope.start, envelope.cut
        plain = not envelope.gaps
        held: Any = None
        held_line = b""
        taken = grown = 0
        left: list[bytes] = []
        rest = iter(lines)
        for line in rest:
            if not line:
                if held is None:
                    continue
                if plain:
                    envelope.append(held)
                    grown += len(held)
                else:
                    grown += envelope.merge(held, merger)
                held = None
                taken += 1
                if len(order) > 1:  # choices take turns
                    turn = (turn + 1) % len(order)
                    envelope = order[turn]
                    head, tail, start, cut = envelope.head, envelope.tail, envelope.start, envelope.cut
                    plain = not envelope.gaps
                continue
            if held is None and plain and line.startswith(head) and line.endswith(tail, start):
                try:
                    held = _decode_text(line[start:cut])
                except ValueError:
                    left = [line, *rest]
                    break
                held_line = line
            elif line.startswith(b":"):
                continue
            elif held is not None:
                left = [held_line, line, *rest]
                held = None
                break
            else:
                for other in range(turn, turn + len(order)):
                    envelope = order[other % len(order)]
                    held = envelope.open(line)
                    if held is not None:
                        break
                else:
                    left = [line, *rest]
                    break
                turn = other % len(order)
                head, tail, start, cut = envelope.head, envelope.tail, envelope.start, envelope.cut
                plain = not envelope.gaps
                if plain:
                    held = held[0]
                held_line = line
        if held is not None:  # its blank line has not come yet
            left = [held_line]
        self._turn = turn
        self._hits += taken
        merger.size += grown
        for envelope in order:
            if len(envelope.text.tail) >= envelope.text.wait:
                envelope.text.fold()
        return taken, left

    def end(self) -> None:
        """Something came that the envelopes do not know of."""
        self._order.clear()
        self._by_choice.clear()
        self._shell = None
        self._turn = 0
        self.ready = False

    def learn(self, chunk: ChatCompletionChunk, data: bytes, lead: bytes) -> None:
        """Look at a chunk that the general path has just merged: make an envelope of it, or end all.

        `lead` is what stood before its data on the line. Making one costs some ten microseconds, so
        where envelopes do not fit more and more chunks are let pass before the next try.
        """
        if self._skip:
            self._skip -= 1
            return
        if not _is_repeatable(chunk, self._merger):
            if self.ready:
                self.end()
            return
        index = chunk.choices[0].index if chunk.choices else None
        shell = _shell(chunk)
        if shell != self._shell or index in self._by_choice or len(self._order) >= _MOST:
            missed = self.ready and self._hits < 4
            self.end()
            self._wait = min(2 * self._wait, _PATIENCE) if missed else 1
            if missed:
                self._skip = self._wait
                self._hits = 0
                return
        envelope = _made(chunk, data, lead, self._merger)
        if envelope is None:
            self.end()
            self._wait = self._skip = min(2 * self._wait, _PATIENCE)
            return
        self._hits = 0
        self._shell = shell
        self._by_choice[index] = envelope
        self._order.append(envelope)
        self.ready = True


# ------------------------------------------------------------------ making one

_STRING = rb'"(?:[^"\\]|\\.)*"'
_OBJECT = rb"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_PROBE = '"\\,:{}[]\x00é😀'
_PROBE_USAGE = CompletionUsage(prompt_tokens=987654321, total_tokens=1)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def _decode_p(raw: bytes) -> str:
    """Mistral's padding, which is padding only as long as it says nothing."""
    value = _decode_text(raw)
    if not _ALPHABET.startswith(value):
        raise ValueError(value)
    return value


def _is_repeatable(chunk: ChatCompletionChunk, merger: Merger) -> bool:
    """Whether merging the chunk again, but for its holes, would change nothing and need no repair."""
    choices = chunk.choices
    if not choices or len(choices) > 1 or chunk.error is not None or chunk.x_groq is not None or chunk.extra:
        return False
    choice, delta = choices[0], choices[0].delta
    return (
        delta is not None
        and choice.index is not None
        and not choice.finish_reason
        and choice.logprobs is None
        and choice.message is None
        and choice.usage is None
        and choice.error is None
        and not choice.text
        and not choice.token_ids
        and not choice.extra
        and not delta.reasoning_details
        and not delta.annotations
        and not delta.images
        and delta.function_call is None
        and delta.audio is None
        and not delta.extra
        and not isinstance(delta.token_id, (dict, list))
        and (not chunk.id or chunk.id == merger.fields.get("id"))
        and (chunk.p is None or _ALPHABET.startswith(chunk.p))
        and _text_name(delta) is not None
    )


def _text_name(delta: ChatCompletionChunkDelta) -> str | None:
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


def _shell(chunk: ChatCompletionChunk) -> ChatCompletionChunk:
    """What a chunk says beside its choice, its holes, and what only the first chunk decides."""
    shell = msgspec.structs.replace(chunk, choices=None, id=None, created=None, model=None)
    shell.usage = shell.obfuscation = shell.p = None
    shell.signature = shell.response_hash = None
    return shell


def _made(chunk: ChatCompletionChunk, data: bytes, lead: bytes, merger: Merger) -> Envelope | None:
    """An envelope of a repeatable chunk; None where its holes cannot be found."""
    choice = chunk.choices[0] if chunk.choices else None
    delta = choice.delta if choice is not None else None
    name = _text_name(delta) if delta is not None else None
    if choice is None or delta is None or name is None or choice.index is None:
        return None
    try:
        if _decode_chunk(data) != chunk:
            return None
    except (ValueError, RecursionError):  # it took the tolerant reader, as will the next
        return None
    state = merger.choices[choice.index]
    text = state.text_of(name, delta.tool_calls[0].index if delta.tool_calls else None)
    if text is None:
        return None
    wanted: list[tuple[int, str, Callable[[bytes], Any]]] = [(_TEXT, name, _decode_text)]
    signed = (field for field in ("signature", "response_hash") if isinstance(getattr(chunk, field), str))
    wanted.extend((_LAST, field, _decode_text) for field in signed)
    if chunk.obfuscation is not None:
        wanted.append((_PADDING, "obfuscation", _decode_text))
    if chunk.p is not None:
        wanted.append((_PADDING, "p", _decode_p))
    if chunk.usage is not None:
        wanted.append((_USAGE, "usage", _decode_usage))
    holes = [_found(data, *want) for want in wanted]
    if None in holes:
        return None
    found = sorted((hole for hole in holes if hole is not None), key=lambda hole: hole.start)
    edges = [0, *(edge for hole in found for edge in (hole.start, hole.end)), len(data)]
    pieces = [data[edges[n] : edges[n + 1]] for n in range(0, len(edges), 2)]
    pieces[0] = lead + pieces[0]
    return Envelope(pieces, found, text)


def _found(data: bytes, kind: int, name: str, decode: Callable[[bytes], Any]) -> Hole | None:
    """Where a field's value stands: the place where another value changes that field and nothing else."""
    probe: Any = _PROBE_USAGE if kind == _USAGE else "abc" if name == "p" else _PROBE
    raw = msgspec.json.encode(probe)
    pattern = rb'"%b"\s*:\s*(%b)' % (name.encode(), _OBJECT if kind == _USAGE else _STRING)
    for match in re.finditer(pattern, data):
        start, end = match.span(1)
        try:
            tried = _decode_chunk(data[:start] + raw + data[end:])
        except (ValueError, RecursionError):
            continue
        if tried == _with(_decode_chunk(data), kind, name, probe):
            return Hole(kind, name, decode, start, end)
    return None


def _with(chunk: ChatCompletionChunk, kind: int, name: str, value: Any) -> ChatCompletionChunk:
    """A chunk with another value in one field."""
    target: Any = chunk
    if kind == _TEXT and chunk.choices:
        target = chunk.choices[0].delta
        if name == "arguments":
            target = target.tool_calls[0].function
    setattr(target, name, value)
    return chunk
