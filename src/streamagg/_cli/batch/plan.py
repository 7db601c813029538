"""What a batch has to read, cut into tasks: the same inputs always give the same tasks.

A task is read by one process and becomes one part of the output. Plain JSON lines are cut at any byte
(a line belongs to where it begins), Parquet between row groups; nothing else can be cut.
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

from .files import KINDS, PROBLEMS, Kind, is_chunk, is_plain, lines_of, opened, suffix_of

PARTS_SUFFIX = ".streamagg-parts"
"""What the name of a directory of parts ends with: such are not searched."""
TASK_BYTES = 16 * 2**20  # of input: some tenths of a second of work
_TASK_FILES = 4096


class Slice(Struct, frozen=True, array_like=True):
    """A file, or the part of one that a task reads."""

    path: str
    kind: Kind
    size: int
    """Of the file, in bytes; with `mtime_ns` it tells whether the file is the one that was planned with."""
    mtime_ns: int
    start: int
    """The first byte (JSON lines) or row group (Parquet)."""
    stop: int | None
    """Where it ends, exclusive; None is the end of the file."""
    weight: int
    """Its bytes; of Parquet, as they are once decompressed."""


Task = tuple[Slice, ...]


def weight_of(task: Task) -> int:
    """The bytes of input that a task reads."""
    return sum(part.weight for part in task)


def plan(
    inputs: Iterable[str], column: str, keep: Collection[str] = (), *, leave_out: Collection[str] = ()
) -> list[Task]:
    """The tasks for some inputs: files, directories (all of a known suffix in them, sorted) and patterns.

    A file that is found twice is read once. `column` holds the recordings, those of `keep` are kept;
    `leave_out`: files not to read. Raises `OSError` where an input is not there or a directory cannot be
    listed, `ValueError` and `TypeError` where Parquet has not these columns, or no recordings in them.
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


# ------------------------------------------------------------------ files


def _files(inputs: Iterable[str], seen: set[str]) -> Iterator[str]:
    for given in inputs:
        for path in [given] if os.path.lexists(given) else _matches(given):
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


# ------------------------------------------------------------------ slices


def _slices(path: str, column: str, keep: Collection[str]) -> Iterator[Slice]:
    found = os.stat(path)
    kind = KINDS.get(suffix_of(path), "body")
    whole = Slice(path, kind, found.st_size, found.st_mtime_ns, 0, None, found.st_size)
    if kind == "parquet":
        yield from _row_groups(whole, column, keep)
    elif kind == "jsonl" and is_plain(path) and whole.size > TASK_BYTES and not _holds_chunks(path, column):
        for start in range(0, whole.size, TASK_BYTES):
            stop = min(start + TASK_BYTES, whole.size)
            yield replace(whole, start=start, stop=stop, weight=stop - start)
    else:
        yield whole


def _holds_chunks(path: str, column: str) -> bool:
    with opened(path) as file:
        return any(is_chunk(line, column) for _, line in islice(lines_of(file), 1))


def _row_groups(whole: Slice, column: str, keep: Collection[str]) -> Iterator[Slice]:
    try:
        metadata = pq.read_metadata(whole.path)
    except PROBLEMS:
        yield whole  # reading it will say what is wrong
        return
    schema = metadata.schema.to_arrow_schema()
    for name in (column, *keep):
        if name not in schema.names:
            raise ValueError(f"{whole.path} has no column {name!r}: it has {', '.join(schema.names)}")
    aggregate(schema.empty_table().select([column]), column)  # or a TypeError, before any work is done
    start = weight = 0
    for number in range(metadata.num_row_groups):
        weight += metadata.row_group(number).total_byte_size
        if weight >= TASK_BYTES or number == metadata.num_row_groups - 1:
            yield replace(whole, start=start, stop=number + 1, weight=weight)
            start, weight = number + 1, 0
