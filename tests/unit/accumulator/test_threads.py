"""Accumulators share nothing; one shared between threads by mistake gives an error or a right answer, never a wrong one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamagg import Accumulator, accumulate_sync
from tests.support.helpers import chunk, so_far, sse


@pytest.fixture(autouse=True)
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*actions: Callable[[], None]) -> None:
    """Run all of them in threads that begin together; what one raises is raised."""
    barrier = threading.Barrier(len(actions))
    raised: list[BaseException] = []

    def run(action: Callable[[], None]) -> None:
        barrier.wait()
        try:
            action()
        except BaseException as error:  # of a thread, for the test to look at
            raised.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def items(name: str, count: int) -> list[Any]:
    """A stream of several shapes: text that the fast path takes, calls, usage, fields that no type knows."""
    texts = [chunk({"content": f"<{name}{n}>"}) for n in range(count)]
    calls = [
        chunk({"tool_calls": [{"index": 0, "id": name, "function": {"name": "f", "arguments": f"{n},"}}]})
        for n in range(count // 4)
    ]
    rest = [
        chunk({"content": f"[{name}{n}]"}, vendor={"n": n}, usage={"prompt_tokens": 1, "completion_tokens": n})
        for n in range(count // 4)
    ]
    return [*texts, *calls, *rest, chunk(finish="stop")]


def test_each_thread_its_own() -> None:
    bodies = [sse(*items(f"t{n}-", 200)) for n in range(6)]
    wanted = [accumulate_sync(body) for body in bodies]
    got: dict[int, Any] = {}

    def run(n: int) -> Callable[[], None]:
        def feed() -> None:
            accumulator = Accumulator()
            for place in range(0, len(bodies[n]), 700):
                accumulator.feed(bodies[n][place : place + 700])
            got[n] = accumulator.finish()

        return feed

    at_once(*(run(n) for n in range(6)))
    assert [got[n] for n in range(6)] == wanted


@pytest.mark.parametrize("way", ["feed", "add"])
def test_shared_by_mistake(way: str) -> None:
    """What every call that was not refused brought is there once, in each thread's order; what was refused is not."""
    refused = 0
    for _ in range(5):
        shared = Accumulator()
        (shared.feed(sse(chunk({"content": "."}), done=False)))
        taken: dict[str, list[str]] = {}

        def run(name: str, shared: Accumulator = shared, taken: dict[str, list[str]] = taken) -> Callable[[], None]:
            mine = taken[name] = []
            chunks = [chunk({"content": f"<{name}{n}>"}, **({"vendor": n} if n % 50 == 0 else {})) for n in range(400)]
            pieces = [sse(item, done=False) for item in chunks]

            def push() -> None:
                nonlocal refused
                for n, item in enumerate(pieces if way == "feed" else chunks):
                    try:
                        shared.feed(item) if way == "feed" else shared.add(item)
                    except RuntimeError as error:
                        assert "two calls at once" in str(error)
                        refused += 1
                    else:
                        mine.append(f"<{name}{n}>")

            return push

        def look(shared: Accumulator = shared) -> None:
            for _ in range(50):
                try:
                    shared.snapshot()
                except RuntimeError as error:
                    assert "two calls at once" in str(error)

        at_once(run("a"), run("b"), run("c"), look)
        response = shared.snapshot()
        assert response is not None
        told = response.text.removeprefix(".")
        assert len(told) == sum(len(text) for texts in taken.values() for text in texts)
        for name, texts in taken.items():
            assert [part + ">" for part in told.split(">")[:-1] if part.startswith(f"<{name}")] == texts
        assert shared.events == 1 + sum(map(len, taken.values()))
    assert refused > 0


def test_a_call_within_a_call_is_refused() -> None:
    accumulator = Accumulator()
    problems: list[str] = []

    def deliver(item: Any) -> None:
        for call in (
            accumulator.snapshot,
            accumulator.finish,
            lambda: accumulator.feed(b"x"),
            lambda: accumulator.add({}),
        ):
            with pytest.raises(RuntimeError, match="two calls at once"):
                call()
            problems.append("refused")

    accumulator.deliver = deliver
    for n in range(4):
        accumulator.feed(sse(chunk({"content": f"{n}"}, finish="stop" if n == 3 else None), done=False))
    accumulator.add(chunk({"content": "4"}))
    assert len(problems) == 4 * 5
    assert accumulator.finish().text == "01234"


def test_a_call_that_raises_is_over() -> None:
    accumulator = Accumulator()

    def deliver(item: Any) -> None:
        raise KeyboardInterrupt

    accumulator.deliver = deliver
    for call in (
        lambda: accumulator.feed(sse(chunk({"content": "a"}), done=False)),
        lambda: accumulator.add(chunk({"content": "b"})),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert so_far(accumulator) == "ab"
