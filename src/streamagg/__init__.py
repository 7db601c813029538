"""Turn any OpenAI-compatible chat-completion stream into one typed `ChatCompletionResponse`."""

from ._accumulator import Accumulator
from ._chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionChunkToolCall,
    ChatCompletionChunkToolCallCustom,
    ChatCompletionChunkToolCallFunction,
)
from ._errors import (
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    LimitError,
    ParseError,
    ProviderError,
    StreamAggError,
)
from ._limits import REPAIRS, Limits
from ._message import ChatCompletionAudio, ChatCompletionMessage, ToolCall, ToolCallCustom, ToolCallFunction
from ._otel import otel_attributes
from ._partial import PartialJSON, parse_partial
from ._replay import replay, to_sse
from ._response import (
    ChatCompletionChoice,
    ChatCompletionLogProbs,
    ChatCompletionResponse,
    ChatCompletionTokenLogProb,
    ChatCompletionTokenTopLogProb,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from ._sse import ServerSentEvent, SSEDecoder
from ._stream import (
    ChatCompletionStream,
    IncompleteMode,
    SyncChatCompletionStream,
    accumulate,
    accumulate_sync,
    stream,
    stream_sync,
)
from ._struct import Extra
from ._usage import UsageMode

__all__ = [
    "REPAIRS",
    "Accumulator",
    "ChatCompletionAudio",
    "ChatCompletionChoice",
    "ChatCompletionChunk",
    "ChatCompletionChunkChoice",
    "ChatCompletionChunkDelta",
    "ChatCompletionChunkToolCall",
    "ChatCompletionChunkToolCallCustom",
    "ChatCompletionChunkToolCallFunction",
    "ChatCompletionLogProbs",
    "ChatCompletionMessage",
    "ChatCompletionResponse",
    "ChatCompletionStream",
    "ChatCompletionTokenLogProb",
    "ChatCompletionTokenTopLogProb",
    "CompletionTokensDetails",
    "CompletionUsage",
    "DecodeError",
    "Extra",
    "IdleTimeoutError",
    "IncompleteMode",
    "IncompleteStreamError",
    "LimitError",
    "Limits",
    "ParseError",
    "PartialJSON",
    "PromptTokensDetails",
    "ProviderError",
    "SSEDecoder",
    "ServerSentEvent",
    "StreamAggError",
    "SyncChatCompletionStream",
    "ToolCall",
    "ToolCallCustom",
    "ToolCallFunction",
    "UsageMode",
    "accumulate",
    "accumulate_sync",
    "otel_attributes",
    "parse_partial",
    "replay",
    "stream",
    "stream_sync",
    "to_sse",
]
