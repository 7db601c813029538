"""The inputs that the arguments name: files, the recordings in directories, the matches of patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator

from msgspec import Struct

SUFFIXES = (".sse", ".sse.gz")
"""The suffixes of recordings in directories. Lines of JSON are left out: they may be any log, or our output."""


class Input(Struct):
    """One input, or the problem with an argument."""

    name: str
    problem: OSError | None = None


def inputs_of(arguments: Iterable[str]) -> Iterator[Input]:
    """The inputs in the order of the arguments, sorted by name within each. One that is named twice is read twice."""
    for argument in arguments:
        if os.path.isdir(argument):
            no_recordings = FileNotFoundError(f"no recordings in it ({', '.join(f'*{suffix}' for suffix in SUFFIXES)})")
            yield from _found_in([argument]) or [Input(argument, no_recordings)]
        elif any(letter in argument for letter in "*?[") and not os.path.lexists(argument):
            matches = glob.glob(argument, recursive=True)
            yield from _found_in(matches) or [Input(argument, FileNotFoundError("no file matches"))]
        else:
            yield Input(argument)


def _found_in(paths: Iterable[str]) -> list[Input]:
    """The files themselves, and the recordings in the directories at any depth; each once."""
    found: set[str] = set()
    unlisted: dict[str, OSError] = {}

    def note(error: OSError) -> None:
        unlisted[error.filename] = error

    for path in paths:
        if os.path.isdir(path):
            for folder, _, files in os.walk(path, onerror=note):
                found.update(os.path.join(folder, file) for file in files if file.endswith(SUFFIXES))
        else:
            found.add(path)
    return [Input(name, unlisted.get(name)) for name in sorted({*found, *unlisted})]
