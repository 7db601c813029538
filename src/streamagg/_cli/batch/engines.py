"""What runs the tasks of a batch: processes of this machine, or a Ray cluster.

Both hand back each task with what it came to, in the order in which they end.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any

from .plan import Task
from .totals import Totals

Call = Callable[[Task], tuple[Any, ...]]
"""The arguments of `work` for a task."""
Done = Generator[tuple[Task, Totals], None, None]


def run_local(work: Callable[..., Totals], tasks: Collection[Task], call: Call, jobs: int) -> Done:
    """In `jobs` processes at the most; where one is enough, in this one."""
    if min(jobs, len(tasks)) <= 1:
        yield from ((task, work(*call(task))) for task in tasks)
        return
    waiting = iter(tasks)
    running: dict[Future[Totals], Task] = {}
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with threads, as Arrow's has, may hang
    with ProcessPoolExecutor(jobs, spawn, _begin) as pool:
        try:
            while True:
                for task in islice(waiting, 2 * jobs - len(running)):
                    running[pool.submit(work, *call(task))] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:  # also of who reads on no more: what runs is not waited for
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _begin() -> None:
    """A worker ends with the process that started it, however that ends; Ctrl-C is for that one alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run_ray(work: Callable[..., Totals], tasks: Collection[Task], call: Call, address: str | None) -> Done:
    """On a Ray cluster: that at `address`, or the one that Ray finds, or one of this machine. Ray runs a
    task again whose node is lost. Inputs and output must be where every node sees them."""
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        remote = ray.remote(work)
        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        while True:
            room = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
            for task in islice(waiting, max(room, 0)):
                running[remote.remote(*call(task))] = task
            if not running:
                return
            for reference in ray.wait(list(running))[0]:
                yield running.pop(reference), ray.get(reference)
    finally:
        ray.shutdown()
