"""What a stream may make its reader hold, and the words for what had to be repaired."""

from __future__ import annotations

from msgspec import Struct

_DEEPEST = 256


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on what one stream may hold in memory; past one the stream fails with `LimitError`.

    The defaults are far above what an honest server sends. Smaller bounds on an event or a line broke users
    of other clients, whose servers sent a whole reasoning trace, an image or a tool's result at once:

    - 64 KiB: Go's `bufio.Scanner` (openai/openai-go#368), asyncio's `StreamReader`
      (jupyter-ai-contrib/jupyter-ai-acp-client#32), aiohttp's lines (microsoft/Agents-for-python#268);
    - 128 KiB: aiohttp again (aio-libs/aiohttp#4453, NVIDIA/TensorRT-LLM#13952, open-webui/open-webui#24928);
    - 512 KiB: microsoft/Agents-for-python#507;
    - 1 MiB: anomalyco/opencode#36343 (2 MB of an image), modelcontextprotocol/go-sdk#726, zendev-sh/goai#70.

    Memory passes a bound by no more than what one read of the source brings, and what decoding one event
    takes for a moment: an event of nothing but brackets becomes some 30 times its bytes of empty lists.
    Repairs need no bound: `Accumulator.repairs` counts them, by the fixed kinds of `REPAIRS`.
    """

    event_bytes: int = 64 * 2**20
    """Bytes of one event, or of one line, that has not ended yet."""
    response_size: int = 512 * 2**20
    """The response's length as JSON, more or less: characters of text and names, and a few for each number, field
    and list entry. In memory it takes fifty times that at the very most, where it is all empty lists, and
    hardly more than the text where it is text."""
    choices: int = 4096
    """Choices of a response."""
    tool_calls: int = 1024
    """Tool calls of a choice; also the items of one `index` in another list of the delta."""
    depth: int = 128
    """Nesting of objects and lists in one payload."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            bound = getattr(self, name)
            if not isinstance(bound, int) or bound < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, not {bound!r}")
        if self.depth > _DEEPEST:
            raise ValueError(f"depth must be {_DEEPEST} at most: Python's own stack is not deeper")
