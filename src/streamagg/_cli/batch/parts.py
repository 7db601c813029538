"""The parts of an unfinished output, in a directory beside it. An interrupted batch continues from them.

1. The name of a part is a hash of its files with their sizes and times, the options and the version.
   A change of any of them makes another part.
2. A part counts from the moment when the manifest names it. It is on disk before that.
3. Any other file in the directory was cut short by a crash, and is deleted at the start.
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
from .work import output_schema, replace_when_whole

_MANIFEST = "manifest.jsonl"
_GROUP_ROWS = 65536
_GROUP_BYTES = 64 * 2**20
"""A row group ends at either bound: the writer holds one in memory. Half of them doubles the metadata of the file."""
_COPY_BYTES = 2**20


class _Entry(Struct):
    """A line of the manifest."""

    part: str
    size: int
    totals: Totals


_decode = msgspec.json.Decoder(_Entry).decode


class Parts:
    """The parts of one output. Parts that an earlier run left for the same tasks are used again."""

    def __init__(self, output: str, tasks: Iterable[Task], options: Options) -> None:
        self._output = output
        self._options = options
        self._folder = output + PARTS_SUFFIX
        self._names = {task: _name(task, options) for task in tasks}
        with suppress(FileExistsError):
            os.mkdir(self._folder)
        self._done = self._entries_to_reuse()
        self._write_manifest()
        for name in set(os.listdir(self._folder)) - {_MANIFEST, *self._done}:
            os.unlink(os.path.join(self._folder, name))

    def totals(self, task: Task) -> Totals | None:
        """The totals of a task; None where its part is not done."""
        entry = self._done.get(self._names[task])
        return None if entry is None else entry.totals

    def total(self) -> Totals:
        """The totals of all parts that are done, summed."""
        total = Totals()
        for entry in self._done.values():
            total.add(entry.totals)
        return total

    def path(self, task: Task) -> str:
        """The path of the task's part."""
        return os.path.join(self._folder, self._names[task])

    def finish(self, task: Task, totals: Totals) -> None:
        """Add the task's part, which is on disk, to the manifest."""
        entry = _Entry(self._names[task], os.path.getsize(self.path(task)), totals)
        with open(os.path.join(self._folder, _MANIFEST), "ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[entry.part] = entry

    def merge(self) -> None:
        """Write the parts, in the order of the tasks, as the output, and remove them."""
        paths = [self.path(task) for task in self._names]
        with replace_when_whole(self._output, self._folder) as file:
            # JSON lines are joined as bytes. Parquet is written anew, in row groups of several parts.
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

    def _entries_to_reuse(self) -> dict[str, _Entry]:
        """The entries of the manifest whose part belongs to a task and is on disk in its full size."""
        wanted = set(self._names.values())
        found = (entry for entry in self._read_manifest() if entry.part in wanted)
        return {entry.part: entry for entry in found if _size(os.path.join(self._folder, entry.part)) == entry.size}

    def _read_manifest(self) -> Iterator[_Entry]:
        try:
            with open(os.path.join(self._folder, _MANIFEST), "rb") as file:
                for line in file:
                    yield _decode(line)
        except (FileNotFoundError, msgspec.DecodeError):
            return  # no earlier run, or a crash cut its last line

    def _write_manifest(self) -> None:
        """Write the manifest again without a cut last line: a new entry needs a line of its own."""
        with replace_when_whole(os.path.join(self._folder, _MANIFEST), self._folder) as file:
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
    """Flush a directory: the name of the output must be on disk before its parts are removed."""
    with suppress(PermissionError):  # Windows does not open directories
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _row_groups(paths: list[str]) -> Iterator[pa.Table]:
    """The rows of the parts as row groups, each of several batches: readers are slow on small row groups."""
    batches: list[pa.RecordBatch] = []
    for path in paths:
        with pa.memory_map(path) as file:
            part = pa.ipc.open_file(file)
            for number in range(part.num_record_batches):
                batches.append(part.get_batch(number))
                rows, size = sum(batch.num_rows for batch in batches), sum(batch.nbytes for batch in batches)
                if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
                    yield pa.Table.from_batches(batches)
                    batches = []
    if batches:
        yield pa.Table.from_batches(batches)
