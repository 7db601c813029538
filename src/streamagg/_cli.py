"""The command line: recordings in, responses out. Built on the public names alone."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

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
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="streamagg",
        description="Turn recorded or piped chat-completion streams into whole responses, as JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="recordings; - or none for standard input")
    parser.add_argument("--text", action="store_true", help="print the text of choice 0 as it arrives, not JSON")
    parser.add_argument("--usage", action="store_true", help="at the end print the usage of all inputs, summed")
    options = parser.parse_args(arguments)
    try:
        return _run(options.files or ["-"], text=options.text, usage=options.usage)
    except BrokenPipeError:  # the reader of our output has gone, which is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COMPLETE
    except KeyboardInterrupt:
        return 130


def _run(files: list[str], *, text: bool, usage: bool) -> int:
    status = COMPLETE
    total = streamagg.CompletionUsage()
    for file in files:
        source = sys.stdin.buffer if file == "-" else Path(file)
        response, problem = _read(source, text=text)
        if response is not None:
            if not text:
                _print_json(response.to_dict())
            total += response.usage or streamagg.CompletionUsage()
        if problem is not None:
            _complain(file, problem)
            cut = isinstance(problem, (streamagg.IncompleteStreamError, streamagg.ProviderError))
            status = max(status, INCOMPLETE if cut else UNREADABLE)
    if usage:
        _print(msgspec.json.encode(total.to_dict()).decode() + "\n")
    return status


def _read(source: Any, *, text: bool) -> tuple[streamagg.ChatCompletionResponse | None, Exception | None]:
    """The response, as far as there is one, and what was wrong with the stream."""
    chunks = streamagg.stream_sync(source)
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


def _print_json(plain: dict[str, Any]) -> None:
    """Indented on a terminal, one line otherwise."""
    line = msgspec.json.encode(plain)
    _print((msgspec.json.format(line, indent=2) if sys.stdout.isatty() else line).decode() + "\n")


def _print(text: str) -> None:
    """Write to standard output at once. What a terminal would act on is escaped there: it comes from a server."""
    if sys.stdout.isatty():
        text = _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def _complain(file: str, problem: Exception) -> None:
    reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    line = " ".join(f"streamagg: {'standard input' if file == '-' else file}: {reason}".split())
    print(_CONTROLS.sub("?", line), file=sys.stderr)
