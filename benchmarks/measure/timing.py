"""How time is measured.

Time is CPU time of the process, so that what else runs on the machine counts as little as it can, and
every measurement alternates with the bare decode loop in the same process: the ratio of the two is the
figure. Garbage collection is on, as in a normal program.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from streamagg import ChatCompletionChunk

_FLOOR_RUNS = 2


@dataclass(frozen=True)
class Timing:
    """Medians over rounds, in seconds a run; `ratio` is the median of the rounds' ratios."""

    subject: float
    floor: float
    ratio: float
    rounds: int

    def as_row(self, chunks: int) -> dict[str, Any]:
        """The figures for a report: microseconds a chunk."""
        return {
            "us_per_chunk": 1e6 * self.subject / chunks,
            "floor_us_per_chunk": 1e6 * self.floor / chunks,
            "ratio": self.ratio,
            "rounds": self.rounds,
        }


def cpu_time(task: Callable[[], Any]) -> float:
    """Seconds of CPU that `task` takes, in all threads of this process."""
    start = time.process_time()
    task()
    return time.process_time() - start


def side_by_side(
    subject: Callable[[], Any],
    floor: Callable[[], Any],
    *,
    first: float,
    budget: float,
    most: int = 101,
) -> Timing:
    """Time both in turns, for `budget` seconds of rounds at the most, and at least once.

    `first` is what a run before took: one that exceeded the budget is the measurement.
    """
    floor()  # warm-up
    last = first
    subjects: list[float] = []
    floors: list[float] = []
    end = time.monotonic() + budget
    while True:
        before = _floor_time(floor, last)
        last = first if first > budget else cpu_time(subject)
        subjects.append(last)
        floors.append((before + _floor_time(floor, last)) / 2)
        if first > budget or len(subjects) == most or time.monotonic() > end:
            break
    ratios = [mine / its for mine, its in zip(subjects, floors, strict=True)]
    return Timing(statistics.median(subjects), statistics.median(floors), statistics.median(ratios), len(ratios))


def _floor_time(floor: Callable[[], Any], beside: float) -> float:
    """The floor's time; taken for some while where it stands beside a long run, as the machine's speed varies."""
    times = [cpu_time(floor)]
    while len(times) < _FLOOR_RUNS or sum(times) < beside / 20:
        times.append(cpu_time(floor))
    return statistics.median(times)


def decode_all(decode: Callable[[bytes], Any], payloads: Iterable[bytes]) -> None:
    """The bare decode loop: what everything is compared with."""
    for payload in payloads:
        decode(payload)


_strict = msgspec.json.Decoder(ChatCompletionChunk).decode


def tolerant_decode(payload: bytes) -> Any:
    """One payload of the bare decode loop: as plain data where the strict structs refuse it."""
    try:
        return _strict(payload)
    except msgspec.ValidationError:
        return msgspec.json.decode(payload)
