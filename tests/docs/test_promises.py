"""What the README says one can rely on: the tests that keep it are there, and the public names are those they were."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

import streamagg
import streamagg.asgi
from tests.support.places import ROOT, TESTS

SECTION = (ROOT / "README.md").read_text().split("\n## What you can rely on\n")[1].split("\n## ")[0]
ROWS = [row for row in SECTION.splitlines() if row.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=[row[2:30] for row in ROWS])
def test_each_promise_has_its_tests(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::([\w:]+)`", row.split(" | ")[-1])
    assert named
    for file, name in named:
        found: ast.AST = ast.parse((TESTS / file).read_text())
        for part in name.split("::"):
            (found,) = (node for node in ast.iter_child_nodes(found) if getattr(node, "name", None) == part)


PUBLIC = {
    "accumulate": "source usage strict limits incomplete idle_timeout",
    "accumulate_sync": "source usage strict limits incomplete idle_timeout",
    "accumulate_all": "sources limit usage strict limits incomplete idle_timeout",
    "stream": "source usage strict limits incomplete idle_timeout",
    "stream_sync": "source usage strict limits incomplete idle_timeout",
    "tap": "source usage strict limits incomplete idle_timeout",
    "tap_sync": "source usage strict limits incomplete idle_timeout",
    "Accumulator": "usage strict limits",
    "SSEDecoder": "last_event_id flush max_event_bytes",
    "Limits": "event_bytes response_size choices tool_calls depth",
    "replay": "response piece",
    "to_sse": "response piece done",
    "parse_partial": "text",
    "sum_usage": "responses",
    "otel_attributes": "response timing",
    "asgi.CompletionMiddleware": "app on_completion request_body usage limits",
    "StreamAggError": "message",
    "IncompleteStreamError": "message",
    "ProviderError": "body status message",
    "DecodeError": "reason event path data",
    "LimitError": "limit bound",
    "IdleTimeoutError": "seconds",
    "ParseError": "reason path text what",
}
"""The public functions and classes that are called, with their parameters: some may be added, none may go."""

METHODS = {
    "Accumulator": "feed add finish snapshot complete repairs",
    "SSEDecoder": "feed finish last_event_id",
    "ChatCompletionStream": "aclose events text snapshot response complete repairs timing",
    "SyncChatCompletionStream": "close events text snapshot response complete repairs timing",
    "ChatCompletionTap": "aclose snapshot response complete done error repairs timing usage",
    "SyncChatCompletionTap": "close snapshot response complete done error repairs timing usage",
    "ChatCompletionResponse": "id object created model choices usage text to_dict to_json to_openai from_json from_openai json_schema extra",
    "ChatCompletionChoice": "index message finish_reason logprobs extra",
    "ChatCompletionMessage": "role content refusal tool_calls reasoning_content reasoning_text text parse extra",
    "ChatCompletionChunk": "id choices usage text extra",
    "CompletionUsage": "prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details extra",
    "ToolCall": "id type function extra",
    "ToolCallFunction": "name arguments parse extra",
    "ServerSentEvent": "data event id retry",
    "Timing": "first_byte first_chunk first_reasoning first_text last_text last_chunk text_rate",
    "asgi.Completion": "state response error status method path request timing scope",
}  # fmt: skip
"""What the public classes have."""


ALSO = (
    "REPAIRS ChatCompletionAudio ChatCompletionChunkChoice ChatCompletionChunkDelta ChatCompletionChunkToolCall"
    " ChatCompletionChunkToolCallCustom ChatCompletionChunkToolCallFunction ChatCompletionLogProbs"
    " ChatCompletionTokenLogProb ChatCompletionTokenTopLogProb ChoiceFinished CompletionTokensDetails Extra"
    " IncompleteMode MessageReplaced PartialJSON PromptTokensDetails ReasoningDelta RefusalDelta StreamEvent"
    " StreamRepaired TextDelta ToolCallCustom ToolCallDelta ToolCallReady ToolCallStarted UsageMode UsageReported"
)
"""The other public names."""


def _named(name: str) -> object:
    found: object = streamagg
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_public_names_stay() -> None:
    for name, parameters in PUBLIC.items():
        assert set(parameters.split()) <= set(inspect.signature(_named(name)).parameters), name  # type: ignore[arg-type]
    for name, members in METHODS.items():
        assert all(hasattr(_named(name), member) for member in members.split()), name
    names = {name for name in {**PUBLIC, **METHODS} if "." not in name} | set(ALSO.split())
    assert names <= set(streamagg.__all__)
