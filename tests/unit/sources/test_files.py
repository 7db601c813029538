"""Files and pipes, which may make one wait."""

from __future__ import annotations

import os
from typing import Any

import pytest

from streamagg import (
    accumulate,
)
from tests.support.streams import BODY, WANTED


@pytest.mark.anyio
async def test_a_file_that_is_ready_with_nothing_is_asked_again() -> None:
    """As where another process was quicker."""
    reader, writer = os.pipe()
    os.write(writer, b"x")
    os.set_blocking(reader, False)
    given: list[Any] = [None, None, BODY, b"", b""]

    class File:
        def fileno(self) -> int:
            return reader

        def read(self, size: int) -> Any:
            return given.pop(0)

    assert (await accumulate(File())).to_dict() == WANTED
    os.close(reader)
    os.close(writer)
