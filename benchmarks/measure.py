"""How time and memory are measured.

Time is CPU time of the process, so that what else runs on the machine counts as little as it can, and
every measurement alternates with the bare decode loop in the same process: the ratio of the two is the
figure. Garbage collection is on, as in a normal program.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # what `ru_maxrss` counts in
_FLOOR_RUNS = 2


class Failed(Exception):
    """A measurement that could not be made; the reason is for the row."""


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


# ------------------------------------------------------------------ memory


def peak_rss() -> int:
    """The most memory, in bytes, that was resident in this process. A forked child begins with its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def in_child(task: Callable[[], Any], seconds: int = 120) -> Any:
    """Run `task` in a fork of this process and return its result, which must be JSON.

    What it does to memory is its own, and its peak begins where this process stands. Raises `Failed`
    where the task raises, dies, or takes longer than `seconds`.
    """
    _trim()
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        signal.alarm(seconds)
        with os.fdopen(its, "wb") as pipe:
            pipe.write(json.dumps(_outcome(task)).encode())
        os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        raise Failed(f"stopped after {seconds} seconds" if stopped else f"died with status {status}")
    outcome = json.loads(answer)
    if "failed" in outcome:
        raise Failed(outcome["failed"])
    return outcome["result"]


def _trim() -> None:
    """Give free memory back to the system where the C library can, so that a child has none to fill first."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _outcome(task: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": task()}
    except Exception as error:  # whatever a library raises is its row in the report
        return {"failed": reason_of(error)}


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
