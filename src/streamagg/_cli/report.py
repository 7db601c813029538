"""One input, read to a report.

1. No error of an input passes to the caller: the report holds it.
2. A report can be pickled: it goes from process to process.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import msgspec
from msgspec import Struct

import streamagg

from .inputs import Input

State = Literal["complete", "cut", "failed", "unreadable"]
Watch = Callable[[streamagg.SyncChatCompletionStream], None]
"""Reads a stream to its end."""


class Problem(Struct):
    """The error of an input."""

    type: str
    """The name of the error's class."""
    message: str


class Report(Struct):
    """The state, response and error of one input."""

    file: str
    state: State = "complete"
    response: str | None = None
    """The response as JSON, as far as it came; None where no chunk came."""
    usage: streamagg.CompletionUsage | None = None
    error: Problem | None = None
    repairs: dict[str, int] = {}
    text: str = ""
    """The text for `--text`, where it was not written while the input was read."""

    def to_line(self) -> str:
        """The line of `--jsonl`."""
        line = {
            "file": os.fsencode(self.file).decode("utf-8", "replace"),
            "state": self.state,
            "response": None if self.response is None else msgspec.Raw(self.response),
            "error": self.error,
            "repairs": self.repairs,
        }
        return msgspec.json.encode(line).decode()


def read(item: Input, watch: Watch) -> Report:
    """Read one input to its end."""
    try:
        if item.problem is not None:
            raise item.problem
        source, closing = _open(item.name)
    except OSError as error:
        return unread(item.name, error)
    caught: Exception | None = None
    with closing, streamagg.stream_sync(source) as chunks:
        try:
            watch(chunks)
        except (streamagg.StreamAggError, OSError, EOFError, zlib.error) as error:
            caught = error
    response = chunks.snapshot()
    return Report(
        file=item.name,
        state=_state_after(caught),
        response=None if response is None else response.to_json(),
        usage=None if response is None else response.usage,
        error=None if caught is None else _problem(caught),
        repairs=dict(chunks.repairs),
    )


def drain(chunks: streamagg.SyncChatCompletionStream) -> None:
    for _ in chunks:
        pass


def read_json(item: Input) -> Report:
    """Read one input without output."""
    return read(item, drain)


def read_text(item: Input) -> Report:
    """Read one input and keep its text."""
    pieces: list[str] = []
    report = read(item, lambda chunks: pieces.extend(chunks.text()))
    report.text = "".join(pieces)
    return report


def unread(name: str, error: OSError) -> Report:
    """The report of an input that could not be read at all."""
    return Report(file=name, state="unreadable", error=_problem(error))


def _open(name: str) -> tuple[Any, AbstractContextManager[Any]]:
    """The source to read, and a context that closes it. Standard input is not ours to close."""
    if name != "-":
        file = gzip.open(name) if name.endswith(".gz") else open(name, "rb")  # noqa: SIM115 - `read` closes it
        return file, file
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer, nullcontext()


def _problem(error: Exception) -> Problem:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Problem(type(error).__name__, reason)


def _state_after(error: Exception | None) -> State:
    if error is None:
        return "complete"
    if isinstance(error, streamagg.IncompleteStreamError):
        return "cut"
    return "failed" if isinstance(error, streamagg.ProviderError) else "unreadable"
