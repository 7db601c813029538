"""Columns of recordings to columns of responses: every value, every kind of column, every kind of failure."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamagg import Limits, StreamAggError, accumulate_sync
from tests.support import shared
from tests.support.helpers import Outcome, chunk, outcome, sse, strip_nulls
from tests.support.strategies import ANYTHING, CHUNKS

pa = pytest.importorskip("pyarrow", reason="needs the extra `arrow`")
from streamagg.arrow import SCHEMA, aggregate  # noqa: E402 - not without pyarrow
from streamagg.arrow.rows import _array  # noqa: E402 - not without pyarrow

HELLO = sse(chunk({"content": "Hel"}), chunk({"content": "lo é"}, finish="stop"))
CUT = sse(chunk({"content": "Hel"}), done=False)


def row_of(body: Any, **options: Any) -> dict[str, Any]:
    (row,) = aggregate(pa.table({"body": pa.array([body])}), **options).to_pylist()
    assert list(row) == SCHEMA.names
    return row


def outcome_of(row: dict[str, Any]) -> tuple[Any, Any, bool]:
    """A row as `helpers.outcome` tells what a stream came to."""
    return row["response"] and strip_nulls(json.loads(row["response"])), row["error"], row["complete"]


def named(wanted: Outcome) -> tuple[Any, Any, bool]:
    response, error, complete = wanted
    return response, error and error.__name__, complete


def test_every_column() -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":'}}
    other = {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "free"}}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
    }
    body = sse(
        chunk({"role": "assistant", "content": "He", "reasoning_content": "hm", "tool_calls": [call]}),
        chunk(
            {"content": "llo", "refusal": "no", "tool_calls": [{"index": 0, "function": {"arguments": "1}"}}, other]}
        ),
        chunk({"content": "two"}, index=1, finish="length"),
        chunk({}, finish="tool_calls", usage=usage),
    )
    row = row_of(body)
    assert json.loads(row.pop("response")) == accumulate_sync(body).to_dict()
    assert row == {
        "id": "c1",
        "model": "m",
        "created": 1,
        "choice_count": 2,
        "text": "Hello",
        "finish_reasons": ["tool_calls", "length"],
        "tool_calls": [
            {"choice": 0, "id": "a", "type": "function", "name": "f", "arguments": '{"x":1}'},
            {"choice": 0, "id": "b", "type": "custom", "name": "g", "arguments": "free"},
        ],
        "reasoning": "hm",
        "refusal": "no",
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "cached_tokens": 4,
        "reasoning_tokens": 3,
        "prompt_audio_tokens": 1,
        "completion_audio_tokens": 2,
        "complete": True,
        "error": None,
        "error_message": None,
        "repairs": [],
    }


@pytest.mark.parametrize(
    ("delta", "said"),
    [
        ({"reasoning_content": "a"}, "a"),
        ({"reasoning": "a", "reasoning_content": ""}, "a"),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]},
                    {"type": "text", "text": "b"},
                ]
            },
            "a",
        ),
        ({"content": [{"type": "thinking", "thinking": "a"}, "b", {"type": "thinking", "thinking": 5}]}, "a"),
        ({"content": "a"}, None),
    ],
)
def test_reasoning_wherever_servers_put_it(delta: Any, said: str | None) -> None:
    assert row_of(sse(chunk(delta, finish="stop")))["reasoning"] == said


@pytest.mark.parametrize(
    ("usage", "cached", "reasoning"),
    [
        ({"cached_tokens": 3, "reasoning_tokens": 4}, 3, 4),
        ({"cached_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}, 5, None),
        ({"cached_tokens": "many", "reasoning_tokens": {"a": 1}}, None, None),
    ],
)
def test_counters_that_stand_beside_the_totals(usage: Any, cached: int | None, reasoning: int | None) -> None:
    row = row_of(sse(chunk({}, finish="stop", usage={"prompt_tokens": 9, **usage})))
    assert (row["cached_tokens"], row["reasoning_tokens"]) == (cached, reasoning)


def test_text_of_the_legacy_api_and_calls_without_a_kind() -> None:
    legacy = {"id": "x", "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]}
    assert row_of(sse(legacy))["text"] == "Hi"
    calls = row_of(sse(chunk({"tool_calls": [{"index": 0, "id": "a"}]}, finish="stop")))["tool_calls"]
    assert calls == [{"choice": 0, "id": "a", "type": "function", "name": None, "arguments": None}]


def test_repairs_and_usage_modes() -> None:
    chunks = [chunk({}, index=None, usage={"prompt_tokens": 2}), chunk({}, finish="stop", usage={"prompt_tokens": 3})]
    row = row_of(sse(*chunks))
    assert row["repairs"] == [{"kind": "choice_index_missing", "count": 1}]
    assert row["prompt_tokens"] == 3
    assert row_of(sse(*chunks), usage="sum")["prompt_tokens"] == 5
    assert row_of(sse(*chunks), strict=True)["error"] == "DecodeError"


@pytest.mark.parametrize(
    ("body", "options", "error", "text"),
    [
        (CUT, {}, "IncompleteStreamError", "Hel"),
        (CUT + b'data: {"error":{"message":"overloaded","code":529}}\n\n', {}, "ProviderError", "Hel"),
        (CUT + b"data: {nonsense}\n\n", {}, "DecodeError", "Hel"),
        (CUT + sse(chunk({}, index=1)), {"limits": Limits(choices=1)}, "LimitError", "Hel"),
        (b"<html>502</html>", {}, "DecodeError", None),
        (b"", {}, "IncompleteStreamError", None),
        (None, {}, "IncompleteStreamError", None),
    ],
)
def test_a_broken_recording_is_a_row(body: Any, options: Any, error: str, text: str | None) -> None:
    table = pa.table({"body": pa.array([HELLO if not options else None, body, None], pa.binary())})
    rows = aggregate(table, **options).to_pylist()
    assert (rows[1]["complete"], rows[1]["error"], rows[1]["text"]) == (False, error, text)
    assert rows[1]["error_message"]
    assert (rows[1]["response"] is None) == (rows[1]["choice_count"] is None) == (text is None)
    if not options:
        assert rows[0]["complete"]


@pytest.mark.parametrize(
    ("payload", "column", "value"),
    [
        (b'{"created":100000000000000000000,"choices":[]}', "created", None),
        (b'{"created":-9223372036854775808,"choices":[]}', "created", -(2**63)),
        (b'{"created":1.75,"choices":[]}', "created", 1),
        (b'{"choices":[],"usage":{"prompt_tokens":9223372036854775808}}', "prompt_tokens", None),
        (b'{"choices":[],"usage":{"prompt_tokens":1.5e300}}', "prompt_tokens", None),
        (b'{"choices":[],"usage":{"cached_tokens":9223372036854775808}}', "cached_tokens", None),
        (b'{"error":"half \\ud83d of it"}', "error_message", "the server reported an error: half \\ud83d of it"),
        (b'{"id":"\\ud83d","choices":[]}', "id", "\ufffd"),
    ],
)
def test_what_no_column_can_hold(payload: bytes, column: str, value: Any) -> None:
    table = pa.table({"body": [HELLO, b"data: " + payload + b"\n\ndata: [DONE]\n\n", HELLO, None]})
    rows = aggregate(table).to_pylist()
    assert rows[1][column] == value
    assert [rows[0], rows[2]] == [row_of(HELLO)] * 2
    assert rows[3]["id"] is None


def test_a_call_of_the_last_choice_that_can_be() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    row = row_of(sse(chunk({"tool_calls": [call]}, index=2**60)))
    assert [(call["choice"], call["id"]) for call in row["tool_calls"]] == [(2**60, "a")]


@given(st.lists(st.binary(max_size=60) | ANYTHING.map(lambda chunks: sse(*chunks)), max_size=4))
def test_any_bytes_are_rows(bodies: list[bytes]) -> None:
    rows = aggregate(pa.table({"body": pa.array(bodies, pa.binary())})).to_pylist()
    assert list(map(outcome_of, rows)) == [named(outcome([body])) for body in bodies]


@given(st.lists(CHUNKS, max_size=3), st.booleans())
def test_lists_of_chunks(streams: list[list[Any]], done: bool) -> None:
    ends = ["[DONE]"] * done
    payloads = [[json.dumps(one).encode() for one in chunks] + [end.encode() for end in ends] for chunks in streams]
    rows = aggregate(pa.table({"body": pa.array(payloads, pa.list_(pa.binary()))})).to_pylist()
    wanted = [outcome(list(chunks), add=bool(chunks) and chunks[0][:1] == b"{") for chunks in payloads]
    assert list(map(outcome_of, rows)) == list(map(named, wanted))


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.string(), pa.large_string(), pa.string_view()),
        *(pa.dictionary(pa.int32(), kind) for kind in (pa.binary(), pa.large_string())),
    ],
    ids=str,
)
def test_every_kind_of_column(kind: Any) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    bodies = [HELLO, None, CUT, HELLO, b""]
    if "string" in str(plain):
        bodies = [body if body is None else body.decode() for body in bodies]
    array = pa.array(bodies, plain)
    array = array.dictionary_encode() if plain is not kind else array
    assert array.type == kind
    for sliced in (array, array.slice(2), array.slice(1, 2)):  # whose buffers begin elsewhere
        rows = aggregate(pa.table({"body": sliced})).to_pylist()
        assert rows == [row_of(body) for body in sliced.to_pylist()]


def test_a_null_in_a_dictionary() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array([HELLO, None]))
    assert [row["complete"] for row in aggregate(pa.table({"body": array})).to_pylist()] == [True, False, False]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.binary()), pa.large_list(pa.string()), pa.list_(pa.binary_view())], ids=str
)
def test_every_kind_of_list(kind: Any) -> None:
    payloads = [json.dumps(chunk({"content": "a"})).encode(), None, b"", json.dumps(chunk({}, finish="stop")).encode()]
    slices = [HELLO[:30], HELLO[30:31], None, HELLO[31:]]
    lists = [payloads, slices, [], None, [None], [b" " + payloads[0], b"[DONE]", b"ignored"]]
    if "string" in str(kind):
        lists = [items and [item if item is None else item.decode() for item in items] for items in lists]
    rows = aggregate(pa.table({"body": pa.array(lists, kind)})).to_pylist()
    assert [row["text"] for row in rows] == ["a", "Hello é", None, None, None, "a"]
    assert [row["complete"] for row in rows] == [True, True, False, False, False, True]


def test_a_batch_without_a_single_recording() -> None:
    for nothing in (pa.nulls(2), pa.array([[], None], pa.list_(pa.null()))):
        assert [row["error"] for row in aggregate(pa.table({"body": nothing})).to_pylist()] == [
            "IncompleteStreamError"
        ] * 2


def test_bytes_that_are_no_utf8_in_a_column_of_strings() -> None:
    """Arrow does not check what a column of strings is made of."""
    body = HELLO.replace(b"Hel", b"H\xff")
    strings = pa.array([body]).view(pa.string())
    assert aggregate(pa.table({"body": strings})).to_pylist() == [row_of(body)]
    assert row_of(body)["text"] == "H\ufffdlo é"


def test_other_columns_are_carried_along() -> None:
    table = pa.table({"user": ["a", "b"], "said": pa.array([HELLO, CUT]), "tags": [[1], None]})
    result = aggregate(table, "said")
    assert result.schema == pa.schema([("user", pa.string()), ("tags", pa.list_(pa.int64())), *SCHEMA])
    assert result.select(["user", "tags"]) == table.select(["user", "tags"])
    assert result["text"].to_pylist() == ["Hello é", "Hel"]


def test_the_column_itself_may_have_the_name_of_a_result() -> None:
    assert aggregate(pa.table({"response": [HELLO]}), "response").schema == SCHEMA


@pytest.mark.parametrize(
    ("columns", "options", "error", "words"),
    [
        ({"said": [b""]}, {}, KeyError, "body"),
        ({"body": [1]}, {}, TypeError, "column 'body' holds int64: expected binary or strings, or lists of these"),
        ({"body": [[1]]}, {}, TypeError, "holds list"),
        ({"body": [b""], "id": [1], "model": ["m"]}, {}, ValueError, "rename or leave out 'id', 'model'"),
        ({"body": pa.array([], pa.binary())}, {"usage": "most"}, ValueError, "usage must be"),
    ],
)
def test_what_cannot_be_read(columns: Any, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        aggregate(pa.table(columns), **options)


def test_the_same_kind_comes_back() -> None:
    batch = pa.record_batch({"n": [1, 2], "body": [HELLO, CUT]})
    assert isinstance(aggregate(batch), pa.RecordBatch)
    table = aggregate(pa.table(batch))
    assert isinstance(table, pa.Table)
    assert table == pa.Table.from_batches([aggregate(batch)])
    reader = aggregate(pa.RecordBatchReader.from_batches(batch.schema, [batch]))
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.schema == table.schema
    assert reader.read_all() == table


def test_nothing_in_nothing_out() -> None:
    batch = pa.record_batch({"n": pa.array([], pa.int8()), "body": pa.array([], pa.string())})
    schema = pa.schema([("n", pa.int8()), *SCHEMA])
    assert aggregate(batch).schema == aggregate(batch.schema.empty_table()).schema == schema
    assert aggregate(pa.RecordBatchReader.from_batches(batch.schema, [])).read_all() == schema.empty_table()


def test_a_large_table_comes_in_batches() -> None:
    table = pa.table({"n": range(10_000), "body": pa.array([CUT, HELLO] * 5000)})
    result = aggregate(table)
    assert result["n"].to_pylist() == list(range(10_000))
    assert result["complete"].to_pylist() == [False, True] * 5000
    assert result["n"].num_chunks > 1


def test_a_reader_is_read_as_its_result_is() -> None:
    read = 0

    def batches() -> Iterator[Any]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield pa.record_batch({"body": [HELLO]})

    reader = aggregate(pa.RecordBatchReader.from_batches(pa.schema([("body", pa.binary())]), batches()))
    assert read == 0
    for number, batch in enumerate(reader, 1):
        assert (read, batch.num_rows) == (number, 1)
    assert number == 10


@pytest.mark.full
def test_memory_stays_that_of_a_batch() -> None:
    """Of what Arrow holds, and of what Python does, by their own counts: sixty batches need no more than a few."""
    batch = pa.record_batch({"body": [HELLO, CUT, HELLO * 100] * 30})
    arrow, python = [], []
    tracemalloc.start()
    for made in aggregate(pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(60)))):
        arrow.append(pa.total_allocated_bytes())
        python.append(tracemalloc.get_traced_memory()[0])
        del made
    tracemalloc.stop()
    assert max(arrow[5:]) <= max(arrow[:5])
    assert max(python[5:]) <= max(python[:5]) + batch.nbytes


@shared.needs_shared
def test_every_recording_of_a_real_server() -> None:
    names = [row["name"] for row in shared.MANIFEST]
    bodies = [shared.body(name) for name in names]
    for row, body in zip(aggregate(pa.table({"name": names, "body": bodies})).to_pylist(), bodies, strict=True):
        assert outcome_of(row) == named(outcome([body]))
        assert strip_nulls(json.loads(row["response"])) == shared.expected(row["name"])
        try:
            response = accumulate_sync(body)
        except StreamAggError as error:
            assert error.partial is not None
            response = error.partial
        assert (row["text"] or "") == response.text or response.choices[0].text
        usage = response.usage
        assert (row["prompt_tokens"], row["completion_tokens"]) == (
            (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        )


def test_without_pyarrow_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pyarrow'] = None; import streamagg.arrow"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ImportError: streamagg.arrow needs pyarrow: pip install 'streamagg[arrow]'" in done.stderr


def test_a_string_that_no_column_can_hold() -> None:
    """Half a surrogate pair, which responses have none of: a batch does not stop all the same."""
    assert _array(["a", "\ud800", None], pa.large_string()).to_pylist() == ["a", "?", None]
