"""The bounds on the memory that one stream takes."""

from __future__ import annotations

from msgspec import Struct

_DEEPEST = 256
"""Reading takes several stack frames for each level, and CPython allows 1000 of them."""


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on the memory of one stream. A stream that passes one fails with `LimitError`.

    The defaults are far above what an honest server sends. Smaller bounds on an event or a line broke users
    of other clients, whose servers sent a whole reasoning trace, an image or a tool's result at once:

    - 64 KiB: Go's `bufio.Scanner` (openai/openai-go#368), asyncio's `StreamReader`
      (jupyter-ai-contrib/jupyter-ai-acp-client#32), aiohttp's lines (microsoft/Agents-for-python#268);
    - 128 KiB: aiohttp again (aio-libs/aiohttp#4453, NVIDIA/TensorRT-LLM#13952, open-webui/open-webui#24928);
    - 512 KiB: microsoft/Agents-for-python#507;
    - 1 MiB: anomalyco/opencode#36343 (2 MB of an image), modelcontextprotocol/go-sdk#726, zendev-sh/goai#70.

    Memory passes a bound by at most one read of the source, and the moment of decoding one event: an event of brackets
    alone becomes empty lists of some 30 times its bytes. Repairs need no bound: `Accumulator.repairs` counts them by
    the fixed kinds of `REPAIRS`.
    """

    event_bytes: int = 64 * 2**20
    """Bytes of one event, or of one line, that has not ended yet."""
    response_size: int = 512 * 2**20
    """The approximate length of the response as JSON: the characters of texts and names, and a few for each number,
    field and list entry. The memory is hardly more than that for text, and at most fifty times that for empty lists."""
    choices: int = 4096
    """The number of choices of a response."""
    tool_calls: int = 1024
    """The number of tool calls of a choice. In the delta's other indexed lists it bounds the items of one index."""
    depth: int = 128
    """The depth of nested objects and lists in one payload."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            bound = getattr(self, name)
            if not isinstance(bound, int) or bound < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, not {bound!r}")
        if self.depth > _DEEPEST:
            raise ValueError(
                f"depth must be {_DEEPEST} at most: each level takes several of Python's 1000 stack frames"
            )
