"""Turn any OpenAI-compatible chat-completion stream into one typed `ChatCompletionResponse`."""

from ._accumulate import accumulate, accumulate_sync
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
from ._events import (
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
from ._limits import REPAIRS, Limits
from ._many import accumulate_all, sum_usage
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
from ._session import IncompleteMode
from ._sse import ServerSentEvent, SSEDecoder
from ._stream import ChatCompletionStream, SyncChatCompletionStream, stream, stream_sync
from ._struct import Extra
from ._tap import ChatCompletionTap, SyncChatCompletionTap, tap, tap_sync
from ._timing import Timing
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
