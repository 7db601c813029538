"""`accumulate`, async and sync: a source read to its end, and the one response that it streamed."""

from __future__ import annotations

from typing import Any

from .._limits import Limits
from .._merge.usage import UsageMode
from .._sources.items import AsyncItems, SyncItems
from .._types.completion import ChatCompletionResponse
from .driver import DEFAULT_LIMITS, IncompleteMode, Session
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
    events. `usage`, `strict`, `limits`: see `Accumulator`. `incomplete="return"` gives what there is of
    a stream that was cut, where there is any, instead of raising `IncompleteStreamError`.
    `idle_timeout`: seconds without a data event before `IdleTimeoutError`; comments do not count.

    Raises a `StreamAggError` (of a response with an error status `ProviderError`), a `TypeError` for what
    cannot be read, a `RuntimeError` for a response read or closed before, and whatever the source raises.
    """
    if isinstance(source, (ChatCompletionStream, ChatCompletionTap)):  # it has its own options
        async for _ in source:
            pass
        return source.response()
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        return accumulate_sync(source)
    session = Session(usage, strict, limits, incomplete, idle_timeout)
    items = session.open(AsyncItems(source))
    next_item = session.reader(items)
    try:
        while not session.take(await next_item()):
            pass
        await items.linger()
    except StopAsyncIteration:
        pass
    finally:
        await items.aclose()
    return session.result()


def accumulate_sync(
    source: Any,
    *,
    usage: UsageMode = "auto",
    strict: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    incomplete: IncompleteMode = "raise",
    idle_timeout: float | None = None,
) -> ChatCompletionResponse:
    """`accumulate` for blocking sources. `idle_timeout` is looked at before each read; a late one counts."""
    if isinstance(source, (SyncChatCompletionStream, SyncChatCompletionTap)):
        for _ in source:
            pass
        return source.response()
    session = Session(usage, strict, limits, incomplete, idle_timeout)
    items = session.open(SyncItems(source))
    next_item = session.reader_sync(items)
    try:
        while not session.take(next_item()):
            pass
    except StopIteration:
        pass
    finally:
        items.close()
    return session.result()
