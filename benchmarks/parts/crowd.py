"""Crowd: many streams open at once in one process, fed in turns, one event per read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import msgspec

from streamagg import Accumulator, ChatCompletionChunk

from ..measure.child import in_child, peak_rss
from ..streams.generated import SEED
from ..streams.texts import pieces

STREAMS = 10_000
CHUNKS = 200
QUICK_STREAMS = 500
QUICK_CHUNKS = 20

_MIDDLE = (
    b'","object":"chat.completion.chunk","created":1755000000,"model":"gpt-4o-2024-08-06","service_tier":"default",'
    b'"system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":'
)
_AFTER = b'},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'


def run(streams: int, chunks: int) -> list[dict[str, Any]]:
    """Memory, speed and pauses, each measured in a pass of its own."""
    _Crowd(10, chunks).timed()  # warm-up
    crowd = _Crowd(streams, chunks)
    speed = in_child(crowd.timed, 600)
    row = {
        "state": "measured",
        "streams": streams,
        "chunks": chunks,
        "held_per_stream": in_child(crowd.held, 600),
        "longest_pause_ms": 1e3 * in_child(crowd.longest_pause, 600),
        "snapshot_us": in_child(crowd.snapshots, 600),
        **speed,
    }
    return [row]


class _Crowd:
    """The streams and what is said in them: each has ids of its own, all tell the same text."""

    def __init__(self, streams: int, chunks: int) -> None:
        self._said = list(islice(pieces(Random(SEED), ascii_only=True), chunks))
        self._texts = [msgspec.json.encode(piece) for piece in self._said]
        self._heads = [b'data: {"id":"chatcmpl-%029d' % number + _MIDDLE for number in range(streams)]

    def _turns(self) -> Iterator[list[bytes]]:
        """The events of each turn: one for each stream."""
        for text in self._texts:
            yield [head + text + _AFTER for head in self._heads]

    def timed(self) -> dict[str, float]:
        """Chunks per second, and the time beside that of the bare decode loop, turn by turn."""
        decode = msgspec.json.Decoder(ChatCompletionChunk).decode
        crowd = [Accumulator() for _ in self._heads]
        took = floor = 0.0
        for events in self._turns():
            start = time.process_time()
            for accumulator, event in zip(crowd, events, strict=True):
                accumulator.feed(event)
            took += time.process_time() - start
            payloads = [event[6:-2] for event in events]
            start = time.process_time()
            for payload in payloads:
                decode(payload)
            floor += time.process_time() - start
        return {"chunks_per_second": len(crowd) * len(self._texts) / took, "ratio": took / floor}

    def held(self) -> dict[str, float]:
        """Bytes held per open stream beyond its own text, after 1 chunk, after a tenth and at the end."""
        _Crowd(10, len(self._said)).timed()  # so that the code that is run does not count
        before = peak_rss()
        crowd = [Accumulator() for _ in self._heads]
        held: dict[str, float] = {}
        length = 0
        for count, (piece, text) in enumerate(zip(self._said, self._texts, strict=True), 1):
            for accumulator, head in zip(crowd, self._heads, strict=True):
                accumulator.feed(head + text + _AFTER)
            length += len(piece)
            if count in (1, len(self._texts) // 10, len(self._texts)):
                held[str(count)] = (peak_rss() - before) / len(crowd) - length
        return held

    def longest_pause(self) -> float:
        """The longest time, in seconds of CPU, that one `feed` took."""
        crowd = [Accumulator() for _ in self._heads]
        longest = 0.0
        for events in self._turns():
            last = time.process_time()
            for accumulator, event in zip(crowd, events, strict=True):
                accumulator.feed(event)
                now = time.process_time()
                longest = max(longest, now - last)
                last = now
        return longest

    def snapshots(self) -> float:
        """Microseconds for the response so far of one stream; raises where one is not right."""
        crowd = [Accumulator() for _ in self._heads]
        for events in self._turns():
            for accumulator, event in zip(crowd, events, strict=True):
                accumulator.feed(event)
        start = time.process_time()
        responses = [accumulator.snapshot() for accumulator in crowd]
        took = time.process_time() - start
        text = "".join(self._said)
        if any(response is None or response.text != text for response in responses):
            raise AssertionError("an answer of the crowd is not right")
        return 1e6 * took / len(crowd)
