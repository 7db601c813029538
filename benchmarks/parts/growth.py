"""Growth: the time per chunk and the peak memory of one stream, from a thousand chunks to a million.

The reads are made in blocks as they are fed, one event each, so the input never fills the memory, and
the texts are ASCII, so that a character is a byte in memory as on the wire.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from random import Random
from typing import Any

import msgspec

from streamagg import Accumulator, ChatCompletionChunk, ChatCompletionResponse

from ..measure.child import in_child, peak_rss
from ..streams.generated import SEED, logprob_entry
from ..streams.texts import pieces

SIZES = {
    "text": (1_000, 10_000, 100_000, 1_000_000),
    "tool-arguments": (1_000, 10_000, 100_000, 1_000_000),
    "logprobs": (1_000, 10_000, 100_000),
}
"""Logprobs stop at 100,000: a million tokens with five alternatives are more than a gigabyte of answer."""
QUICK_SIZES = (1_000, 10_000)

_BLOCK = 1000
_CHUNKS_TIMED = 100_000  # small sizes are repeated up to so many
_MOST_RUNS = 20

_decode = msgspec.json.Decoder(ChatCompletionChunk).decode


def run(kind: str, size: int, quick: bool) -> list[dict[str, Any]]:
    """Time and memory at one size; `answer_bytes` is what the answer itself occupies."""
    runs = 1 if quick else max(1, min(_MOST_RUNS, _CHUNKS_TIMED // size))
    _Run().feed(kind, 2 * _BLOCK)  # warm-up
    memory = in_child(partial(_memory, kind, size), 600)
    answer = in_child(partial(_bare_logprobs, size), 600) if kind == "logprobs" else memory["text_bytes"]
    timed = [_timed(kind, size) for _ in range(runs)]
    row = {
        "state": "measured",
        "kind": kind,
        "chunks": size,
        "us_per_chunk": 1e6 * statistics.median(one.took for one in timed) / size,
        "floor_us_per_chunk": 1e6 * statistics.median(one.floor for one in timed) / size,
        "ratio": statistics.median(one.took / one.floor for one in timed),
        "peak_bytes": memory["peak_bytes"],
        "answer_bytes": answer,
        "right": memory["right"] and all(one.right(kind) for one in timed),
    }
    return [row]


@dataclass
class _Run:
    """One stream, fed."""

    took: float = 0.0
    floor: float = 0.0
    response: ChatCompletionResponse | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def feed(self, kind: str, size: int, *, with_floor: bool = False) -> None:
        accumulator = Accumulator()
        for events, said in _blocks(kind, size):
            self.digest.update(said)
            if with_floor:
                payloads = [event[6:-2] for event in events]
                start = time.process_time()
                for payload in payloads:
                    _decode(payload)
                self.floor += time.process_time() - start
            start = time.process_time()
            for event in events:
                accumulator.feed(event)
            self.took += time.process_time() - start
        start = time.process_time()
        accumulator.feed(b"data: [DONE]\n\n")
        self.response = accumulator.finish()
        self.took += time.process_time() - start

    def right(self, kind: str) -> bool:
        return bool(hashlib.sha256(self._text(kind).encode()).digest() == self.digest.digest())

    def text_bytes(self, kind: str) -> int:
        return sys.getsizeof(self._text(kind))

    def _text(self, kind: str) -> str:
        assert self.response is not None
        choice = self.response.choices[0]
        if kind == "text":
            return choice.message.text
        if kind == "logprobs":
            return "".join(entry.token or "" for entry in (choice.logprobs and choice.logprobs.content) or [])
        calls = choice.message.tool_calls or []
        return (calls[0].function and calls[0].function.arguments) or ""


def _timed(kind: str, size: int) -> _Run:
    one = _Run()
    one.feed(kind, size, with_floor=True)
    return one


def _memory(kind: str, size: int) -> dict[str, Any]:
    _settle(kind)
    before = peak_rss()
    one = _Run()
    one.feed(kind, size)
    peak = peak_rss() - before
    return {"peak_bytes": peak, "text_bytes": one.text_bytes(kind), "right": one.right(kind)}


def _settle(kind: str) -> None:
    """Make some blocks and read a short stream, so that neither the reads nor the code count as growth."""
    for _ in _blocks(kind, 3 * _BLOCK):
        pass
    _Run().feed(kind, 100)


def _bare_logprobs(size: int) -> int:
    """What the answer's log probabilities occupy, kept by a bare decode loop."""
    _settle("logprobs")
    before = peak_rss()
    kept: list[Any] = []
    for events, _ in _blocks("logprobs", size):
        for event in events:
            for choice in _decode(event[6:-2]).choices or ():
                kept += (choice.logprobs and choice.logprobs.content) or ()
    return peak_rss() - before


def _blocks(kind: str, size: int) -> Iterator[tuple[list[bytes], bytes]]:
    """`size` events in blocks, each with the text that it carries."""
    rng = Random(SEED)
    source = pieces(rng, ascii_only=True)
    for start in range(0, size, _BLOCK):
        said = list(islice(source, min(_BLOCK, size - start)))
        yield [_event(kind, rng, piece, place) for place, piece in enumerate(said, start)], "".join(said).encode()


def _event(kind: str, rng: Random, piece: str, place: int) -> bytes:
    said = json.dumps(piece)
    logprobs = "null"
    if kind == "tool-arguments":
        opening = '"id":"call_1","type":"function",' if place == 0 else ""
        name = '"name":"write",' if place == 0 else ""
        delta = f'"tool_calls":[{{"index":0,{opening}"function":{{{name}"arguments":{said}}}}}]'
    else:
        delta = f'"content":{said}'
        if kind == "logprobs":
            logprobs = json.dumps({"content": [logprob_entry(rng, piece)], "refusal": None}, separators=(",", ":"))
    return (
        'data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1755000000,'
        '"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":'
        f'[{{"index":0,"delta":{{{delta}}},"logprobs":{logprobs},"finish_reason":null}}],"usage":null}}\n\n'
    ).encode()
