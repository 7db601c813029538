"""The command line: reads recordings and prints responses.

1. It uses the public names of the library alone.
2. A stream that is not whole is printed as far as it came; its error goes to standard error, and to the exit status.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from contextlib import closing, suppress

import msgspec

from .inputs import Input, inputs_of
from .live import follow, write_text
from .options import parse
from .progress import progress
from .report import Report, drain, read, read_json, read_text
from .summary import Summary
from .terminal import OutputError, complain, is_terminal, name_of, write


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["batch"]:
        return _batch(arguments[1:])
    options = parse(arguments)
    try:
        return _run(options)
    except OutputError as error:
        # `| head` closes the pipe when it has enough.
        if isinstance(error.__cause__, BrokenPipeError):
            return 0
        with suppress(OutputError):  # the broken output may be standard error itself
            complain("standard output", str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def _batch(arguments: list[str]) -> int:
    try:
        from .batch.main import main as batch
    except ImportError as error:  # its message names the missing extra
        complain("batch", str(error))
        return 2
    return batch(arguments)


def _run(options: argparse.Namespace) -> int:
    inputs = list(inputs_of(options.inputs or ["-"]))
    summary = Summary()
    with closing(_reports(inputs, options)) as reports, progress(len(inputs)) as advance:
        for report in reports:
            _show(report, options)
            summary.add(report)
            advance()
    if options.usage:
        write(summary.usage.to_json() + "\n")
    if options.summary or (len(inputs) > 1 and is_terminal(sys.stderr)):
        summary.show()
    return summary.status


def _reports(inputs: list[Input], options: argparse.Namespace) -> Generator[Report, None, None]:
    """The reports of the inputs, in their order."""
    if options.jobs > 1 and len(inputs) > 1:
        from .jobs import read_in_processes

        return read_in_processes(inputs, read_text if options.text else read_json, options.jobs)
    if options.follow:
        return _followed(inputs)
    watch = write_text if options.text else drain
    return (read(item, watch) for item in inputs)


def _followed(inputs: list[Input]) -> Generator[Report, None, None]:
    """The reports of inputs that are written while they are read, each below its name where there are several."""
    for place, item in enumerate(inputs):
        if len(inputs) > 1:
            write(("\n" if place else "") + f"==> {name_of(item.name)} <==\n")
        yield read(item, follow)


def _show(report: Report, options: argparse.Namespace) -> None:
    """Print the response in the format of the options, unless it was written while it was read, and print the error."""
    if options.jsonl:
        write(report.to_line() + "\n")
    elif options.text:
        if report.text:
            write(report.text + "\n")
    elif report.response is not None and not options.follow:
        json = msgspec.json.format(report.response, indent=2) if is_terminal(sys.stdout) else report.response
        write(json + "\n")
    if options.usage and report.response is not None and report.usage is None:
        complain(name_of(report.file), "the stream reported no usage")
    if report.error is not None:
        complain(name_of(report.file), report.error.message)
