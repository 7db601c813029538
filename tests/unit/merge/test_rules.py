"""The merge table, row by row: two or more values of a field, and what stands in the end."""

from __future__ import annotations

from typing import Any

import pytest

from streamagg import Accumulator
from streamagg._merge.rules import append_content
from tests.support.helpers import chunk, merged, sse


def of_chunk(name: str, *values: Any) -> Any:
    return merged(*(chunk(**{name: value}) for value in values)).get(name)


def of_choice(name: str, *values: Any) -> Any:
    chunks = [chunk() for _ in values]
    for item, value in zip(chunks, values, strict=True):
        item["choices"][0][name] = value
    return merged(*chunks)["choices"][0].get(name)


def of_delta(name: str, *values: Any) -> Any:
    return merged(*(chunk({name: value}) for value in values))["choices"][0]["message"].get(name)


CHUNK_ROWS: list[tuple[str, list[Any], Any]] = [
    # first non-empty, else the first that came
    ("id", ["a", "b"], "a"),
    ("id", ["", "b", "c"], "b"),
    ("id", ["", ""], ""),
    ("id", [None, "b"], "b"),
    ("model", ["", "m", "n"], "m"),
    ("created", [0, 7, 8], 7),
    ("created", [0, 0], 0),
    ("created", [1.5, 2], 1.5),
    # last non-empty; "" alone gives ""
    ("service_tier", ["default", "priority", None, ""], "priority"),
    ("service_tier", ["", None], ""),
    ("system_fingerprint", ["", "fp"], "fp"),
    # unknown scalars and lists: last non-null
    ("unknown", ["a", "b", None], "b"),
    ("unknown", [1, 0], 0),
    ("unknown", [True, 1], 1),
    ("unknown", ["a", ""], ""),
    ("unknown", [[1, 2], [3]], [3]),
    ("citations", [["a"], ["a", "b"], None], ["a", "b"]),
    ("provider", ["x", "y"], "y"),
    # unknown objects: key by key, scalars and lists inside last non-null
    (
        "unknown",
        [{"a": 1, "b": {"c": "x"}}, {"b": {"c": None, "d": [1]}}, {"b": {"d": [2]}}],
        {"a": 1, "b": {"c": "x", "d": [2]}},
    ),
    ("x_groq", [{"id": "r"}, {"seed": 1, "id": None}], {"id": "r", "seed": 1}),
    ("unknown", [{"a": 1}, "b"], "b"),
    ("unknown", ["b", {"a": 1}], {"a": 1}),
    # padding is dropped
    ("obfuscation", ["x", "yz"], None),
    ("p", ["abc", "abcdefghijklmnopqrstuvwxyz0123456789"], None),
    ("p", ["abd"], "abd"),
    ("unknown", [[{"obfuscation": "x", "a": {"obfuscation": "y"}}]], [{"a": {}}]),
    ("object", ["chat.completion.chunk", "chat.completion.done"], "chat.completion"),
]

CHOICE_ROWS: list[tuple[str, list[Any], Any]] = [
    ("finish_reason", ["stop", None, ""], "stop"),
    ("finish_reason", ["stop", "tool_calls"], "tool_calls"),
    ("finish_reason", ["", None], None),
    ("finish_reason", ["end_turn"], "end_turn"),
    ("stop_reason", [None, 128009, None], 128009),
    ("stop_reason", [1, "</s>"], "</s>"),
    ("native_finish_reason", ["stop", ""], ""),
    ("text", ["a", "", "b"], "ab"),
    ("token_ids", [[1], [2, 3], None], [1, 2, 3]),
    (
        "content_filter_results",
        [{}, {"hate": {"filtered": False}}, {"hate": {"severity": "safe"}}],
        {"hate": {"filtered": False, "severity": "safe"}},
    ),
    (
        "logprobs",
        [{"content": [{"token": "a"}]}, None, {"content": [{"token": "b"}], "refusal": None}],
        {"content": [{"token": "a"}, {"token": "b"}]},
    ),
    ("logprobs", [{"refusal": [{"token": "a"}]}, {"content": []}], {"content": [], "refusal": [{"token": "a"}]}),
    ("logprobs", [{"tokens": ["a"], "n": 1}, {"tokens": ["b"], "n": 2}], {"tokens": ["a", "b"], "n": 2}),
    ("usage", [{"prompt_tokens": 1}], None),
    ("unknown", ["a", "b"], "b"),
    ("unknown", [{"obfuscation": "x", "a": 1}], {"a": 1}),
    ("obfuscation", ["x"], None),
]

