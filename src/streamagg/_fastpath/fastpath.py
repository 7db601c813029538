"""The fast path: merges events that repeat the last one except for a few values, without decoding the rest.

1. Exact: the response, repairs, counts and errors equal those of the general path. `template` says why.
2. Eager: when `take` returns, the bytes that it took are merged.
3. Whole events: it takes an event or leaves it. It never raises because of an event's content.
4. Optional: `take` may always return 0. Without this folder the same events take the general path.

It pays on long streams: an event of text takes 0.8 us, half of that in large reads, and 2.6 us on the general path. The
benchmarks' table "general path" has the figure of each shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .._types.chunk import ChatCompletionChunk
from .placeholders import Decode, Writer, decode_string
from .template import Template, template_of

_SHORTEST_STREAK = 16
"""Events in a row before a template is made, at 20 to 50 us. A median stream has 12 chunks: with 8, short streams pay
for templates that they never use; with 32, streams of 100 chunks lose a sixth of the gain."""
_MOST_PATIENCE = 512
"""Events at most that are let pass before another try, where templates never fit."""
_WORTH = 16
"""Events that a template must have taken to have been worth making."""
_comments_at = re.compile(rb"(?::[^\n]*\n|\n)+").match
"""Matches the whole comments and blank lines at a position. Atoma sends ten comments between two events: one match of
all takes 0.7 us, a loop took 0.4 for each."""


class FastPath:
    """The fast path of one stream.

    `decode` is None for an API whose events are not one chunk each: then no template is made.
    `most`: while the response is no larger than this, no slice can pass a limit.
    """

    __slots__ = ("_before", "_decode", "_most", "_streak", "_taken_before", "_wait", "_writer", "taken", "template")

    def __init__(self, writer: Writer, decode: Decode | None, most: int) -> None:
        self.taken: int = 0
        """Events taken so far."""
        self.template: Template | None = None
        """The template to try; None if there is none."""
        self._writer = writer
        self._decode = decode
        self._most = most
        self._wait = _SHORTEST_STREAK
        self._streak = 0
        self._taken_before = 0
        self._before = b""

    def take(self, data: bytes, deliver: Callable[[ChatCompletionChunk], None] | None = None) -> int:
        """Merge the events at the front of `data` that fit, and the comments between them. The data must begin
        between two events. Returns the number of bytes taken."""
        # One function, though it is long: another call would cost each event of a read of its own a tenth of its time.
        template = self.template
        if template is None:
            return 0
        size = len(data)
        # Most servers send one event at a time. Data of less than twice the shortest event holds one at most.
        is_one = size < 2 * template.shortest
        if is_one and data.startswith(template.head) and data.endswith(template.end):
            stop, before, is_simple = size + template.stop, template.before_padding, template.is_text_only
            # OpenAI pads each event of text by letters and digits, which need no reading.
            if before is not None:
                end, stop = stop, data.find(before, template.start)
                is_simple = stop > 0 and data[stop + len(before) : end].isalnum()
            if not is_simple or deliver is not None or template.append is None:
                return size if size >= template.shortest and self._take_one(template, data, deliver) else 0
            # An event of text in a read of its own: `_take_one` without its calls, in two thirds of its time.
            try:
                text = decode_string(data[template.start - 1 : stop + 1])
            except ValueError:
                return 0
            template.append(text)
            writer = self._writer
            writer.size += len(text)
            self.taken += 1
            if writer.size > self._most:
                self._stop_for_good()
            return size
        position = 0 if is_one or deliver is not None or self._writer.observer else self._take_block(template, data)
        while True:
            # A server keeps the connection alive by comments between its events.
            if data.startswith((b":", b"\n"), position) and (comments := _comments_at(data, position)) is not None:
                position = comments.end()
            end = data.find(b"\n\n", position) + 2
            if end < position + template.shortest:
                return position
            if not (data.startswith(template.head, position) and data.endswith(template.end, position, end)):
                break
            if not self._take_one(template, data[position:end], deliver):
                return position
            position = end
            if position == size:
                return position
        # The first event does not fit, and the next ones are like it: OpenAI once put padding into a comment in each
        # event. With the template kept, each of them would be split here in vain, and again by the framing.
        if not position and b"\n\n" in data:
            self._drop()
        return position

    def _take_one(
        self, template: Template, event: bytes, deliver: Callable[[ChatCompletionChunk], None] | None
    ) -> bool:
        """Merge one event that has the outer pieces. Returns whether it fits."""
        try:
            values = template.read_one(event)
            chunk = template.chunk(event, values) if deliver is not None else None
        except (ValueError, RecursionError):
            return False
        if (deliver is not None and chunk is None) or not template.merge_one(values):
            return False
        self.taken += 1
        if self._writer.size > self._most:
            self._stop_for_good()
        if deliver is not None and chunk is not None:
            deliver(chunk)
        return True

    def _take_block(self, template: Template, data: bytes) -> int:
        """Merge the events at the front whose pieces fit. Takes none of them if one value does not."""
        lines = data.split(b"\n")
        count = (len(lines) - 1) // 2
        if count < 2:
            return 0
        middles = [line[template.start : template.stop + 2] for line in lines[: 2 * count : 2]]
        head, seam, end = template.head, template.end + template.head, template.end
        if not data.startswith(b"".join((head, seam.join(middles), end))):
            # Often only the last events of a block differ. A binary search finds how many fit before them.
            fits, count = 0, len(middles) - 1
            while fits < count:
                half = (fits + count + 1) // 2
                if data.startswith(b"".join((head, seam.join(middles[:half]), end))):
                    fits = half
                else:
                    count = half - 1
            middles = middles[:count]
            if not middles:
                return 0
        try:
            if not template.merge(template.read(middles)):
                return 0
        except (ValueError, RecursionError):
            return 0
        self.taken += count
        if self._writer.size > self._most:
            self._stop_for_good()
        return sum(map(len, middles)) + count * template.shortest

    def _stop_for_good(self) -> None:
        """Take no more. Near the limit of the response each event must be measured, which the general path does."""
        self._decode = self.template = None

    def learn(self, chunk: ChatCompletionChunk, prefix: bytes, payload: bytes) -> bool:
        """The general path has just merged this chunk, of the event `prefix + payload` and a blank line. Returns
        whether the events that follow may fit."""
        template = self.template
        if template is not None:
            if template.fits(prefix + payload + b"\n\n"):
                return True
            self._drop()
        if self._decode is None:
            return False
        self._streak += 1
        if self._streak < self._wait:
            self._before = payload
            return False
        self._streak = 0
        self.template = template_of(chunk, prefix, payload, self._before, self._decode, self._writer)
        self._before = b""
        if self.template is None:
            self._wait = min(2 * self._wait, _MOST_PATIENCE)
            return False
        self._taken_before = self.taken
        return True

    def forget(self) -> None:
        """An event of another form came."""
        if self.template is not None:
            self._drop()
        self._streak = 0

    def _drop(self) -> None:
        """Drop the template, which no longer fits. If templates take few events, the next one is made later."""
        is_worth = self.taken - self._taken_before >= _WORTH
        self._wait = _SHORTEST_STREAK if is_worth else min(2 * self._wait, _MOST_PATIENCE)
        self.template = None
        self._streak = 0
