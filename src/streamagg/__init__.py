"""Turn any OpenAI-compatible chat-completion stream into one typed `ChatCompletionResponse`."""

from ._accumulator.accumulator import Accumulator
from ._codec.struct import Extra
from ._drivers.accumulate import accumulate, accumulate_sync
from ._drivers.accumulate_all import accumulate_all
from ._drivers.driver import IncompleteMode
from ._drivers.stream import ChatCompletionStream, SyncChatCompletionStream, stream, stream_sync
from ._drivers.tap import ChatCompletionTap, SyncChatCompletionTap, tap, tap_sync
from ._drivers.timing import Timing
from ._errors import (
    DecodeError,
    IdleTimeoutError,
    IncompleteStreamError,
    LimitError,
    ParseError,
    ProviderError,
    StreamAggError,
)
from ._events.types import (
    ChoiceFinished,
    MessageReplaced,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    StreamRepaired,
    TextDelta,
    ToolCallDelta,
    ToolCallReady,
    ToolCallStarted,
    UsageReported,
)
from ._export.otel import otel_attributes
from ._export.replay import replay, to_sse
from ._framing.sse import ServerSentEvent, SSEDecoder
from ._limits import Limits
from ._merge.usage import UsageMode
from ._repairs import REPAIRS
from ._types.chunk import (
    ChatCompletionChunk,
    ChatCompletionChunkChoice,
    ChatCompletionChunkDelta,
    ChatCompletionChunkToolCall,
    ChatCompletionChunkToolCallCustom,
    ChatCompletionChunkToolCallFunction,
)
from ._types.completion import (
    ChatCompletionChoice,
    ChatCompletionLogProbs,
    ChatCompletionResponse,
    ChatCompletionTokenLogProb,
    ChatCompletionTokenTopLogProb,
)
from ._types.message import ChatCompletionAudio, ChatCompletionMessage, ToolCall, ToolCallCustom, ToolCallFunction
from ._types.partial_json import PartialJSON, parse_partial
from ._types.usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails, sum_usage

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
    "ChatCompletionTap",
    "ChatCompletionTokenLogProb",
    "ChatCompletionTokenTopLogProb",
    "ChoiceFinished",
    "CompletionTokensDetails",
    "CompletionUsage",
    "DecodeError",
    "Extra",
    "IdleTimeoutError",
    "IncompleteMode",
    "IncompleteStreamError",
    "LimitError",
    "Limits",
    "MessageReplaced",
    "ParseError",
    "PartialJSON",
    "PromptTokensDetails",
    "ProviderError",
    "ReasoningDelta",
    "RefusalDelta",
    "SSEDecoder",
    "ServerSentEvent",
    "StreamAggError",
    "StreamEvent",
    "StreamRepaired",
    "SyncChatCompletionStream",
    "SyncChatCompletionTap",
    "TextDelta",
    "Timing",
    "ToolCall",
    "ToolCallCustom",
    "ToolCallDelta",
    "ToolCallFunction",
    "ToolCallReady",
    "ToolCallStarted",
    "UsageMode",
    "UsageReported",
    "accumulate",
    "accumulate_all",
    "accumulate_sync",
    "otel_attributes",
    "parse_partial",
    "replay",
    "stream",
    "stream_sync",
    "sum_usage",
    "tap",
    "tap_sync",
    "to_sse",
]
