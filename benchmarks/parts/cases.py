"""One library on every case, in a process of its own; each delivery in a fork, which starts afresh."""

from __future__ import annotations

import gc
import pickle
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from streamagg import ChatCompletionChunk

from ..libraries import LIBRARIES, Library
from ..measure.answers import wrong_parts
from ..measure.child import Failed, in_child, peak_rss
from ..measure.timing import cpu_time, decode_all, side_by_side
from ..streams.generated import KINDS, Case
from ..streams.reads import deliveries, reads_of

SIZES = (200, 1000, 5000)
"""In chunks. A library takes the largest that it reads in `LONGEST` seconds: some grow with the square."""
QUICK_SIZES = (40,)
LONGEST = 0.6
_BUDGET = {1: 1.5}
"""Seconds of rounds for a case, by its number: case 1 is what all libraries are compared by."""
_OTHER_BUDGET = 0.4
_WARM_UP = 20

Row = dict[str, Any]


def write_inputs(folder: Path, names: list[str], sizes: tuple[int, ...]) -> None:
    """Make the cases once, for all libraries: what is read back leaves no free memory behind."""
    for name in names:
        for size in sizes:
            _path(folder, name, size).write_bytes(pickle.dumps(KINDS[name].case(size)))


def _path(folder: Path, name: str, size: int) -> Path:
    return folder / f"{name}-{size}.pickle"


def run(library: str, folder: str, names: list[str], sizes: list[int], quick: bool) -> list[Row]:
    """The rows of one library: one for each case and delivery."""
    rows: list[Row] = []
    collector = _Collector(LIBRARIES[library])
    for name in names:
        collector.warm_up(name)
    gc.collect()
    for name in names:
        paths = {size: _path(Path(folder), name, size) for size in sizes}
        size = collector.size_for(paths)
        budget = 0 if quick else _BUDGET.get(KINDS[name].number, _OTHER_BUDGET)
        for delivery in deliveries(KINDS[name]):
            row: Row = {"library": library, "case": name, "delivery": delivery}
            try:
                task = partial(collector.measured, name, paths[size], delivery, budget)
                row |= {"state": "measured", **in_child(task)}
            except Failed as failure:
                row |= {"state": "failed", "reason": str(failure)}
            rows.append(row)
    return rows


class _Collector:
    """A library, loaded, and what is asked of it."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._collect, self._wire = library.load()

    def warm_up(self, name: str) -> None:
        """Let the library import and build what it does on first use."""
        with suppress(Exception):  # the rows will say what failed
            self._collect(KINDS[name].case(_WARM_UP).events)

    def size_for(self, paths: dict[int, Path]) -> int:
        """The largest size that it should read in `LONGEST` seconds, judged by how its time grew so far."""
        best = min(paths)
        before = 0.0
        for size, following in pairwise(sorted(paths)):
            try:
                took = in_child(partial(self._time, paths[size]))
            except Failed:
                return best
            if took > LONGEST:
                return best
            best = size
            if took * max(following / size, took / before if before else 0) > LONGEST:
                return best
            before = took
        return max(paths)

    def _time(self, path: Path) -> float:
        reads = reads_of(_read(path), "event")
        return cpu_time(lambda: self._collect(reads))

    def measured(self, name: str, path: Path, delivery: str, budget: float) -> Row:
        """Time, memory and answer of one cell, in a fork that begins with the input at hand."""
        case = _read(path)
        reads = reads_of(case, delivery)
        row: Row = in_child(partial(self._row, name, case, reads, budget))
        return row

    def _row(self, name: str, case: Case, reads: list[bytes], budget: float) -> Row:
        self.warm_up(name)  # a fork has yet to map the code that it runs, which must not count as growth
        before = peak_rss()
        start = time.process_time()
        result = self._collect(reads)
        first = time.process_time() - start
        grown = peak_rss() - before
        wrong = self._wrong(case, self._wire(result))
        del result
        decode = msgspec.json.Decoder(ChatCompletionChunk).decode
        timing = side_by_side(
            lambda: self._collect(reads),
            lambda: decode_all(decode, case.strict_payloads),
            first=first,
            budget=budget,
        )
        chunks = len(case.payloads)
        return {"chunks": chunks, "reads": len(reads), "peak_bytes": grown, "wrong": wrong, **timing.as_row(chunks)}

    def _wrong(self, case: Case, answer: Any) -> list[str]:
        if self._library.frames_only:
            return [] if answer == case.payloads else ["payloads"]
        return wrong_parts(case.answer, answer, whole=self._library.name.startswith("streamagg"))


def _read(path: Path) -> Case:
    case: Case = pickle.loads(path.read_bytes())
    return case
