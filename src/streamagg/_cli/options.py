"""The options of the command line."""

from __future__ import annotations

import argparse
from importlib.metadata import version

_EPILOG = """\
inputs:
  Each file is one stream, decompressed where its name ends in .gz. A directory stands for the *.sse and
  *.sse.gz files in it, at any depth; a pattern in quotes ('logs/**/*.sse') for what it matches. Both are
  sorted by name. Standard input is -, and is read where nothing is named.

lines of --jsonl:
  {"file": ..., "state": ..., "response": ..., "error": ..., "repairs": {...}}
  state is complete, cut (the stream ended early), failed (the server reported an error) or unreadable;
  response is as far as there is one, else null; error is null or {"type": ..., "message": ...};
  repairs says how often each kind was needed.

exit status:
  0 every stream was complete, 1 one was not (what there is of it is printed all the same),
  2 one could not be read

examples:
  streamagg recording.sse                          the response, as JSON
  curl -sN https://... -d '{"stream": true, ...}' | streamagg --follow
  streamagg --text recording.sse.gz > answer.txt
  streamagg --usage *.sse | tail -n 1              the usage of all
  streamagg --jsonl --jobs 8 recordings/ > responses.jsonl
  streamagg --jsonl recordings/ | jq -r 'select(.state != "complete") | .file'
  streamagg batch --help                           many recordings to one table
"""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The parsed options. Exits with a usage error where options contradict each other, and after `--help`."""
    parser = argparse.ArgumentParser(
        prog="streamagg",
        usage="streamagg [--text | --follow | --jsonl] [--usage] [--summary] [--jobs N] [INPUT ...]",
        description="Turn recorded or piped chat-completion streams into whole responses, as JSON.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="files, directories, patterns, or - (see below)")
    output = parser.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument("--text", action="store_true", help="the text of choice 0 as it arrives, not JSON")
    output.add_argument(
        "--follow", action="store_true", help="the same with reasoning, dimmed on a terminal, and whole tool calls"
    )
    output.add_argument("--jsonl", action="store_true", help="a line for each input, with its state and error")
    more = parser.add_argument_group("more")
    more.add_argument("--usage", action="store_true", help="at the end print the usage of all inputs, summed")
    more.add_argument(
        "--summary", action="store_true", help="at the end a table on standard error, as on a terminal for many inputs"
    )
    more.add_argument(
        "-j", "--jobs", type=positive, default=1, metavar="N", help="read with N processes, in the same order"
    )
    more.add_argument("--version", action="version", version=f"streamagg {version('streamagg')}")
    options = parser.parse_intermixed_args(arguments)
    if options.usage and options.jsonl:
        parser.error("--usage does not go with --jsonl, where each line has its own")
    if options.follow and options.jobs > 1:
        parser.error("--follow shows one stream after the other: it does not go with --jobs")
    return options


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)
