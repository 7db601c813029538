"""The envelope of a stream at work: taking events by it, and when it is worth having one.

See `_envelope` for what one is, and why it is safe.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from .._framing.sse import CR, LF
from .._limits import Limits
from .._merge.merger import Merger
from .._merge.rules import other
from .._merge.text import Text
from .._types.chunk import ChatCompletionChunk
from .factory import stamp_of
from .placeholders import LAST, USAGE
from .template import Envelope, make, place_of, shell

Deliver = Callable[[ChatCompletionChunk], None]

_FEW = 6
_MANY = 64
_PER_EVENT = 64
"""For so many characters of a response one more event may wait to be read: it costs some 60 bytes beside its own."""
_MOST_BETWEEN = 2048
"""How much may stand, on an average, between the first piece and the last of events that wait to be decoded."""
_LITTLE = 512
_MOST_UNREAD = 16384
SLICE = 65536  # a larger feed is read in slices, so that its lines are not all held at once
_MOST_CHOICES = 64
"""How many choices may take turns."""
_WORTH = 4
"""How many events an envelope must have taken to have been worth making."""
_PATIENCE = 512
"""How many chunks at most are let pass before another try, where envelopes never fit."""
_MISFITS = 4
"""After so many chunks in a row of which none can be made, none is expected of the next."""


class Envelopes:
    """The envelope of one stream, and when it is worth making one."""

    __slots__ = (
        *("_hits", "_merger", "_misfits", "_room", "_skip", "_spilled", "_wait"),
        *("at_once", "envelope", "held", "merged", "most", "most_unread", "noise", "unread"),
    )

    def __init__(self, merger: Merger, limits: Limits) -> None:
        self._merger = merger
        self._room = limits.response_size - 5 * SLICE if limits.event_bytes >= 2 * SLICE else -1
        """Up to this size what comes in a slice, what stood open before it, and what waits, pass no limit."""
        self.envelope: Envelope | None = None
        """The one there is, to try."""
        self.at_once = False
        """Whether nothing may be held back."""
        self.most_unread = 0
        """How many bytes of reads may wait unsplit."""
        self.unread = 0
        """How many do."""
        self.merged = 0
        """How many events were merged."""
        self.noise = b""
        """The comment, with its blank line, that keeps the stream alive."""
        self.held: list[bytes] = []
        """The middles of events that wait to be read together."""
        self.most = _FEW
        """How many may wait."""
        self._spilled = b""  # the events of which the first does not fit after all
        self._hits = 0
        self._wait = 1
        self._skip = 0
        self._misfits = 0

    @property
    def eager(self) -> bool:
        """Whether the next chunk may well make an envelope."""
        return not self._skip and self._misfits < _MISFITS

    # ------------------------------------------------------------------ taking events

    def take_one(self, data: bytes, deliver: Deliver | None) -> bool:
        """Take a read that is just one event, as many servers send them; returns whether it was.

        As `take`, for input that stands between two events.
        """
        envelope = self.envelope
        if envelope is None or not (data.startswith(envelope.head) and data.endswith(envelope.end)):
            return False
        size = len(data)
        if not envelope.shortest <= size <= envelope.shortest + _MOST_BETWEEN:
            return False
        if size >= 2 * envelope.shortest and data.find(LF, envelope.start, envelope.stop) >= 0:
            return False  # there is room for another one
        if deliver is not None or self.at_once:
            return self._take_now(envelope, data, deliver)
        if len(self.held) >= self.most and not (self.settle(None) and self.envelope is not None):
            return False
        self.held.append(data[envelope.start : envelope.stop])
        return True

    def may_wait(self, data: bytes) -> bool:
        """Whether a read may wait to be split with others: as far as its ends show it holds such events alone.

        Only the last event that it completes is looked at, so that what a server ends with never waits.
        """
        envelope = self.envelope
        unread = self.unread + len(data)
        if unread > self.most_unread or envelope is None:
            return False
        after = data.rfind(LF) + 1
        if not data.endswith(envelope.end, 0, after) or CR in data[after:]:
            return False
        begin = data.rfind(LF, 0, after + envelope.stop) + 1
        if not data.startswith(envelope.head, begin):
            return False
        self.unread = unread
        return True

    def _take_now(self, envelope: Envelope, data: bytes, deliver: Deliver | None) -> bool:
        """Merge one event at once. Returns whether it fits."""
        if deliver is not None and envelope.stamp is None:
            return False
        if self.held and not self.settle(deliver):
            return False
        merger = self._merger
        try:
            values = envelope.read_one(data)
            again = envelope.read_one(data) if deliver is not None and envelope.shares else values
        except (ValueError, RecursionError):
            return False
        if envelope.gaps:
            self._merge_one(envelope, values, len(data) - envelope.shortest)
        else:
            merger.size += len(values[0])
            envelope.text.add(values[0])
        self._hits += 1
        self.merged += 1
        if merger.size > self._room:
            self.end()
        if deliver is not None and envelope.stamp is not None:
            deliver(envelope.stamp(again))
        return True

    def take(self, data: bytes, deliver: Deliver | None) -> bytes:
        """Take the events that fit, from the first byte on, up to one that does not.

        The bytes must begin between two events. Returns those that are left, where comments that stood
        before may be gone.
        """
        envelope = self.envelope
        if self._spilled:
            return self.spilled() + data
        if envelope is None or not data.startswith((envelope.head, b":")):
            return data
        if deliver is not None and envelope.stamp is None:
            return data
        middles, rest = self._split(envelope, data)
        self.held += middles
        small = len(data) - len(rest) <= (envelope.shortest + _MOST_BETWEEN) * len(middles)
        if not (small and len(self.held) < self.most and deliver is None) and not self.settle(deliver):
            return self.spilled() + rest
        return rest

    def settle(self, deliver: Deliver | None) -> bool:
        """Merge what was taken. Returns whether all of it fits: if not, `spilled` has what begins with the first event
        that does not, which must be read the general way before anything else is taken."""
        middles, envelope = self.held, self.envelope
        if not middles:
            return not self._spilled
        assert envelope is not None  # it ends only where nothing waits
        self.held = []
        quick = deliver is None and (not envelope.reports or self._merger.usage.runs)
        try:
            columns = envelope.read(middles, quick=quick)
        except (ValueError, RecursionError):
            count = _longest(len(middles), lambda done, count: envelope.reads(middles[done:count]))
            self._spilled = b"".join(envelope.head + middle + envelope.end for middle in middles[count:])
            if not count:
                self.most_unread = 0
                return False
            middles = middles[:count]
            columns = envelope.read(middles)
        self._merge(envelope, columns, middles)
        self.merged += len(middles)
        self._hits += len(middles)
        if not self.at_once:
            self.most = max(_FEW, min(self._merger.size // _PER_EVENT, _MANY))
            self.most_unread = self._unread_beside(self._merger.size) if not self._spilled else 0
        if self._merger.size > self._room:
            self.end()
        if deliver is not None and envelope.stamp is not None:
            for chunk in map(
                envelope.stamp, zip(*(envelope.read(middles) if envelope.shares else columns), strict=True)
            ):
                deliver(chunk)
        return not self._spilled

    def _unread_beside(self, size: int) -> int:
        """How many bytes may wait unsplit beside a response of this size: none where it is little, so that many streams
        may be open at once."""
        return 0 if size < _LITTLE else min(8 * size, _MOST_UNREAD)

    def spilled(self) -> bytes:
        """The bytes of events that were taken and do not fit, once."""
        spilled, self._spilled = self._spilled, b""
        return spilled

    def _split(self, envelope: Envelope, data: bytes) -> tuple[list[bytes], bytes]:
        """The middles of the first events, as many as fit, comments left out; and the bytes that are left."""
        head, end = envelope.head, envelope.end
        seam = end + head
        first: list[bytes] = []
        if data.startswith(b":") and not (self.noise and data.startswith(self.noise)):
            self.noise = _comment(data, envelope.blank)
        if self.noise and self.noise in data:
            *parts, last = data.split(self.noise)
            events = list(filter(None, parts))
            first = [event[envelope.start : envelope.stop] for event in events]
            if first and (b"".join((head, seam.join(first), end)) != b"".join(events) or LF in b"".join(first)):
                first, last = [], _without(self.noise, data, 2 * (envelope.blank + b"\n"))
            data = last
        lines = data.split(b"\n")
        rest = lines.pop()
        if len(lines) % 2:
            rest = lines.pop() + b"\n" + rest
        if not lines:
            return first, rest
        middles = [line[envelope.start : envelope.cut] for line in lines[::2]]
        joined = seam.join(middles)
        size = envelope.start + len(joined)
        whole = size + len(end) + len(rest) == len(data) and data.startswith(head)
        if not (whole and data.startswith(joined, envelope.start) and data.startswith(end, size)):
            count = _longest(len(middles), lambda _, count: data.startswith(head + seam.join(middles[:count]) + end))
            middles = middles[:count]
            rest = data[len(head + seam.join(middles) + end) :] if middles else data
        return first + middles if first else middles, rest

    def _merge(self, envelope: Envelope, columns: list[Any], middles: list[bytes]) -> None:
        """Merge what was in the holes of some events."""
        merger = self._merger
        texts = columns[envelope.text_at]
        fragment = "".join(texts)
        merger.size += len(fragment)
        if envelope.turns is None:
            envelope.text.add(fragment, len(texts))
        else:
            for choice, each in zip(columns[envelope.turns], texts, strict=True):
                envelope.appends[choice](each)
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
        self.envelope = None
        self.most_unread = 0

    def hurry(self) -> None:
        """From now on nothing is held back."""
        self.at_once = True
        self.most = self.most_unread = 0

    def learn(self, chunk: ChatCompletionChunk, data: bytes, lead: bytes, blank: bytes, *, handed_out: bool) -> None:
        """Look at a chunk that the general path has just merged: make an envelope of it, or end the one there is.

        `lead` is what stood before its data on the line, `blank` a blank line without its LF. Making
        one costs some ten microseconds, so where envelopes do not fit more and more chunks are let
        pass before the next try. `handed_out`: whether chunks are.
        """
        if self._merger.size > self._room:
            self.end()
            return
        if self._skip:
            self._skip -= 1
            return
        place = place_of(chunk, self._merger)
        if place is None:
            self._misfits += 1
            self.end()
            return
        envelope = self.envelope
        if envelope is not None and envelope.has(lead + data):  # it was cut in two, or stood alone
            return
        others: dict[int, Text] = {}
        if envelope is not None and shell(chunk, place.name) == envelope.shell():
            others = envelope.texts  # of choices that take turns
        if place.choice in others or len(others) >= _MOST_CHOICES:
            others = {}
        if envelope is not None and not others:
            if self._hits < _WORTH:
                self._put_off()
                return
            self._wait = 1
        made = make(chunk, place, data, lead, blank, self._merger, others)
        if made is None:
            self._put_off()
            return
        if handed_out:
            made.stamp = stamp_of(chunk, made.holes)
        self._hits = self._misfits = 0
        self.envelope = made

    def _put_off(self) -> None:
        self.end()
        self._hits = 0
        self._wait = self._skip = min(2 * self._wait, _PATIENCE)


def _longest(count: int, fits: Callable[[int, int], bool]) -> int:
    """How many of the first fit: `fits` says it of those from a number, which do, up to another one."""
    done = 0
    while done < count:
        half = (done + count + 1) // 2
        if fits(done, half):
            done = half
        else:
            count = half - 1
    return done


def _comment(data: bytes, blank: bytes) -> bytes:
    """The comment that bytes begin with, and its blank line; empty where there is no blank line after it."""
    line, _, rest = data.partition(b"\n")
    alone = rest.startswith(blank + b"\n") and line.endswith(blank) and CR not in line.removesuffix(blank)
    return line + b"\n" + blank + b"\n" if alone else b""


def _without(noise: bytes, data: bytes, boundary: bytes) -> bytes:
    """`data`, which begins between two events, without a comment that stands between events alone."""
    *parts, last = data.split(noise)
    parts = list(filter(None, parts))
    for part in parts:
        if not part.endswith(boundary):
            return data
    return b"".join((*parts, last))
