"""The progress of reading many inputs, on standard error where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import is_terminal, say


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Gives a function to call after each input. It moves a bar where rich is installed, else prints at most ten lines.

    It shows nothing for a single input, and where standard output is a terminal: the output itself is the progress.
    """
    if total == 1 or is_terminal(sys.stdout) or not is_terminal(sys.stderr):
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
    except ImportError:
        yield _lines(total)
        return
    columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, soft_wrap=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def _lines(total: int) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done * 10 // total > (done - 1) * 10 // total:
            say(f"streamagg: {done:,} of {total:,} read")

    return advance
