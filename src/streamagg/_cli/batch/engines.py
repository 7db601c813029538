"""The engines that run the tasks of a batch: processes of this machine, or a Ray cluster.

1. An engine yields each task with its totals, in the order in which the tasks end.
2. A failed task ends the batch: its exception passes to the caller.
3. A caller that stops reading closes the generator, and the running tasks end with it.
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

Arguments = Callable[[Task], tuple[Any, ...]]
"""The arguments of `work` for a task."""
Results = Generator[tuple[Task, Totals], None, None]


def run_local(work: Callable[..., Totals], tasks: Collection[Task], arguments: Arguments, jobs: int) -> Results:
    """Run the tasks in at most `jobs` processes. One job, or one task, runs in this process."""
    if min(jobs, len(tasks)) <= 1:
        yield from ((task, work(*arguments(task))) for task in tasks)
        return
    waiting = iter(tasks)
    running: dict[Future[Totals], Task] = {}
    # Arrow starts threads, and the fork of a process with threads may hang.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _prepare_worker) as pool:
        try:
            while True:
                for task in islice(waiting, 2 * jobs - len(running)):
                    running[pool.submit(work, *arguments(task))] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        # `GeneratorExit` too: without it the pool would wait for the running tasks.
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _prepare_worker() -> None:
    """Prepare a worker process: it ignores Ctrl-C, which its parent handles, and ends when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run_ray(work: Callable[..., Totals], tasks: Collection[Task], arguments: Arguments, address: str | None) -> Results:
    """Run the tasks on a Ray cluster: the one at `address`, else the one that Ray finds, else one of this machine.

    Ray repeats the tasks of a lost node. Every node must see the inputs and the output under the same paths.
    """
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        remote = ray.remote(work)
        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        while True:
            room = 2 * int(ray.cluster_resources().get("CPU", 1)) - len(running)
            for task in islice(waiting, max(room, 0)):
                running[remote.remote(*arguments(task))] = task
            if not running:
                return
            for reference in ray.wait(list(running))[0]:
                yield running.pop(reference), ray.get(reference)
    finally:
        ray.shutdown()
