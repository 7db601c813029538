"""Stops a coroutine at a chosen one of the places where it waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Checkpoints:
    """Counts how often what it drives gives way to the event loop; at the n-th time it calls `stop`."""

    def __init__(self, number: int, stop: Callable[[], Any]) -> None:
        self.left = number
        self._stop = stop

    @property
    def reached(self) -> bool:
        return self.left <= 0

    def passed(self) -> None:
        """One more."""
        self.left -= 1
        if self.left == 0:
            self._stop()

    def drive(self, awaitable: Awaitable[Any]) -> Awaitable[Any]:
        """The same awaitable, counted."""
        return _Driven(awaitable, self.passed)


class _Driven:
    def __init__(self, awaitable: Awaitable[Any], passed: Callable[[], None]) -> None:
        self._awaitable = awaitable
        self._passed = passed

    def __await__(self) -> Generator[Any, Any, Any]:
        inner: Any = self._awaitable.__await__()
        resume, value = inner.send, None
        while True:
            try:
                waits_for = resume(value)
            except StopIteration as end:
                return end.value
            self._passed()  # it waits from now on: what stops it now stops it here
            try:
                resume, value = inner.send, (yield waits_for)
            except BaseException as error:  # whatever the loop throws in goes on to the one that waits
                resume, value = inner.throw, error
