"""The table of sources: the first shape that fits counts, for async and for blocking code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg._sources.items import SHAPES, AsyncItems, SyncItems

pytestmark = pytest.mark.anyio


class Both:
    """An async iterable that is a blocking one too."""

    def __iter__(self) -> Iterator[str]:
        return iter(["blocking"])

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "async"


class Call(Both):
    """A client's call, which may be awaited or read."""

    def __await__(self) -> Any:
        raise NotImplementedError


async def test_a_source_of_two_kinds_is_read_by_its_own_kind_of_code() -> None:
    assert SyncItems(Both()).next() == "blocking"
    items = AsyncItems(Both())
    assert await items.next() == "async"
    await items.aclose()


async def test_a_call_that_is_an_async_iterable_is_read_by_async_code_alone() -> None:
    items = AsyncItems(Call())
    assert await items.next() == "async"
    await items.aclose()
    with pytest.raises(TypeError, match="Call was not awaited"):
        SyncItems(Call())


async def test_the_iterator_of_a_coroutine_function_is_closed_once_it_is_there() -> None:
    closed = []

    async def slices() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    async def iter_content() -> AsyncIterator[bytes]:
        return slices()

    for reads in (0, 1):
        items = AsyncItems(SimpleNamespace(iter_content=iter_content))
        for _ in range(reads):
            assert await items.next() == b"a"
        await items.aclose()
        assert len(closed) == reads


def test_each_shape_is_for_one_kind_of_code_at_least() -> None:
    assert all(shape.make_async or shape.make_sync for shape in SHAPES)
