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
from itertools import islice
from typing import Any

import msgspec

from ._chunk import ChatCompletionChunk, ChatCompletionChunkDelta, ChatCompletionChunkToolCall
from ._lenient import Unreadable, parse, to_struct
from ._merge import Merger
from ._response import CompletionUsage
from ._rules import other
from ._struct import Extra
from ._text import Text

_decode_strictly = msgspec.json.Decoder(ChatCompletionChunk).decode
_decode_text: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
_decode_any = msgspec.json.Decoder().decode
_decode_usage = msgspec.json.Decoder(CompletionUsage).decode

_TEXT, _PADDING, _LAST, _USAGE = range(4)

_COLON = 58

_MOST_BYTES = 4096
"""How long an event may be to make an envelope of: looking for holes costs several times its length."""
_MOST_TRIES = 4
"""How many places are tried where a hole may be."""
_MOST_HOLES = 8
"""How many holes an envelope may have: past some, decoding the whole is as quick."""
_MOST = 64
"""How many envelopes a stream may have: one for each of so many choices."""
_WORTH = 4
"""How many events an envelope must have taken to have been worth making."""
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

    __slots__ = ("append", "cut", "end", "head", "kept", "open", "start", "tail", "text", "values")

    def __init__(self, pieces: list[bytes], holes: list[Hole], text: Text) -> None:
        self.head = pieces[0]
        self.tail = pieces[-1]
        self.end = self.tail + b"\n\n"
        self.start = len(self.head)
        self.cut = -len(self.tail)
        self.values: list[Any] = [None] * len(holes)
        self.kept = [(place, hole.name) for place, hole in enumerate(holes) if hole.kind in (_LAST, _USAGE)]
        self.text = text
        self.append = text.tail.append
        self.open = _opener(self.start, self.cut, pieces[1:-1], holes, self.values) if len(holes) > 1 else None
        """Gives the text in a line that has the head and the tail, and leaves the other holes in `values`;
        a ValueError where it does not fit. None where the text is all that there is between them."""

    def fits(self, line: bytes) -> bool:
        if not (line.startswith(self.head) and line.endswith(self.tail)):
            return False
        try:
            self.open(line) if self.open is not None else _decode_text(line[self.start : self.cut])
        except (ValueError, RecursionError):
            return False
        return True

    def merge_others(self, merger: Merger) -> None:
        """Merge what was in the holes beside the text."""
        for place, name in self.kept:
            if name == "usage":
                merger.size += merger.usage.add(self.values[place], alone=False)
            else:
                merger.size += other(merger.fields, name, self.values[place])


def _opener(start: int, cut: int, gaps: list[bytes], holes: list[Hole], values: list[Any]) -> Callable[[bytes], str]:
    """The `open` of an envelope with several holes; two are most common, and a loop would cost them a third."""
    text_at = next(place for place, hole in enumerate(holes) if hole.kind == _TEXT)
    decoders = [hole.decode for hole in holes]

    def open_two(line: bytes) -> str:
        end = line.index(gap, start)
        values[0] = first(line[start:end])
        values[1] = last(line[end + size : cut])
        text: str = values[text_at]
        return text

    def open_many(line: bytes) -> str:
        place = start
        for at, piece, decode in inner:
            end = line.index(piece, place)
            values[at] = decode(line[place:end])
            place = end + len(piece)
        values[-1] = last(line[place:cut])
        text: str = values[text_at]
        return text

    gap, size, first, last = gaps[0], len(gaps[0]), decoders[0], decoders[-1]
    inner = list(zip(range(len(gaps)), gaps, decoders, strict=False))
    return open_two if len(holes) == 2 else open_many