DELTA_ROWS: list[tuple[str, list[Any], Any]] = [
    ("role", ["assistant", "tool", "", None], "tool"),
    ("role", [None, ""], "assistant"),
    ("name", ["a", "b", ""], "b"),
    ("channel", ["analysis", "final"], "final"),
    ("phase", ["x", ""], "x"),
    ("recipient", ["a", None], "a"),
    ("content", ["a", None, "", "b"], "ab"),
    ("content", [""], ""),
    ("content", [None], None),
    ("refusal", ["I ", "can't"], "I can't"),
    ("reasoning", ["a", "b"], "ab"),
    ("reasoning_content", ["a", "b"], "ab"),
    ("audio", [{"id": "i", "data": "QU"}, {"data": "JD", "transcript": "he"}, {"transcript": "y", "expires_at": 9, "x": 1}], {"id": "i", "data": "QUJD", "transcript": "hey", "expires_at": 9, "x": 1}),
    ("annotations", [[{"index": 0, "a": 1}], [{"index": 0, "a": 2}]], [{"index": 0, "a": 1}, {"index": 0, "a": 2}]),
    # unknown strings append, lists extend, numbers and booleans are the last non-null
    ("unknown", ["a", "b"], "ab"),
    ("unknown", [[1], [2]], [1, 2]),
    ("unknown", [1, 2, None], 2),
    ("unknown", [True, False], False),
    ("unknown", [{"a": "x"}, {"a": "y"}], {"a": "y"}),
    ("token_id", [5, 6], 6),
    ("tool_calls", [[]], None),
    # parts
    ("content", ["", [{"type": "text", "text": "a"}], "b", ""], [{"type": "text", "text": "ab"}]),
    ("content", ["x", [{"type": "text", "text": "a"}]], [{"type": "text", "text": "xa"}]),
    ("content", [[{"type": "thinking", "thinking": "a"}], [{"type": "thinking", "thinking": "b"}]], [{"type": "thinking", "thinking": "ab"}]),
    ("content", [[{"type": "image_url", "image_url": {"url": "u"}}], "a"], [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "a"}]),
    ("content", [["a", "b"], [{"type": "text", "text": "c", "k": {"l": 1}}]], [{"type": "text", "text": "abc", "k": {"l": 1}}]),
    ("content", [[5]], [5]),
    # items by index
    ("images", [[{"index": 0, "image_url": {"url": "a"}}], [{"index": 0, "image_url": {"detail": "low"}}, {"index": 1}]], [{"index": 0, "image_url": {"url": "a", "detail": "low"}}, {"index": 1}]),
    ("reasoning_details", [[{"index": 0, "type": "t", "text": "a", "format": None}], [{"index": 0, "text": "b", "format": "f"}]], [{"index": 0, "type": "t", "text": "ab", "format": "f"}]),
    ("reasoning_details", [[{"index": 0, "type": "t", "summary": "a"}], [{"index": 0, "type": "u", "data": "b"}], [{"index": 0, "type": "t", "summary": "c"}]], [{"index": 0, "type": "t", "summary": "ac"}, {"index": 0, "type": "u", "data": "b"}]),
    ("reasoning_details", [[{"index": 0, "id": "a", "data": "1"}], [{"index": 0, "id": "b", "data": "2"}], [{"index": 0, "data": "3"}]], [{"index": 0, "id": "a", "data": "1"}, {"index": 0, "id": "b", "data": "23"}]),
    ("unknown", [[{"index": "1", "text": "a"}], [{"index": 1, "text": "b"}], [{"text": "c"}]], [{"index": 1, "text": "ab"}, {"text": "c"}]),
    ("unknown", [[{"index": True, "text": "a"}], [{"index": True, "text": "b"}]], [{"index": True, "text": "a"}, {"index": True, "text": "b"}]),
    # the legacy call
    ("function_call", [{"name": "f", "arguments": ""}, {"name": "f", "arguments": "{"}, {"arguments": "}", "x": 1}], {"name": "f", "arguments": "{}", "x": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "wanted"), CHUNK_ROWS, ids=str)
def test_of_the_chunk(name: str, values: list[Any], wanted: Any) -> None:
    assert of_chunk(name, *values) == wanted
    assert type(of_chunk(name, *values)) is type(wanted)


@pytest.mark.parametrize(("name", "values", "wanted"), CHOICE_ROWS, ids=str)
def test_of_the_choice(name: str, values: list[Any], wanted: Any) -> None:
    assert of_choice(name, *values) == wanted


@pytest.mark.parametrize(("name", "values", "wanted"), DELTA_ROWS, ids=str)
def test_of_the_delta(name: str, values: list[Any], wanted: Any) -> None:
    assert of_delta(name, *values) == wanted


