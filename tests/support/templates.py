"""The fast path makes templates late, as short streams gain nothing by them: here they are made early."""

from __future__ import annotations

import pytest

from streamagg._fastpath import fastpath


def make_early(patch: pytest.MonkeyPatch) -> None:
    """Make a template after two events that are alike."""
    patch.setattr(fastpath, "_SHORTEST_STREAK", 2)
