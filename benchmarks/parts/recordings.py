"""Real streams: the CPU time of each way over every recording, beside a hand-written loop and the bare decode.

1. All ways of one process take turns over the streams of one length, then over those of the next length. The
   figure of a way is the median of the rounds' ratios to the loop, and to the bare decode.
2. A library whose round takes seconds has a process of its own and one round; the twins for async code, three.
3. The first pass is the warm-up, and gives the answers that are held against the known ones. Those of others are
   taken from whole bodies alone.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from ..libraries import LIBRARIES
from ..measure.answers import without_nulls, wrong_parts, wrong_recorded_parts
from ..measure.child import reason_of
from ..measure.timing import cpu_time, decode_all, tolerant_decode
from ..streams.recordings import LENGTHS, Recording, one_chunk, recordings

DELIVERIES = {"whole": "a whole body", "event": "one event a read"}
ROUNDS = 7
LOOP = "orjson"
DECODE = "decode"
_REPEATS = 300
_REPEATS_APART = 100
"""How often a round reads the stream of one chunk. The clock of the process takes about a microsecond, as long as the
bare decode of that stream: fewer repeats would measure the clock. A slow library takes milliseconds."""

Row = dict[str, Any]
Task = Callable[[], Any]


def run(libraries: list[str], rounds: int, every: int = 1) -> list[Row]:
    """The rows: one for each library and delivery, and those of the bare decode; of every so many recordings."""
    groups: dict[str, list[Recording]] = {length: [] for length in LENGTHS}
    for recording in recordings()[::every]:
        groups[recording.length].append(recording)
    ways = {name: _Way(name) for name in dict.fromkeys([LOOP, *libraries])}
    repeats = _REPEATS_APART if any(LIBRARIES[name].rounds_apart for name in libraries) else _REPEATS
    counts = {**{length: len(group) for length, group in groups.items()}, "1": repeats}
    rows: list[Row] = []
    answers: dict[str, Row] = {}
    for delivery in DELIVERIES:
        judged = [name for name, way in ways.items() if way.is_own or not answers.get(name)]
        answers |= {name: ways[name].judged(groups, delivery) for name in judged}
        gc.collect()
        times = _times(ways, {**groups, "1": [one_chunk()] * repeats}, delivery, rounds)
        for name in (DECODE, *ways):
            row = {"library": name, "delivery": delivery, "state": "measured", "rounds": rounds}
            rows.append(row | _figures(times, name, counts) | answers.get(name, {}))
    return rows


class _Way:
    """A way of a library, loaded."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._collect, self._wire = LIBRARIES[name].load()

    def read_all(self, bodies: list[list[bytes]]) -> list[Any]:
        """What the way makes of each body, or the exception that it raises."""
        if inspect.iscoroutinefunction(self._collect):
            return asyncio.run(self._read_all_async(bodies))
        return [self._read(reads) for reads in bodies]

    def _read(self, reads: list[bytes]) -> Any:
        try:
            return self._collect(reads)
        except Exception as error:  # whatever a library raises is counted in the report
            return error

    async def _read_all_async(self, bodies: list[list[bytes]]) -> list[Any]:
        return [await self._read_async(reads) for reads in bodies]

    async def _read_async(self, reads: list[bytes]) -> Any:
        try:
            return await self._collect(reads)
        except Exception as error:  # as above
            return error

    def judged(self, groups: dict[str, list[Recording]], delivery: str) -> Row:
        """The recordings that it refuses, and those whose answer is wrong, each with the reason."""
        found: dict[str, dict[str, str]] = {"refused": {}, "wrong": {}}
        asked = [recording for group in groups.values() for recording in group] + [one_chunk()]
        results = self.read_all([recording.reads(delivery) for recording in asked])
        for recording, result in zip(asked, results, strict=True):
            kind, reason = self._own(recording, result) if self.is_own else self._other(recording, result)
            if kind:
                found[kind][recording.name] = reason
        return found

    @property
    def is_own(self) -> bool:
        """Whether it is a way of streamagg."""
        return self._name.startswith("streamagg")

    def _own(self, recording: Recording, result: Any) -> tuple[str, str]:
        """The response, or that of the error, must be equal to the known one; and so must the class of error."""
        error = type(result).__name__ if isinstance(result, Exception) else None
        if error != recording.error:
            return "wrong", reason_of(result) if error else f"no {recording.error}"
        response = result.partial if error else result
        parts = wrong_parts(recording.answer, without_nulls(self._wire(response)), whole=True)
        return ("wrong", ", ".join(parts)) if parts else ("", "")

    def _other(self, recording: Recording, result: Any) -> tuple[str, str]:
        """To raise is right where the stream holds an error or is cut; else the answer counts.

        Of an exception the class alone is kept: its message may quote the recording.
        """
        if isinstance(result, Exception):
            return ("", "") if recording.error else ("refused", type(result).__name__)
        try:
            parts = wrong_recorded_parts(recording.answer, self._wire(result))
        except Exception as error:  # an answer that cannot be shown, such as none at all
            return "wrong", type(error).__name__
        return ("wrong", ", ".join(parts)) if parts else ("", "")


def _times(ways: dict[str, _Way], groups: dict[str, list[Recording]], delivery: str, rounds: int) -> dict[str, Any]:
    """Seconds by way, length and round."""
    tasks: dict[str, dict[str, Task]] = {DECODE: {}, **{name: {} for name in ways}}
    for length, group in groups.items():
        payloads = [payload for recording in group for payload in recording.payloads]
        bodies = [recording.reads(delivery) for recording in group]
        tasks[DECODE][length] = partial(decode_all, tolerant_decode, payloads)
        for name, way in ways.items():
            tasks[name][length] = partial(way.read_all, bodies)
    times: dict[str, dict[str, list[float]]] = {name: {length: [] for length in groups} for name in tasks}
    for _ in range(rounds):
        for length in groups:
            for name, task in tasks.items():
                times[name][length].append(cpu_time(task[length]))
    return times


def _figures(times: dict[str, dict[str, list[float]]], name: str, counts: dict[str, int]) -> Row:
    """Medians by length; `all` is the sum over the recordings, without the made-up stream of one chunk."""
    mine, loop, decode = (_with_all(times[one]) for one in (name, LOOP, DECODE))
    return {
        "streams": {**counts, "all": sum(counts.values()) - counts["1"]},
        "us_per_stream": {
            length: 1e6 * statistics.median(took) / (counts.get(length) or sum(counts.values()) - counts["1"])
            for length, took in mine.items()
        },
        "to_loop": {length: _ratio(took, loop[length]) for length, took in mine.items()},
        "to_decode": {length: _ratio(took, decode[length]) for length, took in mine.items()},
    }


def _with_all(times: dict[str, list[float]]) -> dict[str, list[float]]:
    real = [took for length, took in times.items() if length != "1"]
    return {**times, "all": [sum(rounds) for rounds in zip(*real, strict=True)]}


def _ratio(mine: list[float], its: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(mine, its, strict=True))
