"""Standard output and standard error.

Text of servers may hold escape sequences, which change a terminal's title, colours or clipboard. They are escaped on
a terminal, and pass unchanged to a file or a pipe.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters except newline and tab, and the marks that turn the direction of writing."""


class OutputError(Exception):
    """The output cannot be written; `__cause__` is the `OSError`."""


def is_terminal(file: TextIO | None) -> bool:
    return file is not None and file.isatty()


def is_styled() -> bool:
    """Whether standard output takes styles (no-color.org)."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def escaped(text: str) -> str:
    r"""`text` as a terminal may show it: ESC as `\u001b`, which in JSON is still the same string."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def write(text: str, *, dim: bool = False) -> None:
    """Write to standard output and flush. On a terminal the text is escaped and, with `dim`, dimmed."""
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        if is_terminal(sys.stdout):
            text = escaped(text)
        # Each piece is dimmed by itself: after Ctrl-C the terminal is not left dim.
        if dim and is_styled():
            text = f"\x1b[2m{text}\x1b[22m"
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        raise _failed(sys.stdout, error) from error


def name_of(file: str) -> str:
    return "standard input" if file == "-" else file


def say(line: str) -> None:
    """Write a line to standard error; do nothing where it is closed (`pythonw`, `2>&-`)."""
    if sys.stderr is not None:
        try:
            print(line.encode("utf-8", "replace").decode(), file=sys.stderr)
        except OSError as error:
            raise _failed(sys.stderr, error) from error


def _failed(file: TextIO | None, error: OSError) -> OutputError:
    """The error of an output that takes no more.

    Its buffer still holds the text, which Python would write again at exit, with a traceback and exit status 120. From
    here on the text goes to the null device.
    """
    if file is not None:
        with suppress(OSError, ValueError):  # a file without a descriptor has no such buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    return OutputError(error.strerror or error)


def complain(name: str, problem: str) -> None:
    """Write a problem to standard error, on one line."""
    say(escaped(" ".join(f"streamagg: {name}: {problem}".split())))
