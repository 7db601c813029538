"""The fast path: consecutive chunks differ only in a few places, so only those are decoded.

What it assumes. A stream's events repeat one another but for some *holes* (`_holes`): the delta's
text, and where the server sends them padding, signatures, a running usage, logprobs, the index of
choices that take turns. An `Envelope` is made from one event that the general path has just read and
merged: the bytes around its holes.

Why it is safe. Bytes that are an event's first piece, its last one, and in between the other pieces
in order, each once, are that event with other bytes in its holes. What is in the holes is decoded,
each as one JSON value of its kind and nothing more, so the line is the same JSON with other values in
these places, whatever they hold: quotes, backslashes and control characters at the seams make the
value none of its kind, and the general path then reads the line and says what is wrong with it.
Everything outside the holes was merged with the event that the envelope was made from, and merging it
again would change nothing: `_place` refuses chunks of which that is not so.

Why it is quick. Many events are split, checked and decoded at a time, by a handful of calls that
cost no more for each event than copying it: their middles, put back between the pieces, must give
the very bytes that came.

What ends it. A chunk read by the general path that differs in more than what is in the holes; so does
anything else that the general path sees between two events. An event that does not fit, or is not
followed by its blank line, goes the general way.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat, takewhile
from typing import Any, NamedTuple

import msgspec

from ._chunk import ChatCompletionChunk
from ._holes import (
    ALPHABET,
    INDEX,
    LAST,
    LOGPROBS,
    TEXT,
    USAGE,
    Hole,
    decode_chunk,
    holes_of,
    strings,
    text_name,
    with_value,
)
from ._merge import Merger
from ._rules import other
from ._stamp import Stamp, stamp_of
from ._struct import Extra, copied
from ._text import Text

Deliver = Callable[[ChatCompletionChunk], None]

_decode_text: Callable[[bytes], str] = msgspec.json.Decoder(str).decode

_KEPT = (LAST, USAGE, LOGPROBS)
_NOTHING = {LAST: b"0", USAGE: b"{}", INDEX: b"0", LOGPROBS: b"{}"}
_MOST_BYTES = 16384
"""How long an event may be to make an envelope of: looking for holes costs several times its length."""
_MOST_CHOICES = 64
"""How many choices may take turns."""
_WORTH = 4
"""How many events an envelope must have taken to have been worth making."""
_PATIENCE = 512
"""How many chunks at most are let pass before another try, where envelopes never fit."""
_MISFITS = 4
"""After so many chunks in a row of which none can be made, none is expected of the next."""


class Envelope:
    """The bytes around the holes of a stream's events, and where what is in the holes goes."""

    __slots__ = (
        *("head", "gaps", "end", "blank", "start", "stop", "cut", "holes", "bare", "steps", "kept", "_lead"),
        *("choice", "text", "_texts", "text_at", "turns", "plain", "shares", "stamp"),
    )

    def __init__(
        self, lead: bytes, pieces: list[bytes], holes: list[Hole], blank: bytes, choice: int, texts: dict[int, Text]
    ) -> None:
        self.head = lead + pieces[0]
        self.gaps = tuple(pieces[1:-1])
        self.blank = blank
        """A blank line without its LF: a CR where lines end in CRLF."""
        self.end = pieces[-1] + blank + b"\n" + blank + b"\n"
        self.start = len(self.head)
        self.stop = -len(self.end)
        self.cut = self.stop + len(blank) + 2
        """Where the middle ends in a line that was split off at its LF."""
        self.holes = tuple(holes)
        kinds = [hole.kind for hole in holes]
        self.bare = not all(hole.reader.quotes for hole in holes)
        """Whether there is a hole for other values than strings: JSON takes line ends for white space there."""
        self.steps = tuple(
            (end, len(end), hole.reader.one, hole.reader.quotes)
            for end, hole in zip((*self.gaps, self.end), holes, strict=True)
            if len(holes) > 1
        )
        """How to read one event, hole by hole; of a lone text more is known."""
        self.text_at = kinds.index(TEXT)
        self.turns = kinds.index(INDEX) if INDEX in kinds else None
        """In which hole the choice's index is, where choices take turns."""
        self.kept = tuple((place, hole.kind, hole.name) for place, hole in enumerate(holes) if hole.kind in _KEPT)
        self._lead = len(lead)
        self.choice = choice
        """The choice, where none take turns."""
        self.text = texts[choice]
        self._texts = texts if len(texts) > 1 else None
        self.plain = self.text if len(holes) == 1 else None
        """The text, where it is all that there is in the hole."""
        self.stamp: Stamp | None = None
        """Makes the chunk that an event with these values is, where chunks are handed out."""
        self.shares = any(kind in (USAGE, LOGPROBS) for kind in kinds)
        """Whether what is merged is taken over as it is, so that a chunk needs its own."""

    @property
    def weight(self) -> int:
        """What of an event's JSON stands around its holes, in bytes: with logprobs its length counts as size."""
        return self.start - self._lead - self.cut - len(self.blank)

    def shell(self) -> ChatCompletionChunk:
        """What its events say beside their holes, read from one with nothing in them."""
        nothing = [b"" if hole.reader.quotes else _NOTHING[hole.kind] for hole in self.holes]
        ends = (*self.gaps, self.line_end[: len(self.line_end) - len(self.blank)])
        event = self.head + b"".join(held + end for held, end in zip(nothing, ends, strict=True))
        return _shell(decode_chunk(event[self._lead :]), self.holes[self.text_at].name)

    @property
    def line_end(self) -> bytes:
        """The last piece, as it ends a line that was split off at its LF."""
        return self.end[: -self.cut]

    @property
    def texts(self) -> dict[int, Text]:
        """The text that grows, for each choice."""
        return self._texts or {self.choice: self.text}

    def has(self, line: bytes) -> bool:
        """Whether a line, without its end, is of one of these events."""
        line += self.blank
        outside = line.startswith(self.head) and line.endswith(self.line_end)
        return outside and self.reads(line[self.start : self.cut])

    def reads(self, middle: bytes) -> bool:
        """Whether the holes can be read, of one event."""
        try:
            self.read_one(self.head + middle + self.end) if self.steps else strings([middle])
        except (ValueError, RecursionError):
            return False
        return True

    def read(self, middles: list[bytes]) -> list[Any]:
        """The values in the holes, a column for each; a ValueError where a middle does not fit."""
        if self.plain is not None:
            return [strings(middles)]
        if self.bare and b"\r" in b"".join(middles):
            raise ValueError("more than a line")
        columns: list[Any] = [middles]
        for gap in self.gaps:
            columns[-1:] = zip(*[middle.split(gap) for middle in columns[-1]], strict=True)
        values = [hole.reader.all(column) for hole, column in zip(self.holes, columns, strict=True)]
        if self.turns is not None and not self.texts.keys() >= set(values[self.turns]):
            raise ValueError("another choice")
        return values

    def read_one(self, event: bytes) -> list[Any]:
        """The values in the holes of one whole event that has the first piece and the last."""
        place, values = self.start, []
        if self.bare and (event.find(b"\n", place, self.stop) >= 0 or event.find(b"\r", place, self.stop) >= 0):
            raise ValueError("more than a line")
        for gap, size, read, quotes in self.steps:
            end = event.index(gap, place)
            values.append(read(event[place - quotes : end + quotes]))
            place = end + size
        if place != len(event) or (self.turns is not None and values[self.turns] not in self.texts):
            raise ValueError("another event, or another choice")
        return values


