"""Many streams at once, and their usage in one sum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._errors import IncompleteStreamError
from .._limits import Limits
from .._merge.usage import UsageMode
from .._types.completion import ChatCompletionResponse
from .accumulate import accumulate
from .driver import DEFAULT_LIMITS, Driver, IncompleteMode


async def accumulate_all(
    sources: Iterable[Any],
    *,
    limit: int = 100,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> list[ChatCompletionResponse | Exception]:
    """Accumulate many sources, at most `limit` at a time; the results are in the order of the sources.

    A source that fails does not raise: its place in the list has the error, a `StreamAggError` or the exception of the
    source. A source may also open one: an awaitable (a client's call), an async context manager
    (`client.stream(...)`), or a function without arguments that returns a source or one of these. It is opened at its
    turn, and closed again. `sources` is iterated as places become free; an exception of `sources` itself cancels the
    reading and is raised. Options as `accumulate`. Raises `ValueError` if `limit` is less than 1.
    """
    import anyio

    if limit < 1:
        raise ValueError(f"limit must be 1 or more, not {limit!r}")
    # A wrong option is raised at once, not put in the place of each source.
    Driver(usage, strict, limits, incomplete, idle_timeout)
    results: list[ChatCompletionResponse | Exception] = []
    free = anyio.Semaphore(limit)
    failure: Exception | None = None

    async def run(place: int, source: Any) -> None:
        try:
            results[place] = await _read(
                source, usage=usage, strict=strict, limits=limits, incomplete=incomplete, idle_timeout=idle_timeout
            )
        except Exception as error:  # stands in its place, as promised
            results[place] = error
        finally:
            free.release()

    async with anyio.create_task_group() as tasks:
        try:
            await free.acquire()
            for source in sources:
                # It stays where a source is a task that was cancelled itself: asyncio raises no `Exception` then.
                results.append(IncompleteStreamError("the source was cancelled"))
                tasks.start_soon(run, len(results) - 1, source)
                await free.acquire()
        except Exception as error:  # of `sources` itself: raised once the others have stopped
            failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return results


async def _read(source: Any, **options: Any) -> ChatCompletionResponse:
    """Open a source where it is still to be opened, accumulate it, and close what was opened here."""
    # An HTTP response is a context manager too, and is open already.
    opens = hasattr(source, "__aenter__") and not hasattr(source, "__aiter__") and not hasattr(source, "content")
    # Context managers made by contextlib are callable too.
    if callable(source) and not opens:
        source, opens = source(), True
    if hasattr(source, "__await__"):
        source, opens = await source, True
    if not opens:
        return await accumulate(source, **options)
    if hasattr(source, "__aenter__"):
        async with source as opened:
            return await accumulate(opened, **options)
    try:
        return await accumulate(source, **options)
    finally:
        # openai's `with_raw_response` keeps the response that is to be closed.
        response = getattr(source, "http_response", source)
        if hasattr(response, "aclose"):
            await response.aclose()
