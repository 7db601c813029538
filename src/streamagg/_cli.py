"""The command line: recordings in, responses out. Built on the public names alone."""

from __future__ import annotations

import argparse
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec

import streamagg

COMPLETE, INCOMPLETE, UNREADABLE = 0, 1, 2

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_EPILOG = """\
exit status: 0 every stream was complete, 1 one was not (what there is of it is printed all the same),
2 one could not be read

examples:
  streamagg recording.sse
  curl -sN https://api.example.com/v1/chat/completions ... | streamagg --text
  streamagg --usage *.sse
  streamagg batch --help    (many recordings to one table)
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["batch"]:
        try:
            from .batch import main as batch
        except ImportError as error:
            _complain("batch", error)
            return UNREADABLE
        return batch(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="streamagg",
        description="Turn recorded or piped chat-completion streams into whole responses, as JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"streamagg {version('streamagg')}")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="recordings, one stream each; - or none for standard input"
    )
    parser.add_argument("--text", action="store_true", help="print the text of choice 0 as it arrives, not JSON")
    parser.add_argument("--usage", action="store_true", help="at the end print the usage of all inputs, summed")
    options = parser.parse_args(arguments)
    try:
        return _run(options.files or ["-"], text=options.text, usage=options.usage)
    except BrokenPipeError:  # the reader of our output has gone, which is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COMPLETE
    except _OutputError as error:
        _complain("standard output", error.__cause__ or error)
        return UNREADABLE
    except KeyboardInterrupt:
        return 130


class _OutputError(Exception):
    """What we print cannot be written."""


def _run(files: list[str], *, text: bool, usage: bool) -> int:
    status = COMPLETE
    total = streamagg.CompletionUsage()
    for file in files:
        response, problem = _read(file, text=text)
        if response is not None:
            if not text:
                _print_json(response.to_json())
            total += response.usage or streamagg.CompletionUsage()
            if usage and response.usage is None:
                _complain(_name(file), ValueError("the stream reported no usage"))
        if problem is not None:
            _complain(_name(file), problem)
            cut = isinstance(problem, (streamagg.IncompleteStreamError, streamagg.ProviderError))
            status = max(status, INCOMPLETE if cut else UNREADABLE)
    if usage:
        _print(total.to_json() + "\n")
    return status


def _read(file: str, *, text: bool) -> tuple[streamagg.ChatCompletionResponse | None, Exception | None]:
    """The response, as far as there is one, and what was wrong with the stream."""
    if file == "-" and sys.stdin is None:
        return None, OSError("it is closed")
    chunks = streamagg.stream_sync(sys.stdin.buffer if file == "-" else Path(file))
    wrote = False
    try:
        with chunks:
            for chunk in chunks:
                if text and chunk.text:
                    _print(chunk.text)
                    wrote = True
        return chunks.response(), None
    except (streamagg.StreamAggError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        return chunks.snapshot(), error
    finally:
        if wrote:
            _print("\n")


def _print_json(line: str) -> None:
    """Indented on a terminal, one line otherwise."""
    indented = sys.stdout is not None and sys.stdout.isatty()
    _print((msgspec.json.format(line, indent=2) if indented else line) + "\n")


def _print(text: str) -> None:
    """Write to standard output at once. What a terminal would act on is escaped there: it comes from a server."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        if sys.stdout.isatty():
            text = _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _OutputError from error


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _complain(name: str, problem: BaseException) -> None:
    reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    if sys.stderr is not None:
        line = " ".join(f"streamagg: {name}: {reason}".split())
        print(_CONTROLS.sub("?", line.encode("utf-8", "replace").decode()), file=sys.stderr)
