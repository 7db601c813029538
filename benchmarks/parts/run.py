"""Runs the parts, each library and each part in a process of its own, and gathers their rows."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..libraries import CASES, LIBRARIES, RECORDINGS, version_of
from ..measure import jobs
from ..measure.child import Failed
from ..streams.recordings import ROOT
from . import batch_jobs, cases, crowd, end_to_end, framing, growth, recordings

PARTS = ("recordings", "end-to-end", "growth", "crowd", "framing", "batch")
"""The parts but for the cases, which go by the names of the cases."""

_QUICK_SAMPLE = 20
"""A quick run gives a slow library one recording of so many: all of them take litellm half a minute."""

_NO_RECORDINGS = "no recordings beside the repository; `STREAMAGG_SHARED` names another place"

Row = dict[str, Any]


def measured(names: list[str], libraries: list[str], parts: list[str], *, quick: bool) -> dict[str, Any]:
    """The rows of every part in `parts`, and those of the cases `names` with `libraries`."""
    return {
        "recordings": list(_recordings(libraries, quick=quick)) if "recordings" in parts else [],
        "cases": list(_cases(libraries, names, quick=quick)),
        "end_to_end": list(_end_to_end(quick=quick)) if "end-to-end" in parts else [],
        "growth": list(_growth(quick=quick)) if "growth" in parts else [],
        "crowd": list(_crowd(quick=quick)) if "crowd" in parts else [],
        "framing": list(_framing(quick=quick)) if "framing" in parts else [],
        "batch": list(_batch(quick=quick)) if "batch" in parts else [],
    }


def _recordings(libraries: list[str], *, quick: bool) -> Iterator[Row]:
    """The quick ways take turns in one process; each of the others has one of its own."""
    asked = [name for name in libraries if RECORDINGS in LIBRARIES[name].parts]
    if not ROOT.is_dir():
        yield from ({"library": name, "state": "absent", "reason": _NO_RECORDINGS} for name in asked)
        return
    present = [name for name in asked if LIBRARIES[name].absence() is None]
    for name in asked:
        if name not in present:
            yield {"library": name, "state": "absent", "reason": LIBRARIES[name].absence()}
    in_turns = [name for name in present if not LIBRARIES[name].rounds_apart]
    yield from _recordings_of(in_turns, {*in_turns, recordings.DECODE}, recordings.ROUNDS, quick=quick)
    for name in present:
        if rounds := LIBRARIES[name].rounds_apart:
            yield from _recordings_of([name], {name}, rounds, quick=quick)


def _recordings_of(libraries: list[str], wanted: set[str], rounds: int, *, quick: bool) -> Iterator[Row]:
    """The rows of one process. The loop and the bare decode run in each one, and their rows are wanted once."""
    if not libraries:
        return
    empty = [{"library": name} for name in libraries]
    title = f"recordings, {libraries[0] if len(libraries) == 1 else f'{len(libraries)} ways in turns'}"
    arguments: Row = {"libraries": libraries, "rounds": 1 if quick else rounds}
    if quick and not any(name.startswith("streamagg") for name in libraries):
        arguments["every"] = _QUICK_SAMPLE
    rows = _rows(title, "orjson", empty, "recordings", arguments)
    yield from (row for row in rows if row["library"] in wanted)


def _cases(libraries: list[str], names: list[str], *, quick: bool) -> Iterator[Row]:
    sizes = cases.QUICK_SIZES if quick else cases.SIZES
    asked = [name for name in libraries if CASES in LIBRARIES[name].parts]
    with tempfile.TemporaryDirectory() as folder:
        cases.write_inputs(Path(folder), names, sizes)
        for library in asked if names else []:
            rows = [{"library": library, "case": name} for name in names]
            if reason := LIBRARIES[library].absence():
                yield from ({**row, "state": "absent", "reason": reason} for row in rows)
                continue
            arguments = {"library": library, "folder": folder, "names": names, "sizes": sizes, "quick": quick}
            yield from _rows(library, "", rows, "cases", arguments)


def _end_to_end(*, quick: bool) -> Iterator[Row]:
    size = {"burst": 50, "paced": 20} if quick else {"burst": end_to_end.BURST, "paced": end_to_end.PACED}
    rounds = dict.fromkeys(end_to_end.ROUNDS, 1) if quick else end_to_end.ROUNDS
    for client in end_to_end.CLIENTS:
        distribution = end_to_end.DISTRIBUTIONS.get(client, client)
        arguments = {"client": client, "rounds": rounds, **size}
        yield from _rows(f"end to end, {client}", distribution, [{"client": client}], "end_to_end", arguments)


def _growth(*, quick: bool) -> Iterator[Row]:
    for kind, sizes in growth.SIZES.items():
        for size in growth.QUICK_SIZES if quick else sizes:
            row = {"kind": kind, "chunks": size}
            arguments = {"kind": kind, "size": size, "quick": quick}
            yield from _rows(f"growth, {kind}, {size}", "streamagg", [row], "growth", arguments)


def _crowd(*, quick: bool) -> Iterator[Row]:
    arguments = {
        "streams": crowd.QUICK_STREAMS if quick else crowd.STREAMS,
        "chunks": crowd.QUICK_CHUNKS if quick else crowd.CHUNKS,
    }
    yield from _rows("crowd", "streamagg", [arguments], "crowd", arguments)


def _framing(*, quick: bool) -> Iterator[Row]:
    parsers = [name for name in framing.PARSERS if version_of(name) is not None]
    for name in framing.PARSERS:
        if name not in parsers:
            yield {"parser": name, "state": "absent", "reason": f"{name} is not installed"}
    arguments = {
        "parsers": parsers,
        "events": framing.QUICK_EVENTS if quick else framing.EVENTS,
        "rounds": 1 if quick else framing.ROUNDS,
    }
    yield from _rows("framing", "streamagg", [{"parser": name} for name in parsers], "framing", arguments)


def _batch(*, quick: bool) -> Iterator[Row]:
    for what, distribution, arguments in batch_jobs.jobs(quick=quick):
        title = ", ".join(["batch", what, *map(str, arguments.values())])
        row = {"part": what, "way": title, **arguments}
        yield from _rows(title, distribution, [row], "batch", {"what": what, "quick": quick, **arguments})


def _rows(title: str, distribution: str, empty: list[Row], part: str, arguments: Row) -> Iterator[Row]:
    """What a job found; `empty` are the rows to fill where the distribution is absent or the job fails."""
    if distribution and version_of(distribution) is None:
        yield from ({**row, "state": "absent", "reason": f"{distribution} is not installed"} for row in empty)
        return
    started = time.monotonic()
    try:
        yield from jobs.call(part, **arguments)
    except Failed as failure:
        yield from ({**row, "state": "failed", "reason": str(failure)} for row in empty)
    print(f"{title}: {time.monotonic() - started:.1f} s", file=sys.stderr)