def test_what_never_came_stays_none() -> None:
    from streamagg import accumulate_sync

    response = accumulate_sync([{"choices": [{"delta": {}, "finish_reason": "stop"}]}])
    assert (response.id, response.created, response.model, response.usage) == (None, None, None, None)
    assert response.to_dict() == {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant"}, "finish_reason": "stop"}],
    }


class TestChoices:
    def test_order_is_that_of_the_index(self) -> None:
        chunks = [chunk({"content": text}, index=index) for index, text in ((2, "c"), (0, "a"), (10, "d"), (0, "A"))]
        choices = merged(*chunks)["choices"]
        assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [
            (0, "aA"),
            (2, "c"),
            (10, "d"),
        ]

    def test_a_missing_index_is_the_place_in_the_list(self) -> None:
        two = {"id": "x", "choices": [{"delta": {"content": "a"}}, {"index": None, "delta": {"content": "b"}}]}
        choices = merged(two, two)["choices"]
        assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "aa"), (1, "bb")]

    def test_the_same_choice_twice_in_a_chunk(self) -> None:
        twice = {
            "id": "x",
            "choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 0, "delta": {"content": "b"}}],
        }
        assert merged(twice)["choices"][0]["message"]["content"] == "ab"

    @pytest.mark.parametrize(
        "nothing", [{"choices": None}, {"choices": []}, {}, {"choices": [{"index": 0, "delta": None}]}]
    )
    def test_nothing_breaks_nothing(self, nothing: dict[str, Any]) -> None:
        choices = merged(chunk({"content": "a"}), {"id": "c1", **nothing}, chunk({"content": "b"}))["choices"]
        assert [choice["message"]["content"] for choice in choices] == ["ab"]


class TestMessages:
    """A `message` beside or instead of a delta."""

    def message(self, *choices: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = merged(*({"id": "x", "choices": [{"index": 0, **c}]} for c in choices))["choices"][0][
            "message"
        ]
        return message

    def test_counts_while_deltas_say_nothing(self) -> None:
        said = {"role": "assistant", "content": "all", "refusal": None, "x": 1}
        assert self.message({"delta": {"role": "assistant", "content": ""}}, {"message": said}) == {
            "role": "assistant", "content": "all", "x": 1,
        }  # fmt: skip

    def test_a_later_one_replaces_the_whole(self) -> None:
        assert self.message({"message": {"content": "a", "refusal": "b"}}, {"message": {"content": "c"}}) == {
            "role": "assistant", "content": "c",
        }  # fmt: skip

    def test_the_first_delta_that_says_something_drops_it(self) -> None:
        assert self.message({"message": {"content": "a", "x": 1}}, {"delta": {"content": "b"}}, {"message": {"content": "c"}}) == {
            "role": "assistant", "content": "b",
        }  # fmt: skip

    def test_the_delta_is_read_first(self) -> None:
        assert self.message({"delta": {"content": "a"}, "message": {"content": "b"}})["content"] == "a"

    def test_what_is_empty_beside_it_stays(self) -> None:
        silent = {"vendor": [], "role": "assistant"}
        assert self.message({"delta": silent, "message": {}}) == silent
        assert self.message({"delta": silent}, {"message": {"x": 1}}) == {**silent, "x": 1}

    def test_its_calls_have_no_index(self) -> None:
        call = {"index": 0, "id": "i", "function": {"name": "f", "arguments": "{}"}}
        assert self.message({"message": {"tool_calls": [call]}})["tool_calls"] == [
            {"id": "i", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]


@pytest.mark.parametrize(
    "field",
    ["provider", "signature", "response_hash", "citations", "search_results", "prompt_filter_results", "timings", "prompt_token_ids", "model_id",
     "model_version", "created_at", "p", "service_tier", "system_fingerprint", "vendor"],
)  # fmt: skip
def test_what_a_chunk_says_of_itself_may_change(field: str) -> None:
    for add in (False, True):
        accumulator = Accumulator()
        for n in (1, 1, None, 2, 2, None, 3):
            item = chunk({"content": "a"}, **{field: n if n is None else f"said {n}"})
            accumulator.add(item) if add else accumulator.feed(sse(item, done=False))
        snapshot = accumulator.snapshot()
        assert snapshot is not None
        assert snapshot.to_dict()[field] == "said 3"


def test_a_text_after_a_text_grows() -> None:
    fields: dict[str, Any] = {}
    assert append_content(fields, "content", "ab") > 0
    assert append_content(fields, "content", "cd") == 2
    assert fields["content"].value() == "abcd"
