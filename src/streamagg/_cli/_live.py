"""What is shown while a stream is read."""

from __future__ import annotations

import streamagg

from ._terminal import write


def write_text(chunks: streamagg.SyncChatCompletionStream) -> None:
    """Write the text of choice 0 as it comes, and a newline after it."""
    wrote = False
    try:
        for chunk in chunks:
            if chunk.text:
                write(chunk.text)
                wrote = True
    finally:
        if wrote:
            write("\n")
