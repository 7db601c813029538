"""The parts of an output that is being made, in a directory beside it: what is done once is not done again.

A part is named by what made it: the files with their sizes and times, the options, the version. It
counts once it is in the manifest, which comes after it is on disk; whatever else lies there was cut short.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from .plan import PARTS_SUFFIX, Task
from .read import Options
from .totals import Totals
from .work import output_schema, replaced

_MANIFEST = "manifest.jsonl"
_GROUP_ROWS = 65536
_GROUP_BYTES = 64 * 2**20
_COPY_BYTES = 2**20


class _Entry(Struct):
    """A line of the manifest."""

    part: str
    size: int
    totals: Totals


_decode = msgspec.json.Decoder(_Entry).decode


class Parts:
    """The parts of one output. What an earlier run left is taken over as far as the tasks are the same."""

    def __init__(self, output: str, tasks: Iterable[Task], options: Options) -> None:
        self._output = output
        self._options = options
        self._folder = output + PARTS_SUFFIX
        self._names = {task: _name(task, options) for task in tasks}
        with suppress(FileExistsError):
            os.mkdir(self._folder)
        self._done = self._taken_over()
        self._write_manifest()
        for name in set(os.listdir(self._folder)) - {_MANIFEST, *self._done}:
            os.unlink(os.path.join(self._folder, name))

    def totals(self, task: Task) -> Totals | None:
        """What a task came to; None where it is still to be done."""
        entry = self._done.get(self._names[task])
        return None if entry is None else entry.totals

    def total(self) -> Totals:
        """What all tasks that are done came to."""
        total = Totals()
        for entry in self._done.values():
            total.add(entry.totals)
        return total

    def path(self, task: Task) -> str:
        """Where the task's part belongs."""
        return os.path.join(self._folder, self._names[task])

    def finish(self, task: Task, totals: Totals) -> None:
        """The task's part is on disk: from here on it counts."""
        entry = _Entry(self._names[task], os.path.getsize(self.path(task)), totals)
        with open(os.path.join(self._folder, _MANIFEST), "ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[entry.part] = entry

    def merge(self) -> None:
        """Put the parts together, in order, as the output, and remove them."""
        paths = [self.path(task) for task in self._names]
        with replaced(self._output, self._folder) as file:
            if self._options.format == "jsonl":
                for path in paths:
                    with open(path, "rb") as part:
                        shutil.copyfileobj(part, file, _COPY_BYTES)
            else:
                with pq.ParquetWriter(file, output_schema(self._options), compression="zstd") as writer:
                    for table in _row_groups(paths):
                        writer.write_table(table)
        _sync_folder(os.path.dirname(self._output) or ".")
        shutil.rmtree(self._folder)

    def _taken_over(self) -> dict[str, _Entry]:
        """What the manifest says is done, is still wanted, and is there."""
        wanted = set(self._names.values())
        found = (entry for entry in self._read_manifest() if entry.part in wanted)
        return {entry.part: entry for entry in found if _size(os.path.join(self._folder, entry.part)) == entry.size}

    def _read_manifest(self) -> Iterator[_Entry]:
        try:
            with open(os.path.join(self._folder, _MANIFEST), "rb") as file:
                for line in file:
                    yield _decode(line)
        except (FileNotFoundError, msgspec.DecodeError):
            return  # there is none yet, or its last line was cut

    def _write_manifest(self) -> None:
        """Without the cut line, so that what is added stands on lines of its own."""
        with replaced(os.path.join(self._folder, _MANIFEST), self._folder) as file:
            file.write(msgspec.json.Encoder().encode_lines(self._done.values()))


def _name(task: Task, options: Options) -> str:
    made_by = msgspec.json.encode((version("streamagg"), options, task))
    return blake2b(made_by, digest_size=16).hexdigest()


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return -1


def _sync_folder(path: str) -> None:
    """See that a new name is on disk before what it was made of is removed."""
    with suppress(PermissionError):  # Windows opens no directories
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _row_groups(paths: list[str]) -> Iterator[pa.Table]:
    """The batches of the parts, some together: a row group should not be small."""
    held: list[pa.RecordBatch] = []
    for path in paths:
        with pa.memory_map(path) as file:
            part = pa.ipc.open_file(file)
            for number in range(part.num_record_batches):
                held.append(part.get_batch(number))
                if sum(b.num_rows for b in held) >= _GROUP_ROWS or sum(b.nbytes for b in held) >= _GROUP_BYTES:
                    yield pa.Table.from_batches(held)
                    held = []
    if held:
        yield pa.Table.from_batches(held)