class Envelopes:
    """The envelopes of one stream, one for each choice, and when it is worth making them."""

    def __init__(self, merger: Merger) -> None:
        self._merger = merger
        self._order: list[Envelope] = []
        self._by_choice: dict[int | None, Envelope] = {}
        self._shell: ChatCompletionChunk | None = None
        self._by_head: dict[int, dict[bytes, Envelope]] = {}
        self._only: Envelope | None = None  # the envelope, where there is but one
        self._comments = False
        self._hits = 0
        self._wait = 1
        self._skip = 0
        self.ready = False
        """Whether there is an envelope to try."""

    def take_one(self, data: bytes) -> bool:
        """Merge a slice that is just one event, as many servers send them; returns whether it was.

        As `take`, for input that stands between two events.
        """
        envelope = self._only or self._fitting(data)
        if envelope is None or not (data.startswith(envelope.head) and data.endswith(envelope.end)):
            return False
        try:
            if envelope.open is None:
                text = _decode_text(data[envelope.start : envelope.cut - 2])
            else:
                text = envelope.open(data[:-2])
        except (ValueError, RecursionError):
            return False
        if envelope.kept:
            envelope.merge_others(self._merger)
        envelope.append(text)
        self._merger.size += len(text)
        self._hits += 1
        waiting = envelope.text
        if len(waiting.tail) >= waiting.wait:
            waiting.fold()
        return True

    def _fitting(self, line: bytes) -> Envelope | None:
        """Of several envelopes the one that a line, or a slice, has the head of."""
        for length, envelopes in self._by_head.items():
            if (envelope := envelopes.get(line[:length])) is not None:
                return envelope
        return None

    def take(self, lines: list[bytes]) -> tuple[int, list[bytes]]:
        """Merge the events that fit, from the first line on, up to one that does not.

        The lines must begin between two events. Returns how many events were merged, and the lines
        that are left: none of theirs was looked at.
        """
        envelope = self._only or self._order[0]
        only = self._only is not None
        if self._comments:  # where a server keeps alive so, most lines may be comments
            lines = [line for line in lines if not line or line[0] != _COLON]
        before = [len(each.text.tail) for each in self._order]
        head, tail, start, cut, opened = envelope.head, envelope.tail, envelope.start, envelope.cut, envelope.open
        append, kept = envelope.append, envelope.kept
        held: str | None = None
        held_line = b""
        left: list[bytes] = []
        rest = iter(lines)
        for line in rest:
            if not line:
                if held is not None:
                    append(held)
                    held = None
                    if kept:
                        envelope.merge_others(self._merger)
            elif held is None and (only or (envelope := self._fitting(line) or envelope)):
                if not only:
                    head, tail, start, cut = envelope.head, envelope.tail, envelope.start, envelope.cut
                    append, kept, opened = envelope.append, envelope.kept, envelope.open
                if line.startswith(head) and line.endswith(tail):
                    try:
                        held = _decode_text(line[start:cut]) if opened is None else opened(line)
                        held_line = line
                        continue
                    except (ValueError, RecursionError):
                        pass
                if not line.startswith(b":"):
                    left = [line, *rest]
                    break
                self._comments = True
            elif not line.startswith(b":"):
                left = [held_line, line, *rest]
                held = None
                break
        if held is not None:  # its blank line has not come yet
            left = [held_line]
        taken = 0
        for each, count in zip(self._order, before, strict=True):
            text = each.text
            new = text.tail[count:]
            taken += len(new)
            self._merger.size += sum(map(len, new))
            if count + len(new) >= text.wait:
                text.fold()
        self._hits += taken
        return taken, left

    def end(self) -> None:
        """Something came that the envelopes do not know of."""
        self._order.clear()
        self._by_choice.clear()
        self._by_head.clear()
        self._shell = None
        self._only = None
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
        known = self._by_choice.get(index)
        if known is not None and known.fits(lead + data):  # it was cut in two, or stood alone
            return
        shell = _shell(chunk)
        if shell != self._shell or index in self._by_choice or len(self._order) >= _MOST:
            if self.ready and self._hits < _WORTH:
                self._put_off()
                return
            if self.ready:
                self._wait = 1
            self.end()
        envelope = _made(chunk, data, lead, self._merger)
        if envelope is None:
            self._put_off()
            return
        self._hits = 0
        self._shell = shell
        self._by_choice[index] = envelope
        self._order.append(envelope)
        self._by_head.setdefault(envelope.start, {})[envelope.head] = envelope
        self._only = envelope if len(self._order) == 1 else None
        self.ready = True

    def _put_off(self) -> None:
        self.end()
        self._hits = 0
        self._wait = self._skip = min(2 * self._wait, _PATIENCE)


