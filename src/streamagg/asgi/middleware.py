"""ASGI middleware that hands each chat completion of an app to a callback, whatever became of it.

Needs no framework; not imported by `streamagg` itself.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from streamagg import Accumulator, Limits, UsageMode

from .exchange import Completion, Exchange, Receive, Scope, Send

_VARIABLE = "STREAMAGG_ON_COMPLETION"
_DEFAULT_LIMITS = Limits()

_logger = logging.getLogger("streamagg.asgi")


class CompletionMiddleware:
    """Calls `on_completion` once for each completion of `app`, with a `Completion`.

    Watched are POST requests. One whose path ends in `/completions` is reported whatever comes of it; of
    the others those that bring a chat completion, as an event stream, NDJSON or JSON.

    `on_completion`: a function, async or not. Without it the one that the environment variable
    `STREAMAGG_ON_COMPLETION` names (`module:function`), or the method of that name of a subclass. It is
    called, and awaited, in the request's task once the app has returned, so it delays no response; it
    is shielded from cancellation, so the server's shutdown waits for it. What it raises is logged
    (`streamagg.asgi`). `request_body`: keep the request's JSON for it. `usage`, `limits`: see
    `Accumulator`; `limits.event_bytes` bounds JSON bodies too.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        on_completion: Callable[[Completion], Any] | None = None,
        *,
        request_body: bool = False,
        usage: UsageMode = "auto",
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        Accumulator(usage=usage, limits=limits)  # a wrong option is raised here
        if on_completion is None:
            overridden = type(self).on_completion is not CompletionMiddleware.on_completion
            on_completion = self.on_completion if overridden else _named_in_the_environment()
        self.app = app
        self._callback = on_completion
        self._options: dict[str, Any] = {"usage": usage, "limits": limits, "keep_request": request_body}

    def on_completion(self, completion: Completion) -> Any:
        """For subclasses to override, async or not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, **self._options)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except GeneratorExit:  # the coroutine is thrown away: nothing can be awaited any more
            raise
        except BaseException as error:  # of the app, cancellation too: it is reported, and passes
            await self._report(exchange, error)
            raise
        await self._report(exchange, None)

    async def _report(self, exchange: Exchange, raised: BaseException | None) -> None:
        try:
            completion = exchange.completion(raised)
            if completion is not None:
                with anyio.CancelScope(shield=True):
                    result = self._callback(completion)
                    if inspect.isawaitable(result):
                        await result
        except Exception:  # the callback's: it must not break a response that was served
            _logger.exception("on_completion failed for %s", exchange.path)


def _named_in_the_environment() -> Callable[[Completion], Any]:
    """The function that the environment names as `module:function`."""
    module, _, name = os.environ.get(_VARIABLE, "").partition(":")
    if not module or not name:
        raise ValueError(
            f"no callback: pass on_completion=..., set {_VARIABLE}=module:function, or override on_completion"
        )
    found: Callable[[Completion], Any] = getattr(importlib.import_module(module), name)
    return found
