"""A clock that ticks once whenever it is read."""

from __future__ import annotations

from itertools import count

from streamagg._drivers.timing import StreamClock


def ticking() -> StreamClock:
    ticks = count()
    return StreamClock(lambda: float(next(ticks)))
