"""What `events()` and `text()` tell of a stream: the same as its response, in every slicing."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import anyio
import msgspec
import pytest

from streamagg import (
    ChoiceFinished,
    IdleTimeoutError,
    IncompleteStreamError,
    MessageReplaced,
    ProviderError,
    ReasoningDelta,
    RefusalDelta,
    StreamAggError,
    StreamEvent,
    StreamRepaired,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallFunction,
    ToolCallReady,
    ToolCallStarted,
    UsageReported,
    accumulate,
    stream,
    stream_sync,
)
from tests.support.events import check, run, told
from tests.support.helpers import chunk, sse
from tests.support.steps import steps_of

pytestmark = pytest.mark.anyio


def calls(*fragments: dict[str, Any], finish: str | None = None, **fields: Any) -> Any:
    return chunk({"tool_calls": list(fragments)}, finish=finish, **fields)


def fragment(index: int | None, arguments: str | None, call_id: str | None = None, name: str | None = None) -> Any:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


def ready(call: int, call_id: str | None, name: str | None, arguments: str | None) -> ToolCallReady:
    return ToolCallReady(ToolCall(id=call_id, function=ToolCallFunction(name=name, arguments=arguments)), call, 0)


def test_a_stream() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"refusal": "no"}),
        calls(fragment(0, "", "a", "f")),
        calls(fragment(0, '{"x":')),
        calls(fragment(0, "1}")),
        chunk(finish="tool_calls"),
        {**chunk(), "choices": [], "usage": usage},
    )
    events, _ = told(body)
    assert events == [
        ReasoningDelta("Hm", 0),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        RefusalDelta("no", 0),
        ToolCallStarted(0, "a", "f", 0),
        ToolCallDelta('{"x":', 0, "a", "f", 0),
        ToolCallDelta("1}", 0, "a", "f", 0),
        ready(0, "a", "f", '{"x":1}'),
        ChoiceFinished("tool_calls", 0),
        UsageReported(events[-1].usage),  # type: ignore[union-attr]
    ]
    assert msgspec.to_builtins(events[-1]) == {"usage": usage}
    assert repr(events[1]) == "TextDelta(text='Hel', choice=0)"
    with pytest.raises(AttributeError):
        events[1].text = "ruined"  # type: ignore[union-attr,misc]


def test_choices_in_the_order_of_the_chunk() -> None:
    two = {
        "id": "x",
        "choices": [
            {"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"},
            {"index": 0, "delta": {"content": "a"}},
            {"index": 0, "delta": {"content": "A"}, "finish_reason": "length"},
        ],
    }
    assert told([two])[0] == [
        TextDelta("b", 1),
        ChoiceFinished("stop", 1),
        TextDelta("a", 0),
        TextDelta("A", 0),
        ChoiceFinished("length", 0),
    ]
    assert list(stream_sync([two]).text()) == ["a", "A"]


class TestReady:
    """A call is ready once, and only when it can grow no more."""

    def test_not_because_another_began(self) -> None:
        events, _ = told(
            [
                calls(fragment(0, '{"a":', "a", "f"), fragment(1, '{"b":', "b", "g")),
                calls(fragment(0, "1}"), fragment(1, "2}")),
                chunk(finish="tool_calls"),
            ]
        )
        assert [type(event) for event in events[:-3]] == [ToolCallStarted, ToolCallDelta] * 2 + [ToolCallDelta] * 2
        assert events[-3:] == [
            ready(0, "a", "f", '{"a":1}'),
            ready(1, "b", "g", '{"b":2}'),
            ChoiceFinished("tool_calls", 0),
        ]

    def test_with_the_chunk_that_finishes(self) -> None:
        events, _ = told([calls(fragment(0, "{}", "a", "f"), finish="tool_calls")])
        assert events[1:] == [
            ToolCallDelta("{}", 0, "a", "f", 0), ready(0, "a", "f", "{}"), ChoiceFinished("tool_calls", 0),
        ]  # fmt: skip

    @pytest.mark.parametrize("arguments", ["", '{"x":', "[1]", None], ids=str)
    def test_at_the_end_where_its_arguments_are_no_whole_object(self, arguments: str | None) -> None:
        items = [calls(fragment(0, arguments, "a", "f")), chunk(finish="length"), chunk({}, usage={"prompt_tokens": 1})]
        for body in (sse(*items), sse(*items, done=False)):
            events, _ = told(body)
            assert [type(event) for event in events[-3:]] == [ChoiceFinished, UsageReported, ToolCallReady]
            assert events[-1] == ready(0, "a", "f", arguments)

    def test_a_finish_reason_that_comes_too_early(self) -> None:
        """As proxies do that send a `finish_reason` after every chunk, or after every call (Together)."""
        early = [
            calls(fragment(0, "", "a", "f")),
            chunk(finish="stop"),
            calls(fragment(0, '{"x"')),
            chunk(finish="stop"),
            calls(fragment(0, ":1}")),
            chunk(finish="stop"),
            calls(fragment(1, "{}", "b", "g"), finish="stop"),
        ]
        events, _ = told(early)
        assert [event for event in events if isinstance(event, (ToolCallReady, ChoiceFinished))] == [
            ChoiceFinished("stop", 0), ready(0, "a", "f", '{"x":1}'), ready(1, "b", "g", "{}"),
        ]  # fmt: skip

    def test_a_call_that_begins_after_the_finish_reason(self) -> None:
        events, _ = told(sse(calls(fragment(0, "{}", "a", "f"), finish="stop"), calls(fragment(1, "{}", "b", "g"))))
        assert [event for event in events if isinstance(event, (ToolCallReady, ChoiceFinished))] == [
            ready(0, "a", "f", "{}"), ChoiceFinished("stop", 0), ready(1, "b", "g", "{}"),
        ]  # fmt: skip

    def test_a_server_that_goes_on_with_a_whole_call(self) -> None:
        """Its fragments are told, as they are in the response; the call is not ready a second time."""
        events, _ = told(sse(calls(fragment(0, "{}", "a", "f"), finish="stop"), calls(fragment(0, "x"))))
        assert events[2:] == [
            ready(0, "a", "f", "{}"), ChoiceFinished("stop", 0), ToolCallDelta("x", 0, "a", "f", 0),
        ]  # fmt: skip

    def test_done_without_a_finish_reason(self) -> None:
        events, error = told(sse(calls(fragment(0, "{}", "a", "f"))))
        assert events[-1] == ready(0, "a", "f", "{}")
        assert error is None

    def test_never_of_a_stream_that_was_cut_or_failed(self) -> None:
        begun = calls(fragment(0, "{}", "a", "f"))
        for source, wanted, options in (
            ([begun], IncompleteStreamError, {}),
            ([begun], None, {"incomplete": "return"}),
            ([begun, {"error": "x"}], ProviderError, {}),
            ([begun, chunk(finish="error", error="x")], ProviderError, {}),
            ([begun, {"id": "x", "choices": [{"finish_reason": "error", "error": {"a": 1}}]}], ProviderError, {}),
        ):
            events, error = told(source, **options)
            assert error is wanted
            assert not any(isinstance(event, ToolCallReady) for event in events)
            assert any(isinstance(event, ToolCallStarted) for event in events)

    async def test_never_of_a_stream_that_timed_out(self) -> None:
        async def silent() -> AsyncIterator[Any]:
            yield calls(fragment(0, "", "a", "f"), finish="tool_calls")
            await anyio.sleep_forever()

        events = []
        with anyio.fail_after(10), pytest.raises(IdleTimeoutError):
            async for event in stream(silent(), idle_timeout=0.2).events():
                events.append(event)
        assert events == [ToolCallStarted(0, "a", "f", 0), ChoiceFinished("tool_calls", 0)]

    def test_early_for_those_who_take_the_risk(self) -> None:
        items = [calls(fragment(0, '{"x":', "a", "f")), calls(fragment(0, "1}")), calls(fragment(1, "", "b", "g"))]
        events, error = told(items, early=True)
        assert error is IncompleteStreamError
        assert events[3:] == [ready(0, "a", "f", '{"x":1}'), ToolCallStarted(1, "b", "g", 0)]
        assert told([*items, chunk(finish="stop")], early=True)[0][3:] == [
            *events[3:], ChoiceFinished("stop", 0), ready(1, "b", "g", ""),
        ]  # fmt: skip

    def test_is_a_copy(self) -> None:
        item = calls({**fragment(0, "{}", "a", "f"), "extra_content": {"k": {"l": 1}}}, finish="stop")
        with stream_sync([item]) as chunks:
            for event in chunks.events():
                if isinstance(event, ToolCallReady):
                    event.tool_call.id = "ruined"
                    event.tool_call.extra_content["k"]["l"] = 2
        assert chunks.response().to_dict()["choices"][0]["message"]["tool_calls"] == [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"k": {"l": 1}},
            }
        ]


class TestCalls:
    def test_id_and_name_that_come_late(self) -> None:
        events, _ = told(
            [
                calls(fragment(0, "{")),
                calls(fragment(0, None, "a")),
                calls(fragment(0, None, None, "f")),
                calls(fragment(0, None)),
                calls(fragment(0, "}"), finish="stop"),
            ]
        )
        assert events[:-1] == [
            ToolCallStarted(0, None, None, 0),
            ToolCallDelta("{", 0, None, None, 0),
            ToolCallDelta("", 0, "a", None, 0),
            ToolCallDelta("", 0, "a", "f", 0),
            ToolCallDelta("}", 0, "a", "f", 0),
            ready(0, "a", "f", "{}"),
        ]

    def test_calls_that_share_an_index_keep_apart(self) -> None:
        events, _ = told([calls(fragment(0, "{}", "a", "f")), calls(fragment(0, "{}", "b", "f")), chunk(finish="stop")])
        assert [event.call for event in events if isinstance(event, ToolCallReady)] == [0, 1]
        assert StreamRepaired("tool_index_reused", 1) in events

    def test_order_is_that_of_their_beginning(self) -> None:
        events, _ = told([calls(fragment(5, "{}", "a", "f")), calls(fragment(2, "{}", "b", "f")), chunk(finish="stop")])
        assert [(event.call, event.tool_call.id) for event in events if isinstance(event, ToolCallReady)] == [
            (0, "a"), (1, "b"),
        ]  # fmt: skip

    def test_custom_tools(self) -> None:
        """Their input is free text, which may go on after what looks like a whole object."""
        item = calls({"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "{}"}}, finish="stop")
        events, _ = told(sse(item))
        assert events[:3] == [
            ToolCallStarted(0, "a", "f", 0),
            ToolCallDelta("{}", 0, "a", "f", 0),
            ChoiceFinished("stop", 0),
        ]
        assert isinstance(events[3], ToolCallReady)
        assert events[3].tool_call.custom.input == "{}"  # type: ignore[union-attr]

    def test_a_call_of_nothing(self) -> None:
        events, _ = told([calls({"index": 0, "id": "a"}), chunk(finish="stop")])
        assert events == [
            ToolCallStarted(0, "a", None, 0), ChoiceFinished("stop", 0), ToolCallReady(ToolCall(id="a"), 0, 0),
        ]  # fmt: skip

    def test_the_legacy_function_call(self) -> None:
        items = [
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": "{}"}}),
            chunk(finish="function_call"),
        ]
        assert told(items)[0] == [
            ToolCallStarted(-1, None, "f", 0),
            ToolCallDelta("{}", -1, None, "f", 0),
            ready(-1, None, "f", "{}"),
            ChoiceFinished("function_call", 0),
        ]


class TestTexts:
    def test_reasoning_that_is_sent_twice_is_told_once(self) -> None:
        items = [chunk({"reasoning": text, "reasoning_content": text}) for text in ("a", "b")] + [chunk(finish="stop")]
        assert told(items)[0] == [ReasoningDelta("a", 0), ReasoningDelta("b", 0), ChoiceFinished("stop", 0)]
        apart = [chunk({"reasoning": "a"}), chunk({"reasoning_content": "a"}), chunk(finish="stop")]
        assert told(apart)[0] == [ReasoningDelta("a", 0), ChoiceFinished("stop", 0)]

    def test_parts(self) -> None:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
        items = [
            chunk({"content": [thinking]}),
            chunk(
                {"content": [{"type": "text", "text": "a"}, "b", {"type": "image_url"}, {"type": "text", "text": None}]}
            ),
            chunk({"content": [{"type": "image_url"}]}),
            chunk({"content": "c"}, finish="stop"),
        ]
        events, response, _ = run(items)
        assert events == [ReasoningDelta("Hm", 0), TextDelta("ab", 0), TextDelta("c", 0), ChoiceFinished("stop", 0)]
        assert response is not None
        assert (response.text, response.choices[0].message.reasoning_text) == ("abc", "Hm")
        assert [item.text for item in stream_sync(items)] == ["", "ab", "", "c"]
        assert list(stream_sync(items).text()) == ["ab", "c"]

    def test_the_same_choice_twice_in_a_chunk(self) -> None:
        twice = {
            "id": "x",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"} for text in "ab"],
        }
        assert [item.text for item in stream_sync([twice])] == ["ab"]

    def test_halves_of_surrogate_pairs_wait_for_each_other(self) -> None:
        def raw(field: str, text: str, finish: str = "null") -> bytes:
            return b'data: {"id":"x","choices":[{"index":0,"delta":{%b},"finish_reason":%b}]}\n\n' % (
                (field % text).encode(), finish.encode(),
            )  # fmt: skip

        content, argument = (
            '"content":"%s"',
            '"tool_calls":[{"index":0,"id":"i","function":{"name":"f","arguments":"%s"}}]',
        )
        whole = [
            raw(content, "a\\ud83d"),
            raw(content, "\\ude00b"),
            raw(argument, "\\ud83d"),
            raw(argument, "\\ude00", '"stop"'),
        ]
        events = [event for event in told(whole)[0] if not isinstance(event, StreamRepaired)]
        assert events == [
            TextDelta("a", 0), TextDelta("😀b", 0), ToolCallStarted(0, "i", "f", 0),
            ToolCallDelta("😀", 0, "i", "f", 0), ChoiceFinished("stop", 0), ready(0, "i", "f", "😀"),
        ]  # fmt: skip
        for body in (whole, [raw(content, "a\\ud83d"), raw(content, ""), raw(content, "\\ude00\\ud83d", '"stop"')],
                     [raw(argument, "\\ud83d", '"stop"')], [raw(content, "\\ud83d"), b'data: {"error":"x"}\n\n'],
                     [raw(content, "\\ude00\\ud83d", '"stop"')]):  # fmt: skip
            events, response, error = run(body)
            check(events, response, error)
            assert told([b"".join(body)]) == (events, error)

    def test_pieces_of_choice_0_alone(self) -> None:
        items = [chunk({"content": text}, index=index) for text, index in (("", 0), ("a", 1), ("b", 0), ("c", 0))]
        assert list(stream_sync(sse(*items)).text()) == ["b", "c"]


class TestMessages:
    """Servers that send messages instead of deltas."""

    def of(self, *choices: dict[str, Any]) -> list[StreamEvent]:
        items = [{"id": "x", "choices": [{"index": 0, **choice}]} for choice in choices]
        events, response, error = run(sse(*items))
        check(events, response, error)
        return events

    def test_one_that_grows_is_told_as_it_grows(self) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}
        grown = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        assert self.of(
            {"message": {"content": "Hel", "reasoning": "H"}},
            {"message": {"content": "Hello", "reasoning": "Hm", "refusal": "no", "tool_calls": [call]}},
            {"message": {"content": "Hello", "reasoning": "Hm", "refusal": "no", "tool_calls": [grown]}, "finish_reason": "stop"},
        ) == [
            ReasoningDelta("H", 0), TextDelta("Hel", 0),
            ReasoningDelta("m", 0), TextDelta("lo", 0), RefusalDelta("no", 0),
            ToolCallStarted(0, "a", "f", 0), ToolCallDelta("{", 0, "a", "f", 0),
            ToolCallDelta("}", 0, "a", "f", 0), ChoiceFinished("stop", 0), ready(0, "a", "f", "{}"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"content": "a"}, {"content": "b"}),
            ({"content": "a"}, {"content": None}),
            ({"reasoning": "a"}, {"reasoning": "b"}),
            ({"refusal": "a"}, {"refusal": "b"}),
            ({"tool_calls": [{"id": "a"}]}, {"tool_calls": []}),
            ({"tool_calls": [{"id": "a"}]}, {"tool_calls": [{"id": "b"}]}),
            ({"tool_calls": [{"function": {"name": "f"}}]}, {"tool_calls": [{"function": {"name": "g"}}]}),
            ({"tool_calls": [{"function": {"arguments": "1"}}]}, {"tool_calls": [{"function": {"arguments": "2"}}]}),
            ({"function_call": {"name": "f"}}, {"function_call": {"name": "g"}}),
        ],
        ids=str,
    )  # fmt: skip
    def test_one_that_replaces_another_is_told_anew(self, before: Any, after: Any) -> None:
        events = self.of({"message": before}, {"message": after, "finish_reason": "stop"})
        assert events[1 if "tool_calls" not in before else events.index(MessageReplaced(0))] == MessageReplaced(0)
        ids = [event.tool_call for event in events if isinstance(event, ToolCallReady)]
        assert len(ids) == len(after.get("tool_calls") or ()) + ("function_call" in after)

    def test_deltas_that_take_its_place(self) -> None:
        call = {"tool_calls": [{"index": 0, "id": "b", "function": {"arguments": "{}"}}]}
        events = self.of(
            {"message": {"content": "One", "tool_calls": [{"id": "a"}]}, "finish_reason": "stop"},
            {"delta": {"role": "assistant", "content": ""}},
            {"delta": {"content": "Two", **call}},
        )
        assert events == [
            TextDelta("One", 0), ToolCallStarted(0, "a", None, 0), ChoiceFinished("stop", 0), MessageReplaced(0),
            TextDelta("Two", 0), ToolCallStarted(0, "b", None, 0), ToolCallDelta("{}", 0, "b", None, 0),
            ready(0, "b", None, "{}"),
        ]  # fmt: skip

    def test_an_empty_one_needs_no_replacing(self) -> None:
        assert self.of({"message": {"content": ""}}, {"delta": {"content": "a"}, "finish_reason": "stop"}) == [
            TextDelta("a", 0), ChoiceFinished("stop", 0),
        ]  # fmt: skip

    def test_custom_calls_of_messages(self) -> None:
        custom = [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]
        events = self.of({"message": {"tool_calls": custom}, "finish_reason": "stop"})
        assert events[:2] == [ToolCallStarted(0, "a", "f", 0), ToolCallDelta("x", 0, "a", "f", 0)]

    def test_halves_of_surrogate_pairs(self) -> None:
        body = [
            b'data: {"id":"x","choices":[{"index":0,"message":{"content":"a%b"},"finish_reason":"stop"}]}\n\n' % text
            for text in (b"\\ud83d", b"\\ud83d\\ude00")
        ]
        assert [event for event in told(body)[0] if not isinstance(event, StreamRepaired)] == [
            TextDelta("a\ufffd", 0), ChoiceFinished("stop", 0), MessageReplaced(0), TextDelta("a😀", 0),
        ]  # fmt: skip

    def test_a_plain_answer(self) -> None:
        message = {"content": "Hi", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
        answer = {
            "id": "x", "object": "chat.completion", "usage": {"prompt_tokens": 1},
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        }  # fmt: skip
        for source in (answer, json.dumps(answer), json.dumps(answer, indent=1)):
            events, _ = told(source)
            assert [type(event) for event in events] == [
                TextDelta, ToolCallStarted, ToolCallDelta, ChoiceFinished, UsageReported, ToolCallReady,
            ]  # fmt: skip
            assert list(stream_sync(source).text()) == ["Hi"]


class TestTheRest:
    def test_finish_reasons_that_change(self) -> None:
        reasons = ["stop", "stop", None, "tool_calls", ""]
        assert told(sse(*(chunk(finish=reason) for reason in reasons)))[0] == [
            ChoiceFinished("stop", 0), ChoiceFinished("tool_calls", 0),
        ]  # fmt: skip

    def test_usage_is_the_merged_one_where_it_is_new(self) -> None:
        def with_usage(prompt: int, completion: int) -> Any:
            return chunk({"content": "a"}, usage={"prompt_tokens": prompt, "completion_tokens": completion})

        items = [with_usage(10, 0), with_usage(0, 3), chunk(usage={}), with_usage(0, 0), chunk(finish="stop")]
        reported = [event.usage for event in told(items)[0] if isinstance(event, UsageReported)]
        assert [(usage.prompt_tokens, usage.completion_tokens) for usage in reported] == [(10, 0), (10, 3)]
        reported[0].prompt_tokens = 99
        moonshot = {
            "id": "x",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 1}}],
        }
        groq = chunk(finish="stop", x_groq={"usage": {"prompt_tokens": 1}})
        for item in (moonshot, groq):
            assert [event.usage.prompt_tokens for event in told([item])[0] if isinstance(event, UsageReported)] == [1]

    def test_what_is_done_with_an_event_changes_nothing(self) -> None:
        items = [chunk(finish="stop", usage={"prompt_tokens": 1, "x": {"y": 1}})] * 2
        with stream_sync(items) as chunks:
            reports = []
            for event in chunks.events():
                if isinstance(event, UsageReported):
                    reports.append(event)
                    event.usage.prompt_tokens = 5
                    event.usage.extra["x"]["y"] = 5
        assert len(reports) == 1
        assert msgspec.to_builtins(chunks.response().to_dict()["usage"]) == {"prompt_tokens": 1, "x": {"y": 1}}

    def test_repairs_come_before_what_was_mended(self) -> None:
        items = [
            {"type": "ping"},
            {"type": "ping"},
            chunk({"content": "a"}, index="0"),
            chunk(finish="stop", index=None),
        ]
        body = sse(*items, done=False)
        assert told(body[:-1])[0] == [
            StreamRepaired("not_a_chunk", 2), StreamRepaired("number_in_string", 1), TextDelta("a", 0),
            StreamRepaired("choice_index_missing", 1), StreamRepaired("unterminated_event", 1), ChoiceFinished("stop", 0),
        ]  # fmt: skip
        ended = sse(chunk(finish="stop"), "")
        assert told(ended)[0] == [ChoiceFinished("stop", 0), StreamRepaired("empty_event", 1)]


BODY = sse(*(chunk({"content": text}) for text in ("", "Hel", "lo")), chunk(finish="stop"))
EVENTS = [TextDelta("Hel", 0), TextDelta("lo", 0), ChoiceFinished("stop", 0)]


async def slices(body: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(body), 50):
        await anyio.lowlevel.checkpoint()
        yield body[place : place + 50]


class TestDrivers:
    async def test_events_then_the_response(self) -> None:
        assert [event async for event in stream(BODY).events()] == EVENTS
        async with stream(slices(BODY)) as chunks:
            events = chunks.events()
            assert await anext(events) == EVENTS[0]
            snapshot = chunks.snapshot()
            assert snapshot is not None
            assert snapshot.text == "Hel"
            with pytest.raises(RuntimeError, match="has not ended"):
                chunks.response()
            assert [event async for event in events] == EVENTS[1:]
            assert chunks.response().text == "Hello"
            assert chunks.complete

    async def test_text(self) -> None:
        assert [text async for text in stream(BODY).text()] == ["Hel", "lo"]
        async with stream(slices(BODY)) as chunks:
            assert "".join([text async for text in chunks.text()]) == chunks.response().text
        with stream_sync(BODY) as sync:
            assert list(sync.text()) == ["Hel", "lo"]
            assert sync.response().text == "Hello"

    async def test_errors_come_after_the_events_before_them(self) -> None:
        bad = BODY.replace(b"data: [DONE]", b"data: nonsense")
        events = []
        async with stream(slices(bad)) as chunks:
            with pytest.raises(StreamAggError) as caught:
                async for event in chunks.events():
                    events.append(event)
            assert events == EVENTS
            with pytest.raises(StreamAggError) as again:
                chunks.response()
            assert again.value is caught.value

    async def test_the_rest_can_be_accumulated(self) -> None:
        async with stream(slices(BODY)) as chunks:
            async for _ in chunks.events():
                break
            assert (await accumulate(chunks)).text == "Hello"

    async def test_they_are_asked_for_before_reading_and_once(self) -> None:
        async with stream(slices(BODY)) as chunks:
            await anext(chunks)
            for ask in (chunks.events, chunks.text):
                with pytest.raises(RuntimeError, match="ask for events"):
                    ask()
        with stream_sync(BODY) as sync:
            sync.events()
            with pytest.raises(RuntimeError, match="ask for events"):
                sync.text()

    async def test_early_exit_closes(self) -> None:
        open_ = 0

        def source() -> Iterator[bytes]:
            nonlocal open_
            open_ += 1
            try:
                yield BODY[:500]
                yield BODY[500:]
            finally:
                open_ -= 1

        async with stream(source()) as chunks:
            async for _ in chunks.events():
                break
            assert open_ == 1
        assert open_ == 0
        with stream_sync(source()) as sync:
            for _ in sync.text():
                break
        assert open_ == 0


@pytest.mark.sampled(3)
@pytest.mark.skipif(sys.gettrace() is not None, reason="counts steps with the hook that a tracer has taken")
@pytest.mark.parametrize(
    "item",
    [
        chunk({"content": "ab"}),
        chunk({"content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "a"}]}),
        calls(fragment(0, '{"', "a", "f"), finish="stop"),
        calls(fragment(None, "{}", None, "f"), finish="stop"),
        chunk({"content": "a"}, usage={"prompt_tokens": 1, "x": 2}),
    ],
    ids=["text", "parts", "arguments that never close", "many calls", "usage"],
)
@pytest.mark.parametrize("early", [False, True])
def test_steps_grow_linearly(item: Any, early: bool) -> None:
    def steps(count: int) -> int:
        def read() -> None:
            for _ in stream_sync([sse(item, done=False)] * count + [sse()]).events(ready_before_finish=early):
                pass

        return steps_of(read)

    counted = [steps(count) for count in (250, 500, 1000)]
    assert all(more <= 2.2 * less for less, more in pairwise(counted)), counted
