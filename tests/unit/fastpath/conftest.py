"""Short streams have a template too."""

from __future__ import annotations

import pytest

from tests.support.templates import make_early


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    make_early(monkeypatch)
