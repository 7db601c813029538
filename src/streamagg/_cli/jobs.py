"""Many inputs, read by several processes.

1. The reports come in the order of the inputs.
2. A process that dies costs one report: the input that it was reading gets a report of the death.
3. A bounded number of reports waits in memory, however slow one input is.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from .inputs import Input
from .report import Report, unread

Read = Callable[[Input], Report]

_AHEAD = 2
"""Inputs that a process has at a time. With one, a process would wait for the next one after each input."""
_WINDOW = 64
"""Reports for each process that may wait for an earlier one. With few, one large input stops the other processes."""


def read_in_processes(inputs: Sequence[Input], read: Read, jobs: int) -> Generator[Report, None, None]:
    """The report of each input. Close the generator on every way out: it ends the processes.

    `read`: a function at the top of a module, which a process can import. This process reads standard input.
    """
    waiting = deque(place for place, item in enumerate(inputs) if item.name != "-")
    reports: dict[int, Report] = {}  # by place; they wait for their turn
    workers: list[_Worker] = []
    try:
        for turn, item in enumerate(inputs):
            if item.name == "-":
                yield read(item)
                continue
            while turn not in reports:
                while len(workers) < min(jobs, len(waiting)):
                    workers.append(_Worker(read))
                for worker in workers:
                    while len(worker.places) < _AHEAD and waiting and waiting[0] < turn + _WINDOW * jobs:
                        place = waiting.popleft()
                        worker.assign(place, inputs[place])
                ready = wait([worker.connection for worker in workers if worker.places])
                for worker in [worker for worker in workers if worker.connection in ready]:
                    place = worker.places.popleft()
                    try:
                        reports[place] = worker.connection.recv()
                    except (EOFError, OSError):
                        reports[place] = unread(inputs[place].name, worker.death())
                        waiting.extendleft(reversed(worker.places))
                        workers.remove(worker)
            yield reports.pop(turn)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that reads inputs, and the places of the inputs that it has not reported yet."""

    def __init__(self, read: Read) -> None:
        self.places: deque[int] = deque()
        self.connection: Connection
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, read))
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child inherits this: only the parent handles Ctrl-C
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def assign(self, place: int, item: Input) -> None:
        self.places.append(place)
        with suppress(OSError):  # the process has died: `recv` reports it
            self.connection.send(item)

    def end(self) -> None:
        if self.places:
            self._process.terminate()
        self.connection.close()
        self._process.join()

    def death(self) -> ChildProcessError:
        """The error of a process that has closed its side: a signal, or an exit status."""
        self.connection.close()
        self._process.join()
        status = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return ChildProcessError(f"the process that read it {how}")


def _work(connection: Connection, read: Read) -> None:
    with suppress(EOFError, BrokenPipeError):  # the parent has closed its side
        while True:
            connection.send(read(connection.recv()))
