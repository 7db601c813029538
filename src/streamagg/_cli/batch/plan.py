"""The inputs of a batch, cut into tasks.

1. The same inputs always give the same tasks: an interrupted batch finds its parts again.
2. One process reads a task, and its rows become one part of the output.
3. Parquet is cut between row groups, and uncompressed JSON lines at any byte: a line belongs to the slice where it
   begins. Other files are not cut.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace

from streamagg.arrow import aggregate

from .files import KINDS, PROBLEMS, Kind, is_chunk, is_plain, lines_of, open_file, suffix_of

PARTS_SUFFIX = ".streamagg-parts"
"""The end of the name of a directory of parts. The search for inputs leaves these directories out."""
TASK_BYTES = 16 * 2**20
"""Bytes of input of a task: a few tenths of a second of work. A crash costs one task a process; half of the size
doubles the parts and the flushes to disk (3 ms each)."""
_TASK_FILES = 4096
"""Files of a task. It bounds the task's message to a process where files are tiny."""


class Slice(Struct, frozen=True, array_like=True):
    """A file, or the part of one that a task reads."""

    path: str
    kind: Kind
    size: int
    """The size of the file in bytes. With `mtime_ns` it shows whether the file has changed since an earlier run."""
    mtime_ns: int
    start: int
    """The first byte (JSON lines) or row group (Parquet)."""
    stop: int | None
    """The end, exclusive; None for the end of the file."""
    weight: int
    """The bytes of the slice; for Parquet, the bytes after decompression."""


Task = tuple[Slice, ...]


def weight_of(task: Task) -> int:
    """The bytes of input that a task reads."""
    return sum(part.weight for part in task)


def plan(
    inputs: Iterable[str], column: str, keep: Collection[str] = (), *, leave_out: Collection[str] = ()
) -> list[Task]:
    """The tasks for some inputs: files, directories (their files of a known suffix, sorted) and patterns.

    A file that is found twice is read once. `column`: the column or member of the recordings. `keep`: the columns to
    keep. `leave_out`: files not to read. Raises `OSError` where an input does not exist or a directory cannot be
    listed, `ValueError` where Parquet lacks one of the columns, and `TypeError` where `column` holds no recordings.
    """
    tasks: list[Task] = []
    task: list[Slice] = []
    weight = 0
    for path in _files(inputs, set(map(os.path.realpath, leave_out))):
        for part in _slices(path, column, keep):
            task.append(part)
            weight += part.weight
            if weight >= TASK_BYTES or len(task) == _TASK_FILES:
                tasks.append(tuple(task))
                task, weight = [], 0
    return [*tasks, tuple(task)] if task else tasks


def _files(inputs: Iterable[str], seen: set[str]) -> Iterator[str]:
    for name in inputs:
        for path in [name] if os.path.lexists(name) else _matches(name):
            for file in _walk(path) if os.path.isdir(path) else [path]:
                real = os.path.realpath(file)
                if real not in seen:
                    seen.add(real)
                    yield file


def _matches(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise FileNotFoundError(2, "No such file or directory", pattern)
    return found


def _walk(folder: str) -> Iterator[str]:
    """The files of a known suffix below a directory, each directory's names in order."""

    def fail(error: OSError) -> None:
        raise error

    for path, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.endswith(PARTS_SUFFIX))
        yield from (os.path.join(path, name) for name in sorted(names) if suffix_of(name) in KINDS)


def _slices(path: str, column: str, keep: Collection[str]) -> Iterator[Slice]:
    found = os.stat(path)
    kind = KINDS.get(suffix_of(path), "body")
    whole = Slice(path, kind, found.st_size, found.st_mtime_ns, 0, None, found.st_size)
    if kind == "parquet":
        yield from _row_groups(whole, column, keep)
    elif kind == "jsonl" and is_plain(path) and whole.size > TASK_BYTES and not _has_chunk_lines(path, column):
        for start in range(0, whole.size, TASK_BYTES):
            stop = min(start + TASK_BYTES, whole.size)
            yield replace(whole, start=start, stop=stop, weight=stop - start)
    else:
        yield whole


def _has_chunk_lines(path: str, column: str) -> bool:
    with open_file(path) as file:
        return any(is_chunk(line, column) for _, line in islice(lines_of(file), 1))


def _row_groups(whole: Slice, column: str, keep: Collection[str]) -> Iterator[Slice]:
    try:
        metadata = pq.read_metadata(whole.path)
    except PROBLEMS:
        yield whole  # reading the file gives a row with the problem
        return
    schema = metadata.schema.to_arrow_schema()
    for name in (column, *keep):
        if name not in schema.names:
            raise ValueError(f"{whole.path} has no column {name!r}: it has {', '.join(schema.names)}")
    aggregate(schema.empty_table().select([column]), column)  # raises the TypeError before any work is done
    start = weight = 0
    for number in range(metadata.num_row_groups):
        weight += metadata.row_group(number).total_byte_size
        if weight >= TASK_BYTES or number == metadata.num_row_groups - 1:
            yield replace(whole, start=start, stop=number + 1, weight=weight)
            start, weight = number + 1, 0