class Envelopes:
    """The envelope of one stream, and when it is worth making one."""

    __slots__ = ("_envelope", "_hits", "_merger", "_misfits", "_skip", "_wait", "noise", "ready")

    def __init__(self, merger: Merger) -> None:
        self._merger = merger
        self._envelope: Envelope | None = None
        self.noise = b""
        """The comment, with its blank line, that keeps the stream alive."""
        self._hits = 0
        self._wait = 1
        self._skip = 0
        self._misfits = 0
        self.ready = False
        """Whether there is an envelope to try."""

    @property
    def eager(self) -> bool:
        """Whether the next chunk may well make an envelope."""
        return not self._skip and self._misfits < _MISFITS

    # ------------------------------------------------------------------ taking events

    def take_one(self, data: bytes, deliver: Deliver | None) -> bool:
        """Merge a slice that is just one event, as many servers send them; returns whether it was.

        As `take`, for input that stands between two events.
        """
        envelope = self._envelope
        if envelope is None or not (data.startswith(envelope.head) and data.endswith(envelope.end)):
            return False
        if deliver is not None and envelope.stamp is None:
            return False
        waiting = envelope.plain
        try:
            if waiting is None:
                values = envelope.read_one(data)
                self._merge_one(envelope, values, len(data) - envelope.start + envelope.stop)
                if deliver is not None and envelope.stamp is not None:
                    deliver(envelope.stamp(envelope.read_one(data) if envelope.shares else values))
                return True
            text = _decode_text(data[envelope.start - 1 : envelope.stop + 1])
        except (ValueError, RecursionError):
            return False
        if deliver is not None and envelope.stamp is not None:
            deliver(envelope.stamp((text,)))
        tail = waiting.tail
        tail.append(text)
        self._merger.size += len(text)
        self._hits += 1
        if len(tail) >= waiting.wait:
            waiting.fold()
        return True

    def take(self, data: bytes, deliver: Deliver | None) -> tuple[int, bytes]:
        """Merge the events that fit, from the first byte on, up to one that does not.

        The bytes must begin between two events. Returns how many events were merged, and the bytes
        that are left, where comments that stood before may be gone.
        """
        envelope = self._envelope
        if envelope is None or not data.startswith((envelope.head, b":")):
            return 0, data
        if deliver is not None and envelope.stamp is None:
            return 0, data
        middles, rest = self._split(envelope, data)
        if not middles:
            return 0, rest
        try:
            columns = envelope.read(middles)
        except (ValueError, RecursionError):
            fitting = list(takewhile(envelope.reads, middles))
            if not fitting:
                return 0, data
            rest = b"".join(envelope.head + middle + envelope.end for middle in middles[len(fitting) :]) + rest
            middles, columns = fitting, envelope.read(fitting)
        self._merge(envelope, columns, middles)
        if deliver is not None and envelope.stamp is not None:
            for chunk in map(
                envelope.stamp, zip(*(envelope.read(middles) if envelope.shares else columns), strict=True)
            ):
                deliver(chunk)
        return len(middles), rest

    def _split(self, envelope: Envelope, data: bytes) -> tuple[list[bytes], bytes]:
        """The middles of the first events, as many as fit, comments left out; and the bytes that are left."""
        head, end = envelope.head, envelope.end
        seam = end + head
        first: list[bytes] = []
        if self.noise and self.noise in data:
            *parts, last = data.split(self.noise)
            events = list(filter(None, parts))
            first = [event[envelope.start : envelope.stop] for event in events]
            if first and (b"".join((head, seam.join(first), end)) != b"".join(events) or b"\n" in b"".join(first)):
                first, last = [], _without(self.noise, data, 2 * (envelope.blank + b"\n"))
            data = last
        lines = data.split(b"\n")
        rest = lines.pop()
        if len(lines) % 2:
            rest = lines.pop() + b"\n" + rest
        if not lines:
            return first, rest
        middles = [line[envelope.start : envelope.cut] for line in lines[::2]]
        if b"".join((head, seam.join(middles), end, rest)) != data:
            middles, rest = self._fitting(envelope, data.split(b"\n"))
        return first + middles if first else middles, rest

    def _fitting(self, envelope: Envelope, lines: list[bytes]) -> tuple[list[bytes], bytes]:
        """The middles of the first events, as many as fit, comments left out; and the bytes that are left."""
        head, end, blank, shortest = envelope.head, envelope.line_end, envelope.blank, envelope.start - envelope.cut
        middles: list[bytes] = []
        held: bytes | None = None
        done = 0
        for place, line in enumerate(lines[:-1]):
            if line == blank:
                if held is not None:
                    middles.append(held)
                    held = None
                done = place + 1
            elif line.startswith(b":") and b"\r" not in line[: len(line) - len(blank)]:
                if held is None and lines[place + 1] == blank:
                    self.noise = line + b"\n" + blank + b"\n"
            elif held is None and line.startswith(head) and line.endswith(end) and len(line) >= shortest:
                held = line[envelope.start : envelope.cut]
            else:
                break
        return middles, b"\n".join(lines[done:])

    def _merge(self, envelope: Envelope, columns: list[Any], middles: list[bytes]) -> None:
        """Merge what was in the holes of some events."""
        merger = self._merger
        texts = columns[envelope.text_at]
        fragment = "".join(texts)
        merger.size += len(fragment)
        self._hits += len(texts)
        if envelope.turns is None:
            envelope.text.add(fragment)
        else:
            tails = {choice: text.tail.append for choice, text in envelope.texts.items()}
            for choice, each in zip(columns[envelope.turns], texts, strict=True):
                tails[choice](each)
            for text in envelope.texts.values():
                if len(text.tail) >= text.wait:
                    text.fold()
        for place, kind, name in envelope.kept:
            column = columns[place]
            if kind == LAST:
                merger.size += other(merger.fields, name, column[-1])
            elif kind == USAGE:
                merger.size += merger.usage.add_all(column)
            else:
                choices = columns[envelope.turns] if envelope.turns is not None else repeat(envelope.choice)
                for choice, logprobs in zip(choices, column, strict=False):
                    merger.choices[choice].add_logprobs(logprobs)
                merger.size += sum(map(len, middles)) + envelope.weight * len(middles) - len(fragment)

    def _merge_one(self, envelope: Envelope, values: list[Any], size: int) -> None:
        """As `_merge`, for one event with a middle of this size."""
        merger = self._merger
        choice = envelope.choice if envelope.turns is None else values[envelope.turns]
        fragment = values[envelope.text_at]
        text = envelope.text if envelope.turns is None else envelope.texts[choice]
        text.tail.append(fragment)
        if len(text.tail) >= text.wait:
            text.fold()
        merger.size += len(fragment)
        self._hits += 1
        for place, kind, name in envelope.kept:
            if kind == LAST:
                merger.size += other(merger.fields, name, values[place])
            elif kind == USAGE:
                merger.size += merger.usage.add(values[place], alone=False)
            else:
                merger.choices[choice].add_logprobs(values[place])
                merger.size += size + envelope.weight - len(fragment)

    # ------------------------------------------------------------------ having one, or none

    def end(self) -> None:
        """Something came that the envelope does not know of."""
        self._envelope = None
        self.ready = False

    def learn(self, chunk: ChatCompletionChunk, data: bytes, lead: bytes, blank: bytes, *, handed_out: bool) -> None:
        """Look at a chunk that the general path has just merged: make an envelope of it, or end the one there is.

        `lead` is what stood before its data on the line, `blank` a blank line without its LF. Making
        one costs some ten microseconds, so where envelopes do not fit more and more chunks are let
        pass before the next try. `handed_out`: whether chunks are.
        """
        if self._skip:
            self._skip -= 1
            return
        place = _place(chunk, self._merger)
        if place is None:
            self._misfits += 1
            self.end()
            return
        envelope = self._envelope
        if envelope is not None and envelope.has(lead + data):  # it was cut in two, or stood alone
            return
        others: dict[int, Text] = {}
        if envelope is not None and _shell(chunk, place.name) == envelope.shell():
            others = envelope.texts  # of choices that take turns
        if place.choice in others or len(others) >= _MOST_CHOICES:
            others = {}
        if envelope is not None and not others:
            if self._hits < _WORTH:
                self._put_off()
                return
            self._wait = 1
        made = _made(chunk, place, data, lead, blank, self._merger, others)
        if made is None:
            self._put_off()
            return
        if handed_out:
            made.stamp = stamp_of(chunk, made.holes)
        self._hits = self._misfits = 0
        self._envelope = made
        self.ready = True

    def _put_off(self) -> None:
        self.end()
        self._hits = 0
        self._wait = self._skip = min(2 * self._wait, _PATIENCE)


