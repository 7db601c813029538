"""Many inputs read by several processes: the reports come in the order of the inputs."""

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

_AHEAD = 2  # inputs that a process is given, so that it never waits for the next one
_WINDOW = 64  # reports for each process that may wait for an earlier one


def read_in_processes(inputs: Sequence[Input], read: Read, jobs: int) -> Generator[Report, None, None]:
    """What `read`, a function at the top of a module, gives for each input; close it on every way out.

    Standard input is read here. A process that dies costs the input that it was reading, no other.
    """
    waiting = deque(place for place, given in enumerate(inputs) if given.name != "-")
    reports: dict[int, Report] = {}  # those whose turn has not come
    workers: list[_Worker] = []
    try:
        for turn, given in enumerate(inputs):
            if given.name == "-":
                yield read(given)
                continue
            while turn not in reports:
                while len(workers) < min(jobs, len(waiting)):
                    workers.append(_Worker(read))
                for worker in workers:
                    while len(worker.places) < _AHEAD and waiting and waiting[0] < turn + _WINDOW * jobs:
                        place = waiting.popleft()
                        worker.give(place, inputs[place])
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
    """A process that reads inputs, and which of them it still has, in order."""

    def __init__(self, read: Read) -> None:
        self.places: deque[int] = deque()
        self.connection: Connection
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, read))
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which children inherit: Ctrl-C is for us
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def give(self, place: int, given: Input) -> None:
        self.places.append(place)
        with suppress(OSError):  # of one that has died: `recv` will say so
            self.connection.send(given)

    def end(self) -> None:
        if self.places:
            self._process.terminate()
        self.connection.close()
        self._process.join()

    def death(self) -> ChildProcessError:
        """How the process ended, which has closed its side."""
        self.connection.close()
        self._process.join()
        status = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return ChildProcessError(f"the process that read it {how}")


def _work(connection: Connection, read: Read) -> None:
    with suppress(EOFError, BrokenPipeError):  # nothing more to do
        while True:
            connection.send(read(connection.recv()))
