"""More that only a mutant shows: strict reading's foresight, words of a cut stream, and the corners of bodies."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import Accumulator, DecodeError, IncompleteStreamError, LimitError, Limits, ProviderError, StreamAggError
from tests.support.helpers import chunk, merged, so_far, sse
from tests.unit.merge.test_usage import usage


def call(name: str | None, arguments: str = "x") -> dict[str, Any]:
    return {"arguments": arguments, **({"name": name} if name is not None else {})}


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ([chunk({"function_call": call("f")}), chunk({"function_call": call("f")})], "tool_name_repeated"),
        ([chunk({"function_call": call("f")}), chunk({"function_call": call("g")})], None),
        ([chunk({"function_call": call("f")}), chunk({"function_call": call("g")}), chunk({"function_call": call("fg")})], "tool_name_repeated"),
        ([chunk({"function_call": call("f")}), chunk({"function_call": call(None)}), chunk({"function_call": call("")})], None),
        ([chunk({"content": "a"}), chunk({"function_call": call("f")}), chunk({"function_call": call("f")}, index=1)], None),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "a"}]})], "tool_id_repeated"),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "a"}]}, index=1)], None),
        ([chunk({"tool_calls": [{"index": 0, "id": "a"}]}), chunk({"tool_calls": [{"index": 0, "id": "b"}]})], "tool_index_reused"),
        ([chunk({"content": "a"}), chunk({"content": "a"}, id="c2")], "id_changed"),
        ([chunk({"content": "a"}, id=""), chunk({"content": "a"}, id="c2"), chunk({"content": "a"}, id=""), chunk({"content": "b"}, id=None)], None),
        ([chunk({"content": "a"}), chunk({"content": "a"}, index=None)], "choice_index_missing"),
        ([chunk({"content": "a"}), {"id": "c1", "choices": None, "object": "x"}], "choices_missing"),
        ([chunk({"content": "a"}), {"id": "c1", "choices": [{"index": 0}]}], "delta_missing"),
    ],
)  # fmt: skip
def test_strict_foresees_what_merging_would_note(chunks: list[Any], kind: str | None) -> None:
    for choice in chunks[-1]["choices"] or ():
        if "delta" in choice:
            choice["delta"]["content"] = "more"  # a half merge would show
    chunks = [*chunks[:-1], {**chunks[-1], "vendor": "more"}]
    for add in (False, True):
        strict, plain = Accumulator(strict=True), Accumulator()
        for item in chunks[:-1]:
            for each in (strict, plain):
                each.add(item) if add else each.feed(sse(item, done=False))
        before = strict.snapshot()
        plain.add(chunks[-1])
        assert dict(plain.repairs) == ({kind: 1} if kind else {})
        if kind is None:
            strict.add(chunks[-1])
            assert strict.snapshot() == plain.snapshot()
        else:
            with pytest.raises(DecodeError, match=f"strict reading allows no repair: {kind} "):
                strict.add(chunks[-1])
            assert strict.snapshot() == before
            assert not strict.repairs


def test_repairs_add_up() -> None:
    accumulator = Accumulator()
    for _ in range(3):
        accumulator.add({"id": "x", "choices": [{"delta": {}}]})
        accumulator.feed(b'data: {"id":"x","choices":[{"delta":{}},{"delta":{"content":5}}]}\n\n')
    assert dict(accumulator.repairs) == {"choice_index_missing": 9, "value_for_string": 3}


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "with no finish_reason for choice 0"),
        (5, "with no finish_reason for choice 0, 1, 2, 3, 4"),
        (6, "with no finish_reason for choice 0, 1, 2, 3, 4, ..."),
        (7, "with no finish_reason for choice 0, 1, 2, 3, 4, ..."),
        (0, "with no choice"),
    ],
)
def test_names_the_choices_that_are_open(count: int, words: str) -> None:
    accumulator = Accumulator()
    accumulator.add({"id": "x", "choices": [{"index": n, "delta": {}} for n in range(count)]})
    with pytest.raises(IncompleteStreamError) as caught:
        accumulator.finish()
    assert str(caught.value) == f"the source ended without [DONE] after 1 event, {words}"


ONE, TWO = (json.dumps(chunk({"content": text}, finish="stop")) for text in "12")


@pytest.mark.parametrize(
    ("body", "text", "repairs"),
    [
        (f"data: {ONE}\ndata: {TWO}\n\n", "12", {"adjacent_data_lines": 1}),
        (f"data: {ONE}\ndata: \ndata: {TWO}\n\n", "12", {"adjacent_data_lines": 1}),
        (f"data: {ONE}\ndata: {TWO}\n", "12", {"adjacent_data_lines": 1, "unterminated_event": 1}),
        (f"data: {ONE}\n", "1", {"unterminated_event": 1}),
        (f"data: {ONE}", "1", {"unterminated_event": 1}),
        (f"{ONE}\n{TWO}\n", "12", {"bare_json_line": 2}),
        (f"{ONE}", "1", {"bare_json_line": 1}),
    ],
)
def test_documents_that_stand_together(body: str, text: str, repairs: dict[str, int]) -> None:
    for slices in ([body.encode()], [bytes([byte]) for byte in body.encode()]):
        accumulator = Accumulator()
        for piece in slices:
            accumulator.feed(piece)
        assert accumulator.finish().text == text
        assert dict(accumulator.repairs) == repairs
        assert accumulator.events == len(text)


def test_an_answer_is_whole_only_by_itself() -> None:
    answer = '{"choices":[{"index":0,"message":{"content":"x"}}]}'
    alone = Accumulator()
    alone.feed(answer)
    assert alone.finish().text == "x"
    for body in (
        f"{answer}\n{answer}\n",
        '{"choices":[{"index":0,"delta":{}},{"index":1,"message":{}}]}',
        '{"choices":[{"index":0,"message":{},"delta":{}}]}',
        '{"id":"x","choices":[]}',
    ):
        accumulator = Accumulator()
        accumulator.feed(body)
        with pytest.raises(StreamAggError):
            accumulator.finish()
        assert not accumulator.complete


def test_events_of_other_libraries() -> None:
    for name, error in ((None, False), ("", False), ("message", False), ("error", True)):
        for data in (ONE, json.loads(ONE)):
            accumulator = Accumulator()
            event = SimpleNamespace(event=name, data=data)
            if error:
                with pytest.raises(ProviderError):
                    accumulator.add(event)
            else:
                accumulator.add(event)
            assert so_far(accumulator) == "1"
    done = Accumulator()
    done.add(ONE)
    done.add(SimpleNamespace(event="error", data="[DONE]"))
    assert done.done
    cut = Accumulator()
    cut.feed(f"event: error\ndata: {ONE}\n")
    with pytest.raises(ProviderError):
        cut.finish()


def test_the_size_of_what_is_added_counts() -> None:
    logprobs = {"content": [{"token": "x" * 50, "logprob": -1.0}]}
    item = chunk({"content": "a"})
    item["choices"][0]["logprobs"] = logprobs
    for add in (False, True):
        accumulator = Accumulator(limits=Limits(response_size=2000))
        with pytest.raises(LimitError, match="response_size=2000") as caught:
            for _ in range(100):
                accumulator.add(item) if add else accumulator.feed(sse(item, done=False))
        assert caught.value.partial is not None
        assert 5 <= len(caught.value.partial.text) <= 20
        logprobs_held = caught.value.partial.choices[0].logprobs
        assert logprobs_held is not None
        assert accumulator.snapshot() == caught.value.partial
        logprobs_held.content[0].token = "changed"  # type: ignore[index]
        assert "changed" not in accumulator.snapshot().to_json()  # type: ignore[union-attr]


def test_a_source_of_blank_events() -> None:
    accumulator = Accumulator()
    accumulator.feed("data:\n\ndata: \n\n")
    with pytest.raises(IncompleteStreamError) as caught:
        accumulator.finish()
    assert str(caught.value) == "the source ended without a chunk"
    assert accumulator.events == 2


def test_what_is_shown_and_counted_of_a_refused_object() -> None:
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    accumulator.add(chunk({"content": "a"}))
    with pytest.raises(DecodeError) as caught:
        accumulator.add({"id": "x", "choices": 5})
    assert (caught.value.event, caught.value.excerpt, accumulator.events) == (3, '{"id":"x","choices":5}', 3)
    with pytest.raises(IncompleteStreamError) as none:
        passed_over = Accumulator()
        passed_over.add({"type": "ping"})
        passed_over.finish()
    assert str(none.value) == "the source ended without a chunk"


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


def test_a_text_with_half_a_pair_is_added() -> None:
    accumulator = Accumulator()
    accumulator.add('{"id":"x","choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}')
    assert so_far(accumulator).startswith("a\ufffd")


def test_counts_that_are_none() -> None:
    """What is no number, or past 64 bits, counts nothing; whole floats of a vendor are integers."""
    assert usage({"prompt_tokens": 5, "x": 10.0}) == {"prompt_tokens": 5, "x": 10}
    assert type(usage({"x": 10.0})["x"]) is int
    huge = 2**70
    assert usage({"prompt_tokens": huge, "completion_tokens": 1}, {"completion_tokens": 2})["completion_tokens"] in (
        2,
        3,
    )
    assert usage({"x": True}, {"x": True}, usage="sum") == {"x": True}
    assert merged({"id": "x", "choices": [], "usage": {"k": {"n": 2.0}}})["usage"] == {"k": {"n": 2}}
