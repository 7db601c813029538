"""ASGI middleware that hands each chat completion of an app to a callback.

1. It needs no framework, and `streamagg` itself does not import it.
2. The callback runs after the response: it delays no response, and its errors break none.
3. Each completion is reported once: whole, cut, failed, or left by its client.
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

    The middleware watches POST requests. It reports every request whose path ends in `/completions`. At other
    paths it reports a response that is a chat completion, as an event stream, NDJSON or JSON.

    `on_completion`: a function, async or not. The default is the method `on_completion` of a subclass, or the
    function that the environment variable `STREAMAGG_ON_COMPLETION` names (`module:function`); with neither, a
    `ValueError`. The call, and its await, run in the request's task after the app has returned. They are shielded
    from cancellation: the server's shutdown waits for them. An exception of the callback is logged to
    `streamagg.asgi`.

    `request_body`: whether to keep the request's JSON for the callback. `usage`, `limits`: see `Accumulator`;
    `limits.event_bytes` bounds JSON bodies too.
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
        # A wrong option fails when the app is built, not at the first request.
        Accumulator(usage=usage, limits=limits)
        if on_completion is None:
            overridden = type(self).on_completion is not CompletionMiddleware.on_completion
            on_completion = self.on_completion if overridden else _environment_callback()
        self.app = app
        self._callback = on_completion
        self._options: dict[str, Any] = {"usage": usage, "limits": limits, "keep_request": request_body}

    def on_completion(self, completion: Completion) -> Any:
        """Called with each completion. Subclasses override it, async or not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI's application interface)."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, **self._options)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except GeneratorExit:  # the event loop throws the coroutine away: an await would fail now
            raise
        except BaseException as error:  # the app's error or a cancellation: reported, then raised again
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
        except Exception:  # the callback failed: the response was served and must not break
            _logger.exception("on_completion failed for %s", exchange.path)


def _environment_callback() -> Callable[[Completion], Any]:
    """The function that the environment variable names as `module:function`."""
    module, _, name = os.environ.get(_VARIABLE, "").partition(":")
    if not module or not name:
        raise ValueError(
            f"no callback: pass on_completion=..., set {_VARIABLE}=module:function, or override on_completion"
        )
    found: Callable[[Completion], Any] = getattr(importlib.import_module(module), name)
    return found
