"""Each property holds with the fast path and without it."""

from __future__ import annotations

import pytest

from streamagg._accumulator import pipeline
from tests.support.templates import make_early


@pytest.fixture(autouse=True, params=["fast path", "general path"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accumulators that a test makes have a fast path, or have none."""
    if request.param == "fast path":
        make_early(monkeypatch)
    else:
        monkeypatch.setattr(pipeline, "FAST_PATH", None)