def _without(noise: bytes, data: bytes, boundary: bytes) -> bytes:
    """`data`, which begins between two events, without a comment that stands between events alone."""
    *parts, last = data.split(noise)
    parts = list(filter(None, parts))
    for part in parts:
        if not part.endswith(boundary):
            return data
    return b"".join((*parts, last))


# ------------------------------------------------------------------ making one


class Place(NamedTuple):
    """Where the one text of a chunk goes."""

    choice: int
    name: str
    call: int | None


def _place(chunk: ChatCompletionChunk, merger: Merger) -> Place | None:
    """Where the one text of a chunk goes, if merging the chunk again, but for its holes, would change
    nothing and need no repair; else None."""
    choice = chunk.choices[0] if chunk.choices and len(chunk.choices) == 1 else None
    if choice is None or choice.delta is None or choice.index is None:
        return None
    delta = choice.delta
    repeatable = (
        not choice.finish_reason
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
        and (chunk.p is None or ALPHABET.startswith(chunk.p))
    )
    name = text_name(delta) if repeatable else None
    return Place(choice.index, name, delta.tool_calls[0].index if delta.tool_calls else None) if name else None


def _shell(chunk: ChatCompletionChunk, name: str) -> ChatCompletionChunk:
    """What a chunk whose text has this name says beside its holes, and what only the first chunk decides."""
    shell: ChatCompletionChunk = copied(chunk)
    with_value(shell, TEXT, name, "")
    with_value(shell, INDEX, "index", 0)
    with_value(shell, LOGPROBS, "logprobs", None)
    shell.id = shell.created = shell.model = None
    shell.usage = shell.obfuscation = shell.p = None
    shell.signature = shell.response_hash = None
    shell.extra = Extra((field, value) for field, value in chunk.extra.items() if isinstance(value, (dict, list)))
    return shell


def _made(
    chunk: ChatCompletionChunk,
    place: Place,
    data: bytes,
    lead: bytes,
    blank: bytes,
    merger: Merger,
    others: dict[int, Text],
) -> Envelope | None:
    """An envelope of a chunk; None where its holes cannot be found. `others`: the texts of the choices
    that take turns with its own."""
    text = merger.choices[place.choice].text_of(place.name, place.call)
    if text is None or len(data) > _MOST_BYTES or b"\n" in data or b"\r" in data:
        return None
    try:
        holes = holes_of(chunk, place.name, data, indexed=bool(others)) if decode_chunk(data) == chunk else None
    except ValueError:
        return None
    if holes is None:
        return None
    edges = [0, *(edge for hole in holes for edge in (hole.start, hole.end)), len(data)]
    pieces = [data[edges[n] : edges[n + 1]] for n in range(0, len(edges), 2)]
    return Envelope(lead, pieces, holes, blank, place.choice, {**others, place.choice: text})
