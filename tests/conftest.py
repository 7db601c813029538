"""Shared fixtures: event loops, and the recordings and vectors that lie beside the repository."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import effort, shared

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background jobs ignore it, and so would the
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that the tests interrupt


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every test, with all examples of each property")


def pytest_configure(config: pytest.Config) -> None:
    effort.begin(full=config.getoption("full"))
    settings.register_profile(
        "streamagg", max_examples=effort.EXAMPLES, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    settings.load_profile("streamagg")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("full"):
        items[:], left = effort.part_of(items)
        config.hook.pytest_deselected(items=left)


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


@pytest.fixture
def end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `[DONE]` a server may take its time over the answer's end, as one on a busy machine does."""
    monkeypatch.setattr("streamagg._sources.items._LINGER", 20)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a real server of `tests.support.app`."""
    from tests.support.app import make_app
    from tests.support.async_clients import WAYS
    from tests.support.serving import serve

    async def read(way: str, source: Any) -> dict[str, Any]:
        return (await WAYS[way](source)).to_dict()

    with serve(make_app(read)) as address:
        yield address


def pytest_collection_finish() -> None:
    """What is imported by now stays: hundreds of tests collect garbage, and need not walk through all of it."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"shared vectors and recordings: {shared.ROOT if shared.ROOT.is_dir() else 'absent, their tests skip'}"
