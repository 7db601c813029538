"""`python -m benchmarks`: measure everything, or what is asked for, and write what was found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from .libraries import LIBRARIES, version_of
from .measure.environment import environment
from .parts.run import PARTS, measured
from .report.console import console
from .report.faults import faults
from .report.markdown import markdown
from .report.targets import targets
from .streams.generated import KINDS


def main() -> int:
    """Returns 1 where an answer of streamagg was wrong or missing, else 0."""
    options = _options()
    started = time.monotonic()
    names = [name for name in KINDS if not options.case or name in options.case]
    libraries = [name for name in LIBRARIES if not options.library or name in options.library]
    parts = [name for name in PARTS if name in (options.case or (["recordings"] if options.library else PARTS))]
    results = {"environment": environment(), **measured(names, libraries, parts, quick=options.quick)}
    results["environment"]["seconds"] = round(time.monotonic() - started)
    results["targets"] = [] if options.quick else targets(results)
    print(console(results))
    if folder := _folder(options):
        _write(results, folder)
        print(f"wrote {folder}")
    wrong = list(faults(results))
    for fault in wrong:
        print(f"WRONG: {fault}", file=sys.stderr)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see that all runs and every answer is right")
    parser.add_argument("--case", action="append", choices=[*KINDS, *PARTS], help="repeatable; default: all")
    parser.add_argument("--library", action="append", choices=list(LIBRARIES), help="repeatable; default: all")
    parser.add_argument("--out", type=Path, help="where to write; default: here, if all is measured")
    return parser.parse_args()


def _folder(options: argparse.Namespace) -> Path | None:
    """Where to write. Only a whole run replaces the figures that are kept beside this file."""
    if options.out is not None:
        folder: Path = options.out
        return folder
    return None if options.quick or options.case or options.library else Path(__file__).parent


def _write(results: dict[str, Any], folder: Path) -> None:
    """The page, which users open, and in `results` the raw figures and the chart."""
    figures = folder / "results"
    figures.mkdir(parents=True, exist_ok=True)
    folder.joinpath("RESULTS.md").write_text(markdown(results))
    figures.joinpath("results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if version_of("matplotlib") is None:
        print("matplotlib is absent: no chart", file=sys.stderr)
        return
    from .report.chart import draw

    draw(results, figures / "results.svg")


if __name__ == "__main__":
    sys.exit(main())
