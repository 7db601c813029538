"""The recordings of real servers, which stand beside the repository and are never copied into it.

`STREAMAGG_SHARED` names another place than the folder `shared` beside the repository. Nothing here uses streamagg.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .generated import KINDS, Json

ROOT = Path(os.environ.get("STREAMAGG_SHARED") or Path(__file__).parents[3] / "shared") / "corpus"

LENGTHS = {"1": 1, "2-5": 5, "6-20": 20, "21-100": 100, "more": 10**9}
"""The groups of streams, by the number of chunks: the most that a stream of each group has."""

_BLANK_LINE = re.compile(rb"(?:\r\n|\n)(?:\r\n|\n)")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Recording:
    """One stream and what it comes to."""

    name: str
    body: bytes
    events: list[bytes]
    """The body cut after each blank line."""
    payloads: list[bytes]
    """The JSON documents in it."""
    chunks: int
    answer: Json
    """The response without nulls: of a stream that ends too early, the part that came."""
    error: str | None
    """The class of error that reading it must raise; None where the stream is complete."""

    def reads(self, delivery: str) -> list[bytes]:
        """The body as it arrives: `whole`, or one `event` a read."""
        return [self.body] if delivery == "whole" else self.events

    @property
    def length(self) -> str:
        """The group of streams that it belongs to."""
        return next(name for name, most in LENGTHS.items() if self.chunks <= most)


def recordings() -> list[Recording]:
    """Every recording; none where the folder is absent."""
    manifest = ROOT / "manifest.json"
    return [_recording(row) for row in json.loads(manifest.read_bytes())] if manifest.is_file() else []


def _recording(row: Json) -> Recording:
    body = (ROOT / "streams" / f"{row['name']}.sse").read_bytes()
    answer = json.loads((ROOT / "responses" / f"{row['name']}.json").read_bytes())
    error = "ProviderError" if row["error"] == "provider" else None if row["complete"] else "IncompleteStreamError"
    return _made(row["name"], body, row["n_chunks"], answer, error)


def _made(name: str, body: bytes, chunks: int, answer: Json, error: str | None = None) -> Recording:
    events = list(_events(body))
    return Recording(name, body, events, list(_payloads(events)), chunks, answer, error)


def _events(body: bytes) -> Iterator[bytes]:
    start = 0
    for blank in _BLANK_LINE.finditer(body):
        yield body[start : blank.end()]
        start = blank.end()
    if start < len(body):
        yield body[start:]


def _payloads(events: list[bytes]) -> Iterator[bytes]:
    for event in events:
        lines = _DATA.findall(event)
        joined = b"\n".join(lines)
        # One recording lacks its blank lines: each line of data is a document of its own there.
        yield from [joined] if _is_object(joined) else filter(_is_object, lines)


def _is_object(payload: bytes) -> bool:
    """Whether it is a whole JSON object: `[DONE]` is none, nor is a document that was cut."""
    try:
        return isinstance(json.loads(payload), dict)
    except ValueError:
        return False


def one_chunk() -> Recording:
    """A made-up stream of one chunk and its end, the chunk with the finish reason: no recording is as short."""
    case = KINDS["text"].case(1)
    body = b"".join([*case.events[1:-2], case.events[-1]])  # without the chunk of the role and that of the usage
    answer = {name: value for name, value in case.answer.items() if name != "usage"}
    return _made("one-chunk", body, 1, answer)
