"""The hand-written loop with the standard library's `json`."""

from __future__ import annotations

import json

from ..streams.generated import Json
from .handwritten import collect_with


def collect(reads: list[bytes]) -> Json:
    return collect_with(json.loads, reads)


def wire(response: Json) -> Json:
    return response
