"""The hand-written loop with `orjson`."""

from __future__ import annotations

import orjson

from ..streams.generated import Json
from .handwritten import collect_with


def collect(reads: list[bytes]) -> Json:
    return collect_with(orjson.loads, reads)


def wire(response: Json) -> Json:
    return response
