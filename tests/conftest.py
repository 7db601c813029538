"""Shared fixtures: event loops, and the recordings and vectors that lie beside the repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a real server of `tests.app`."""
    from .app import make_app
    from .async_clients import WAYS
    from .serving import serve

    async def read(way: str, source: Any) -> dict[str, Any]:
        return (await WAYS[way](source)).to_dict()

    with serve(make_app(read)) as address:
        yield address


def pytest_report_header() -> str:
    return f"shared vectors and recordings: {shared.ROOT if shared.ROOT.is_dir() else 'absent, their tests skip'}"
