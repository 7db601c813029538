"""The events of a source, and the response that is put together from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from streamagg import (
    ChatCompletionResponse,
    ChoiceFinished,
    MessageReplaced,
    ReasoningDelta,
    RefusalDelta,
    StreamAggError,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallReady,
    ToolCallStarted,
    UsageReported,
    stream_sync,
)
from streamagg._types.message import thinking_of


def told(source: Any, *, early: bool = False, **options: Any) -> tuple[list[StreamEvent], type | None]:
    """The events of a source, and the error after them."""
    events, _, error = run(source, early=early, **options)
    return events, error


def run(
    source: Any, *, early: bool = False, **options: Any
) -> tuple[list[StreamEvent], ChatCompletionResponse | None, type | None]:
    events: list[StreamEvent] = []
    with stream_sync(source, **options) as chunks:
        try:
            for event in chunks.events(ready_before_finish=early):
                events.append(event)  # noqa: PERF402 - those before an error are kept
        except StreamAggError as error:
            return events, error.partial, type(error)
        return events, chunks.response(), None


class Rebuilt:
    """One choice, put together from what was told of it."""

    def __init__(self) -> None:
        self.text = self.reasoning = self.refusal = ""
        self.arguments: dict[int, str] = {}
        self.known: dict[int, tuple[str | None, str | None]] = {}
        self.ready: dict[int, ToolCall] = {}
        self.grew_when_ready: set[int] = set()


def rebuilt(events: list[StreamEvent]) -> tuple[dict[int, Rebuilt], dict[int, str]]:
    choices: dict[int, Rebuilt] = defaultdict(Rebuilt)
    finished: dict[int, str] = {}
    for event in events:
        match event:
            case TextDelta(text, choice):
                assert text
                choices[choice].text += text
            case ReasoningDelta(text, choice):
                assert text
                choices[choice].reasoning += text
            case RefusalDelta(text, choice):
                assert text
                choices[choice].refusal += text
            case ToolCallStarted(call, id, name, choice):
                assert call not in choices[choice].known
                choices[choice].known[call] = id, name
                choices[choice].arguments[call] = ""
            case ToolCallDelta(arguments, call, id, name, choice):
                assert arguments or (id, name) != choices[choice].known[call]
                choices[choice].known[call] = id, name
                choices[choice].arguments[call] += arguments
                if call in choices[choice].ready:
                    choices[choice].grew_when_ready.add(call)
            case ToolCallReady(tool_call, call, choice):
                assert call not in choices[choice].ready
                assert call in choices[choice].known
                choices[choice].ready[call] = tool_call
            case ChoiceFinished(reason, choice):
                assert reason != finished.get(choice)
                finished[choice] = reason
            case MessageReplaced(choice):
                assert not choices[choice].ready
                choices[choice] = Rebuilt()
    return choices, finished


def check(
    events: list[StreamEvent], response: ChatCompletionResponse | None, error: type | None, *, sane: bool = True
) -> None:
    """What was told is what the response is. `sane`: no server in its right mind goes on after the end."""
    choices, finished = rebuilt(events)
    if response is None:
        assert not choices
        return
    usage = [event.usage for event in events if isinstance(event, UsageReported)]
    assert (usage or [None])[-1] == response.usage
    assert finished == {choice.index: choice.finish_reason for choice in response.choices if choice.finish_reason}
    assert set(choices) <= {choice.index for choice in response.choices}
    for choice in response.choices:
        assert choice.index is not None
        message, said = choice.message, choices[choice.index]
        assert said.text == message.text
        assert said.refusal == (message.refusal or "")
        if sane:
            assert said.reasoning == message.reasoning_text
        else:
            assert said.reasoning in (message.reasoning_content, message.reasoning, thinking_of(message.content), "")
        whole = list(message.tool_calls or ())
        if message.function_call is not None:
            whole.append(ToolCall(function=message.function_call))
        if not any(call.function and call.custom for call in whole):
            told_of = Counter((*said.known[call], said.arguments[call]) for call in said.known)
            is_ = Counter(map(plain, whole))
            if not sane:  # an empty `function_call` may say nothing, and is none then
                told_of.pop((None, None, ""), None)
                is_.pop((None, None, ""), None)
            assert told_of == is_
        assert Counter(
            plain(call) for place, call in said.ready.items() if place not in said.grew_when_ready
        ) <= Counter(map(plain, whole))
        if sane:
            assert not said.grew_when_ready
            assert all(call in whole for call in said.ready.values())
        if error is None:
            assert set(said.ready) == set(said.known)


def plain(call: ToolCall) -> tuple[str | None, str | None, str]:
    callee = call.function or call.custom
    arguments = (call.function and call.function.arguments) or (call.custom and call.custom.input) or ""
    return call.id, callee.name if callee is not None else None, arguments
