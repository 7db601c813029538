"""`python -m benchmarks`: measure everything, or what is asked for, and write what was found."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import batch_figures, cases, crowd, endtoend, framing, growth, jobs
from .environment import environment
from .inputs import KINDS
from .libraries import LIBRARIES, version_of
from .measure import Failed
from .report import console, markdown
from .targets import targets

SECTIONS = ("end-to-end", "growth", "crowd", "framing", "batch")

Row = dict[str, Any]


def main() -> int:
    """Returns 1 where an answer of streamagg was wrong or missing, else 0."""
    options = _options()
    started = time.monotonic()
    results = _measured(options)
    results["environment"]["seconds"] = round(time.monotonic() - started)
    results["targets"] = [] if options.quick else targets(results)
    print(console(results))
    if folder := _folder(options):
        _write(results, folder)
        print(f"wrote {folder}")
    wrong = list(_faults(results))
    for fault in wrong:
        print(f"WRONG: {fault}", file=sys.stderr)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see that all runs and every answer is right")
    parser.add_argument("--case", action="append", choices=[*KINDS, *SECTIONS], help="repeatable; default: all")
    parser.add_argument("--library", action="append", choices=list(LIBRARIES), help="repeatable; default: all")
    parser.add_argument("--out", type=Path, help="where to write; default: here, if all is measured")
    return parser.parse_args()


def _folder(options: argparse.Namespace) -> Path | None:
    """Where to write. Only a whole run replaces what is kept beside this file."""
    if options.out is not None:
        folder: Path = options.out
        return folder
    return None if options.quick or options.case or options.library else Path(__file__).parent


def _write(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    folder.joinpath("RESULTS.md").write_text(markdown(results))
    if version_of("matplotlib") is None:
        print("matplotlib is absent: no chart", file=sys.stderr)
        return
    from .chart import draw

    draw(results, folder / "results.svg")


# ------------------------------------------------------------------ measuring


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    names = [name for name in KINDS if not options.case or name in options.case]
    libraries = [name for name in LIBRARIES if not options.library or name in options.library]
    sections = [name for name in SECTIONS if name in (options.case or ([] if options.library else SECTIONS))]
    return {
        "environment": environment(),
        "cases": list(_cases(libraries, names, quick=options.quick)),
        "end_to_end": list(_end_to_end(quick=options.quick)) if "end-to-end" in sections else [],
        "growth": list(_growth(quick=options.quick)) if "growth" in sections else [],
        "crowd": list(_crowd(quick=options.quick)) if "crowd" in sections else [],
        "framing": list(_framing(quick=options.quick)) if "framing" in sections else [],
        "batch": list(_batch(quick=options.quick)) if "batch" in sections else [],
    }


def _cases(libraries: list[str], names: list[str], *, quick: bool) -> Iterator[Row]:
    sizes = cases.QUICK_SIZES if quick else cases.SIZES
    with tempfile.TemporaryDirectory() as folder:
        cases.write_inputs(Path(folder), names, sizes)
        for library in libraries if names else []:
            distribution = LIBRARIES[library].distribution
            rows = [{"library": library, "case": name} for name in names]
            arguments = {"library": library, "folder": folder, "names": names, "sizes": sizes, "quick": quick}
            yield from _rows(library, distribution, rows, "cases", arguments)


def _end_to_end(*, quick: bool) -> Iterator[Row]:
    size = {"burst": 50, "paced": 20} if quick else {"burst": endtoend.BURST, "paced": endtoend.PACED}
    rounds = dict.fromkeys(endtoend.ROUNDS, 1) if quick else endtoend.ROUNDS
    for client in endtoend.CLIENTS:
        distribution = endtoend.DISTRIBUTIONS.get(client, client)
        arguments = {"client": client, "rounds": rounds, **size}
        yield from _rows(f"end to end, {client}", distribution, [{"client": client}], "endtoend", arguments)


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
    for what, distribution, arguments in batch_figures.jobs(quick=quick):
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


# ------------------------------------------------------------------ judging


def _faults(results: dict[str, Any]) -> Iterator[str]:
    """Each place where streamagg gave a wrong answer, or none."""
    for row in results["cases"]:
        if row["library"].startswith("streamagg") and (row["state"] != "measured" or row["wrong"]):
            found = row.get("reason") or ", ".join(row["wrong"])
            yield f"{row['library']}, {row['case']}, {row.get('delivery', 'every delivery')}: {found}"
    for row in results["end_to_end"]:
        wrong = [part for part in row.get("wrong", []) if part.startswith("accumulate")]
        if row["state"] == "failed" or wrong:
            yield f"end to end, {row['client']}: {row.get('reason') or wrong}"
    for row in results["growth"]:
        if row["state"] != "measured" or not row["right"]:
            yield f"growth, {row['kind']}, {row['chunks']}: {row.get('reason', 'another text')}"
    for row in results["crowd"]:
        if row["state"] != "measured":
            yield f"crowd: {row['reason']}"
    for row in results["framing"]:
        if row["parser"] == "streamagg" and (row["state"] != "measured" or not row["right"]):
            yield f"framing: {row.get('reason', row.get('input'))}"
    for row in results["batch"]:
        if row["state"] == "failed" or (row["part"] != "others" and row.get("wrong")):
            yield f"batch: {row.get('way', row['part'])}: {row.get('reason', row.get('wrong'))}"


if __name__ == "__main__":
    sys.exit(main())
