"""What goes out: standard output and standard error. What a terminal would act on is escaped: it comes from servers."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

_LIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for newline and tab, and those that turn the direction of writing."""


class OutputError(Exception):
    """What we print cannot be written; `__cause__` is the `OSError`."""


def is_terminal(file: TextIO | None) -> bool:
    return file is not None and file.isatty()


def is_styled() -> bool:
    """Whether standard output takes styles: see no-color.org."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def escaped(text: str) -> str:
    r"""`text` as a terminal may show it: ESC as `\u001b`, which in JSON is still the same string."""
    return _LIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def write(text: str, *, dim: bool = False) -> None:
    """Write to standard output at once; escaped and, if asked, dimmed on a terminal, as it is elsewhere."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        if is_terminal(sys.stdout):
            text = escaped(text)
        if dim and is_styled():  # each piece by itself, so that whatever comes next is bright
            text = f"\x1b[2m{text}\x1b[22m"
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        raise OutputError(error.strerror or error) from error


def name_of(file: str) -> str:
    return "standard input" if file == "-" else file


def say(line: str) -> None:
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        try:
            print(line.encode("utf-8", "replace").decode(), file=sys.stderr)
        except OSError as error:
            raise OutputError(error.strerror) from error


def complain(name: str, problem: str) -> None:
    """Say what is wrong, in one line."""
    say(escaped(" ".join(f"streamagg: {name}: {problem}".split())))
