"""How memory is measured, and whatever must start afresh: in a fork of this process."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # what `ru_maxrss` counts in


class Failed(Exception):
    """A measurement that could not be made; the reason is for the row."""


def peak_rss() -> int:
    """The most memory, in bytes, that was resident in this process. A forked child begins with its own."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def in_child(task: Callable[[], Any], seconds: int = 120) -> Any:
    """Run `task` in a fork of this process and return its result, which must be JSON.

    What it does to memory is its own, and its peak begins where this process stands. Raises `Failed`
    where the task raises, dies, or takes longer than `seconds`.
    """
    _trim()
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        signal.alarm(seconds)
        with os.fdopen(its, "wb") as pipe:
            pipe.write(json.dumps(_outcome(task)).encode())
        os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        raise Failed(f"stopped after {seconds} seconds" if stopped else f"died with status {status}")
    outcome = json.loads(answer)
    if "failed" in outcome:
        raise Failed(outcome["failed"])
    return outcome["result"]


def _trim() -> None:
    """Give free memory back to the system where the C library can, so that a child has none to fill first."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _outcome(task: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"result": task()}
    except Exception as error:  # whatever a library raises is its row in the report
        return {"failed": reason_of(error)}


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]
