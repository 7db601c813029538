"""The command line: recordings in, responses out. Built on the public names alone."""

from __future__ import annotations

import argparse
import os
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
        if isinstance(error.__cause__, BrokenPipeError):  # the reader of our output has gone, which is its right
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        with suppress(OutputError):  # it may be of standard error
            complain("standard output", str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def _batch(arguments: list[str]) -> int:
    try:
        from .batch.main import main as batch
    except ImportError as error:  # it says which extra is missing
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
    """What the inputs come to, in their order."""
    if options.jobs > 1 and len(inputs) > 1:
        from .jobs import read_in_processes

        return read_in_processes(inputs, read_text if options.text else read_json, options.jobs)
    if options.follow:
        return _followed(inputs)
    watch = write_text if options.text else drain
    return (read(given, watch) for given in inputs)


def _followed(inputs: list[Input]) -> Generator[Report, None, None]:
    """Each below its name, where there are several."""
    for place, given in enumerate(inputs):
        if len(inputs) > 1:
            write(("\n" if place else "") + f"==> {name_of(given.name)} <==\n")
        yield read(given, follow)


def _show(report: Report, options: argparse.Namespace) -> None:
    """Print what was asked for, as far as it was not printed while the input was read, and what was wrong."""
    if options.jsonl:
        write(report.to_line() + "\n")
    elif options.text:
        if report.text:
            write(report.text + "\n")
    elif report.response is not None and not options.follow:  # indented on a terminal, one line otherwise
        shown = msgspec.json.format(report.response, indent=2) if is_terminal(sys.stdout) else report.response
        write(shown + "\n")
    if options.usage and report.response is not None and report.usage is None:
        complain(name_of(report.file), "the stream reported no usage")
    if report.error is not None:
        complain(name_of(report.file), report.error.message)
