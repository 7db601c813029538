"""ASGI middleware that hands each chat completion of an app to a callback. Needs no framework."""

from .exchange import Completion, State
from .middleware import CompletionMiddleware

__all__ = ["Completion", "CompletionMiddleware", "State"]
