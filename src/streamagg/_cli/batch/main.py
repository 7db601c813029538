"""`streamagg batch`: turns any number of recordings into one table of responses. Needs the extra `batch`.

1. A recording that cannot be read is a row with its error. It does not stop the batch.
2. After a crash or Ctrl-C the same command continues with the tasks that are not done.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, nullcontext

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    import streamagg.arrow  # noqa: F401 - its error names the missing extra

    from .files import PROBLEMS
except ImportError as _error:
    raise ImportError(f"{_error}: streamagg batch needs pip install 'streamagg[batch]'") from _error

from ..options import positive
from .engines import Arguments, Results, run_local, run_ray
from .parts import Parts
from .plan import Task, plan, weight_of
from .read import Options
from .totals import summary
from .work import output_schema, work

_CONTINUE = "The same command goes on where it stopped."

_EPILOG = """\
inputs: .sse files (one recording each), .jsonl or .ndjson (below), these as .gz or .zst, .parquet;
directories, searched for all of these; patterns in quotes ('logs/**/*.sse.gz'); a file of any other
name is one recording

lines of JSON: a string is a recording, an object is what its member --column holds: a string, or the
list of a stream's chunks; an object without that member, or a list, is a plain answer or the chunks.
If the first line is a single chunk, all lines are, and the chunks of one id are one recording.

output: a row for each recording, in the order of the inputs: `source` (the file), `position` (the
line's first byte, or the row), what --keep names, and the columns of streamagg.arrow. Finished parts stay
in OUT.streamagg-parts until all is done: after a crash the same command goes on from there.

exit status: 0 the output is written, whatever the streams came to; 2 it is not

examples:
  streamagg batch recordings/ -o responses.parquet
  streamagg batch 'logs/2025-11-*.jsonl.zst' --column response_body --keep user_id -o responses.parquet
  streamagg batch log.parquet --keep model=asked_model -o responses.jsonl --jobs 8
  streamagg batch /shared/logs -o /shared/responses.parquet --engine ray --address auto
"""


def main(arguments: list[str] | None = None) -> int:
    """Run `streamagg batch`; returns the exit status."""
    parser = _parser()
    parsed = parser.parse_intermixed_args(arguments)
    options = _options(parser, parsed)
    started = time.monotonic()
    try:
        try:
            tasks = plan(parsed.inputs, options.column, [name for name, _ in options.keep], leave_out=[parsed.output])
        except (ValueError, TypeError) as error:
            return _report(error, 2)
        if not tasks:
            return _report(f"no recordings in {', '.join(parsed.inputs)}", 2)
        parts = Parts(parsed.output, tasks, options)
        _run(tasks, parts, options, parsed)
        parts.merge()
    except KeyboardInterrupt:
        return _report(f"interrupted. {_CONTINUE}", 130)
    # The kernel kills a process that takes too much memory, and nothing says so.
    except BrokenProcessPool:
        return _report(f"a worker process died, perhaps for lack of memory. {_CONTINUE}", 2)
    except PROBLEMS as error:
        return _report(error, 2)
    print("\n".join(summary(parts.total(), time.monotonic() - started, parsed.output)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streamagg batch",
        description="Turn any number of recorded chat-completion streams into one table of responses.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, directories, patterns")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="what to write: .parquet or .jsonl")
    parser.add_argument(
        "--column", default="body", metavar="NAME", help="the column, or member, of the recordings (default: body)"
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME[=AS]",
        help="keep this column, or member, as text (strings as they are, anything else as JSON); repeatable",
    )
    parser.add_argument(
        "--usage", choices=("auto", "sum", "last"), default="auto", help="how usage reports merge (default: auto)"
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=_cores(),
        metavar="N",
        help="processes (default: one for each core)",
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where to run (default: local)")
    parser.add_argument("--address", help="of the Ray cluster; default: RAY_ADDRESS, or a cluster of this machine")
    return parser


def _options(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> Options:
    """The options, checked: a contradiction ends the program with a usage error."""
    keep = tuple((name, column or name) for name, _, column in (text.partition("=") for text in parsed.keep))
    suffix = os.path.splitext(parsed.output)[1]
    if suffix not in (".parquet", ".jsonl"):
        parser.error(f"{parsed.output}: the output is .parquet or .jsonl")
    if os.path.isdir(parsed.output):
        parser.error(f"{parsed.output} is a directory")
    if parsed.address and parsed.engine != "ray":
        parser.error("--address is for --engine ray")
    if os.path.realpath(parsed.output) in map(os.path.realpath, parsed.inputs):
        parser.error(f"{parsed.output} is an input")
    options = Options(parsed.column, keep, parsed.usage, suffix[1:])
    names = output_schema(options).names
    if len(set(names)) < len(names):
        double = next(name for _, name in keep if names.count(name) > 1)
        parser.error(f"the output has another column {double!r}: write --keep NAME=AS, with another name")
    return options


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(tasks: list[Task], parts: Parts, options: Options, parsed: argparse.Namespace) -> None:
    """Run the tasks that have no part yet, and show the progress on a terminal."""
    open_tasks = [task for task in tasks if parts.totals(task) is None]
    if len(open_tasks) < len(tasks):
        _print(f"{len(tasks) - len(open_tasks)} of {len(tasks)} parts are done already")
    bar = Progress(
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.fields[streams]:,} streams, {task.fields[rate]}to go"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar if sys.stderr.isatty() else nullcontext():
        before, after = parts.total().streams, 0
        total, begun = sum(map(weight_of, tasks)), sum(map(weight_of, open_tasks))
        left = begun
        progress = bar.add_task("", total=total, completed=total - begun, streams=before, rate="")
        started = time.monotonic()
        with closing(_engine(open_tasks, lambda task: (task, options, parts.path(task)), parsed)) as done:
            for task, totals in done:
                parts.finish(task, totals)
                after += totals.streams
                left -= weight_of(task)
                seconds = max(time.monotonic() - started, 1e-3)
                rate = f"{after / seconds:,.0f} a second, {(begun - left) / seconds / 1e6:,.1f} MB/s, "
                bar.update(progress, completed=total - left, streams=before + after, rate=rate)


def _engine(open_tasks: list[Task], arguments: Arguments, parsed: argparse.Namespace) -> Results:
    if parsed.engine == "ray":
        return run_ray(work, open_tasks, arguments, parsed.address)
    return run_local(work, open_tasks, arguments, parsed.jobs)


def _report(reason: object, status: int) -> int:
    _print(reason)
    return status


def _print(message: object) -> None:
    print(f"streamagg batch: {message}", file=sys.stderr)
