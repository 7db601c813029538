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
again would change nothing: `place_of` refuses chunks of which that is not so.

Why it is quick. Many events are split, checked and decoded at a time, by a handful of calls that
cost no more for each event than copying it: their middles, put back between the pieces, must give
the very bytes that came. The middles of a few events wait until there are many, or somebody looks; so do
reads of which the last event has the first piece and the last one, before they are split at all.

Why they may wait. Nobody sees the state without their being merged first, and before anything else is
read or merged, so it is the same state. Of one that does not fit after all, the general path reads that
event and what came after it, from the very bytes, and an error is that of this event's number.

What ends it (`_envelopes`). A chunk read by the general path that differs in more than what is in the holes; so does
anything else that the general path sees between two events. An event that does not fit, or is not
followed by its blank line, goes the general way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._codec.struct import Extra, copied
from .._framing.sse import CR, LF
from .._merge.merger import Merger
from .._merge.text import Text
from .._types.chunk import ChatCompletionChunk
from .factory import Stamp
from .placeholders import (
    ALPHABET,
    INDEX,
    LAST,
    LOGPROBS,
    TEXT,
    USAGE,
    Hole,
    decode_chunk,
    decode_string,
    holes_of,
    strings,
    text_name,
    with_value,
)

_KEPT = (LAST, USAGE, LOGPROBS)
_NOTHING = {LAST: b"0", USAGE: b"{}", INDEX: b"0", LOGPROBS: b"{}"}
_MOST_BYTES = 16384
"""How long an event may be to make an envelope of: looking for holes costs several times its length."""
_NO_APPENDS: dict[int, Callable[[str], None]] = {}


class Envelope:
    """The bytes around the holes of a stream's events, and where what is in the holes goes."""

    __slots__ = (
        *("head", "gaps", "end", "blank", "start", "stop", "cut", "shortest"),
        *("holes", "bare", "steps", "kept", "choice", "text", "text_at", "turns", "shares", "stamp"),
        *("appends", "reports", "_lead", "_quick", "_readers", "_texts"),
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
        self.shortest = self.start - self.stop
        self.holes = tuple(holes)
        several = len(holes) > 1  # of a lone text more is known
        self._readers = tuple(hole.reader.all for hole in holes if several)
        self._quick = tuple(hole.reader.quick for hole in holes if several)
        kinds = [hole.kind for hole in holes]
        self.bare = not all(hole.reader.quotes for hole in holes)
        """Whether there is a hole for other values than strings: JSON takes line ends for white space there."""
        self.steps = tuple(
            (end, len(end), hole.reader.one, hole.reader.quotes)
            for end, hole in zip((*self.gaps, self.end), holes, strict=True)
            if several
        )
        """How to read one event, hole by hole."""
        self.text_at = kinds.index(TEXT)
        self.turns = kinds.index(INDEX) if INDEX in kinds else None
        """In which hole the choice's index is, where choices take turns."""
        self.reports = USAGE in kinds
        """Whether there are reports of usage."""
        self.kept = tuple((place, hole.kind, hole.name) for place, hole in enumerate(holes) if hole.kind in _KEPT)
        self._lead = len(lead)
        self.choice = choice
        """The choice, where none take turns."""
        self.text = texts[choice]
        self._texts = texts if len(texts) > 1 else None
        self.appends = {each: text.tail.append for each, text in texts.items()} if len(texts) > 1 else _NO_APPENDS
        """What adds a fragment to a choice's text, where choices take turns."""
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
        return shell(decode_chunk(event[self._lead :]), self.holes[self.text_at].name)

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
        return outside and self.reads([line[self.start : self.cut]])

    def reads(self, middles: list[bytes]) -> bool:
        """Whether the holes of some events can be read."""
        try:
            self.read(middles)
        except (ValueError, RecursionError):
            return False
        return True

    def read(self, middles: list[bytes], *, quick: bool = False) -> list[Any]:
        """The values in the holes, a column for each; a ValueError where a middle does not fit.

        `quick`: where a report of usage restates the one before it, and nothing is to be handed out.
        """
        if not self.gaps:
            return [strings(middles)]
        if self.bare and (CR in (joined := b"".join(middles)) or LF in joined):
            raise ValueError("more than a line")
        columns: list[Any] = [middles]
        for gap in self.gaps:
            columns[-1:] = zip(*[middle.split(gap) for middle in columns[-1]], strict=True)
        readers = self._quick if quick else self._readers
        values = [read(column) for read, column in zip(readers, columns, strict=True)]
        if self.turns is not None and not self.appends.keys() >= set(values[self.turns]):
            raise ValueError("another choice")
        return values

    def read_one(self, event: bytes) -> list[Any]:
        """As `read`, of one whole event that has the first piece and the last: in a fifth of the time."""
        place = self.start
        if not self.gaps:
            return [decode_string(event[place - 1 : self.stop + 1])]
        if self.bare and (event.find(LF, place, self.stop) >= 0 or event.find(CR, place, self.stop) >= 0):
            raise ValueError("more than a line")
        values = []
        for gap, size, read, quotes in self.steps:
            end = event.index(gap, place)
            values.append(read(event[place - quotes : end + quotes]))
            place = end + size
        if place != len(event) or (self.turns is not None and values[self.turns] not in self.texts):
            raise ValueError("another event, or another choice")
        return values


# ------------------------------------------------------------------ making one


class Place(NamedTuple):
    """Where the one text of a chunk goes."""

    choice: int
    name: str
    call: int | None


def place_of(chunk: ChatCompletionChunk, merger: Merger) -> Place | None:
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


def shell(chunk: ChatCompletionChunk, name: str) -> ChatCompletionChunk:
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


def make(
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
    if text is None or len(data) > _MOST_BYTES or LF in data or CR in data:
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
