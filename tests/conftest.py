"""Shared fixtures: event loops, and the recordings and vectors that lie beside the repository."""

from __future__ import annotations

import pytest

from . import shared


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Every async test runs under every event loop."""
    return request.param


def pytest_report_header() -> str:
    return f"shared vectors and recordings: {shared.ROOT if shared.ROOT.is_dir() else 'absent, their tests skip'}"
