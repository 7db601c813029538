"""`accumulate`, async and sync: a source read to its end, and the one response that it streamed."""

from __future__ import annotations

from typing import Any

from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .driver import DEFAULT_LIMITS, Driver, IncompleteMode
from .stream import ChatCompletionStream, SyncChatCompletionStream
from .tap import ChatCompletionTap, SyncChatCompletionTap


async def accumulate(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """Read a source to its end, or to `[DONE]`, and return the one response that it streamed.

    `source`: a response of an HTTP client, a client's stream of chunks, what `stream` or `tap` made, a whole
    body as bytes or str, a path, a binary file, or an iterable, async or not, of slices, chunks or
    events. `usage`, `strict`, `limits`: see `Accumulator`. `incomplete="return"` returns the partial response of a cut
    stream; before the first chunk it raises `IncompleteStreamError` all the same. `idle_timeout`: seconds without a
    data event before `IdleTimeoutError`; comments do not count. A stream or a tap keeps the options that it was made
    with: the options of this call do not apply to it.

    Raises a `StreamAggError` (a `ProviderError` for an error status), `TypeError` for an unreadable source,
    `RuntimeError` for a response that was read or closed before, and each exception of the source.
    """
    # A stream or a tap has options of its own. Those of this call do not apply.
    if isinstance(source, (ChatCompletionStream, ChatCompletionTap)):
        async for _ in source:
            pass
        return source.response()
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        return accumulate_sync(source)
    driver = Driver(usage, strict, limits, incomplete, idle_timeout)
    items = AsyncItems(source)
    take, next_item = driver.begin(items.body), driver.reader(items)
    try:
        while not take(await next_item()):
            pass
        await items.linger()
    except StopAsyncIteration:
        pass
    finally:
        await items.aclose()
    return driver.result()


def accumulate_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """`accumulate` for blocking sources. The idle time is checked before each read: a read that waits goes on."""
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        for _ in source:
            pass
        return source.response()
    driver = Driver(usage, strict, limits, incomplete, idle_timeout)
    items = SyncItems(source)
    take, next_item = driver.begin(items.body), driver.reader(items)
    try:
        while not take(next_item()):
            pass
    except StopIteration:
        pass
    finally:
        items.close()
    return driver.result()