# ------------------------------------------------------------------ making one


def _decode_chunk(data: bytes) -> ChatCompletionChunk:
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


_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_SINGLE = rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*|true|false'
_OBJECT = rb"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
_PROBE = '"\\,:{}[]\x00é😀'
_PROBE_USAGE = CompletionUsage(prompt_tokens=987654321, total_tokens=1)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def _decode_counters(raw: bytes) -> CompletionUsage:
    """A usage report that holds nothing which the limits would have to look at."""
    usage = _decode_usage(raw)
    if isinstance(usage.cost, (dict, list)) or isinstance(usage.search_context_size, (dict, list)):
        raise ValueError(usage)
    return usage


def _decode_single(raw: bytes) -> Any:
    """A string, a number or a boolean, of which the last one counts."""
    value = _decode_any(raw)
    if value is None or isinstance(value, (dict, list)):
        raise ValueError(value)
    return value


def _decode_p(raw: bytes) -> str:
    """Mistral's padding, which is padding only as long as it says nothing."""
    value = _decode_text(raw)
    if not _ALPHABET.startswith(value):
        raise ValueError(value)
    return value


def _is_repeatable(chunk: ChatCompletionChunk, merger: Merger) -> bool:
    """Whether merging the chunk again, but for its holes, would change nothing and need no repair."""
    choices = chunk.choices
    if not choices or len(choices) > 1:
        return False
    choice, delta = choices[0], choices[0].delta
    return (
        choice.logprobs is None
        and not choice.finish_reason
        and delta is not None
        and choice.index is not None
        and choice.message is None
        and choice.usage is None
        and choice.error is None
        and not choice.text
        and not choice.token_ids
        and not delta.reasoning_details
        and not delta.annotations
        and not delta.images
        and delta.function_call is None
        and delta.audio is None
        and not delta.extra
        and not isinstance(delta.token_id, (dict, list))
        and chunk.error is None
        and chunk.x_groq is None
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
    shell.extra = Extra((name, value) for name, value in chunk.extra.items() if isinstance(value, (dict, list)))
    return shell


def _made(chunk: ChatCompletionChunk, data: bytes, lead: bytes, merger: Merger) -> Envelope | None:
    """An envelope of a repeatable chunk; None where its holes cannot be found."""
    choice = chunk.choices[0] if chunk.choices else None
    delta = choice.delta if choice is not None else None
    name = _text_name(delta) if delta is not None else None
    if choice is None or delta is None or name is None or choice.index is None or len(data) > _MOST_BYTES:
        return None
    try:
        if _decode_chunk(data) != chunk:
            return None
    except ValueError:
        return None
    state = merger.choices[choice.index]
    text = state.text_of(name, delta.tool_calls[0].index if delta.tool_calls else None)
    if text is None:
        return None
    wanted: list[tuple[int, str, Callable[[bytes], Any]]] = [(_TEXT, name, _decode_text)]
    named = {"signature": chunk.signature, "response_hash": chunk.response_hash, **chunk.extra}
    single = (field for field, value in named.items() if value is not None and not isinstance(value, (dict, list)))
    wanted.extend((_LAST, field, _decode_single) for field in single)
    if len(wanted) > _MOST_HOLES:
        return None
    if chunk.obfuscation is not None:
        wanted.append((_PADDING, "obfuscation", _decode_text))
    if chunk.p is not None:
        wanted.append((_PADDING, "p", _decode_p))
    if chunk.usage is not None:
        wanted.append((_USAGE, "usage", _decode_counters))
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
    value = {_USAGE: _OBJECT, _LAST: _SINGLE}.get(kind, _STRING)
    pattern = rb'"%b"\s*:\s*(%b)' % (re.escape(name.encode("utf-8", "replace")), value)
    for match in islice(re.finditer(pattern, data), _MOST_TRIES):
        start, end = match.span(1)
        try:
            tried = _decode_chunk(data[:start] + raw + data[end:])
        except ValueError:
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
    if name in chunk.extra and kind == _LAST:
        chunk.extra = Extra({**chunk.extra, name: value})
    else:
        setattr(target, name, value)
    return chunk
