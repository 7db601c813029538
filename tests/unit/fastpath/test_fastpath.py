"""The fast path: with it and without, every stream comes to the same, however hostile its bytes."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from streamagg import (
    Accumulator,
    ChatCompletionChunk,
    LimitError,
    Limits,
    StreamAggError,
)
from streamagg._accumulator import pipeline
from streamagg._fastpath import fastpath
from streamagg._fastpath.fastpath import FastPath
from tests.support import shared
from tests.support.helpers import chunk, cut, merged, outcome, slicings, so_far, sse, strip_nulls
from tests.support.templates import make_early

COUNT = 60
WORDS = ["a", " b", "é😀", '"q"', "\\", "\n", "", "data: x\n\n", "\u2028", "null", "}", "\x7f"]


def with_logprobs(item: Any, n: int) -> Any:
    word = item["choices"][0]["delta"]["content"]
    entry = {"token": word, "logprob": -n / 8, "bytes": list(word.encode())}
    entries = [{**entry, "top_logprobs": [entry, {"token": "x", "logprob": -9.5, "bytes": None}]}]
    item["choices"][0]["logprobs"] = {"content": entries, "refusal": None}
    return item


def chunks_of(variant: str) -> list[Any]:
    """A stream of one of the shapes that the fast path takes."""
    words = [WORDS[n % len(WORDS)] + str(n) for n in range(COUNT)]
    dice = random.Random(1)
    match variant:
        case "content" | "reasoning" | "reasoning_content" | "refusal":
            return [chunk({variant: word}) for word in words]
        case "role on every chunk":
            return [chunk({"role": "assistant", "content": word}) for word in words]
        case "reasoning then content":
            return [chunk({"reasoning_content": w, "content": ""}) for w in words] + [
                chunk({"content": w}) for w in words
            ]
        case "arguments":
            begin = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
            return [
                chunk({"tool_calls": [begin]}),
                *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": word}}]}) for word in words),
            ]
        case "obfuscation":
            return [chunk({"content": word}, obfuscation="x" * dice.randint(0, 9)) for word in words]
        case "obfuscation first":
            return [{"obfuscation": "y" * dice.randint(0, 9), **chunk({"content": word})} for word in words]
        case "p":
            return [chunk({"content": word}, p="abcdefghij"[: dice.randint(1, 9)]) for word in words]
        case "signatures":
            return [chunk({"content": word}, signature=f"s{n}", response_hash=f"h{n}") for n, word in enumerate(words)]
        case "running usage":
            return [
                chunk({"content": word}, usage={"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n})
                for n, word in enumerate(words)
            ]
        case "usage with details":
            return [
                chunk(
                    {"content": w},
                    usage={"prompt_tokens": 9, "completion_tokens": n, "prompt_tokens_details": {"cached_tokens": n}},
                )
                for n, w in enumerate(words)
            ]
        case "logprobs":
            return [with_logprobs(chunk({"content": word}), n) for n, word in enumerate(words)]
        case "choices with logprobs":
            return [with_logprobs(chunk({"content": word}, index=n % 3), n) for n, word in enumerate(words)]
        case "choices with arguments":
            begin = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
            return [chunk({"tool_calls": [begin]}, index=n) for n in range(2)] + [
                chunk({"tool_calls": [{"index": 0, "function": {"arguments": word}}]}, index=n % 2)
                for n, word in enumerate(words)
            ]
        case "choices in turn":
            return [chunk({"content": word}, index=n % 4) for n, word in enumerate(words)]
        case "choices at random":
            return [chunk({"content": word}, index=dice.randint(0, 3)) for word in words]
        case "a vendor's numbers":
            return [
                chunk({"content": w}, step_ms=n / 8, last=n % 2 == 0, node=f"n{n}", fixed=[1])
                for n, w in enumerate(words)
            ]
        case "a vendor's constant":
            return [chunk({"content": word}, vendor={"region": "eu", "n": [1]}) for word in words]
    raise AssertionError(variant)


VARIANTS = [
    "content", "reasoning", "reasoning_content", "refusal", "role on every chunk", "reasoning then content", "arguments", "obfuscation",
    "obfuscation first", "p", "signatures", "running usage", "usage with details", "choices in turn", "choices at random", "choices with logprobs", "choices with arguments", "logprobs", "a vendor's constant", "a vendor's numbers",
]  # fmt: skip
UNTAKEN = ("logprobs", "choices with logprobs")
"""The general path is quick enough for these: the fast path may leave them."""


def push(slices: list[bytes], *, fast: bool, hand_out: bool = False, **options: Any) -> tuple[tuple[Any, ...], int]:
    """The outcome of a stream in every respect, and the number of events that the fast path took."""
    made: list[FastPath] = []

    class Noted(FastPath):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "FAST_PATH", Noted if fast else None)
        make_early(patch)
        accumulator = Accumulator(**options)
        chunks: list[ChatCompletionChunk] = []
        if hand_out:
            accumulator.deliver = chunks.append
        problem: StreamAggError | None = None
        try:
            for piece in slices:
                accumulator.feed(piece)
            response: Any = accumulator.finish()
        except StreamAggError as error:
            problem, response = error, error.partial
    told = (type(problem), str(problem)) if problem else None
    plain = strip_nulls(response.to_dict()) if response is not None else None
    state = (accumulator.complete, accumulator.events, dict(accumulator.repairs), accumulator.view.size)
    return (plain, told, *state, chunks), sum(each.taken for each in made)


def by_event(body: bytes) -> list[bytes]:
    """A slice for each event and each comment."""
    *whole, rest = body.split(b"\n\n")
    return [*(part + b"\n\n" for part in whole), rest]


def agree(body: bytes, **options: Any) -> int:
    """Assert that the fast path changes nothing, in many slicings. Returns the most events that it took."""
    wanted, _ = push([body], fast=False, **options)
    handed_out, _ = push([body], fast=False, hand_out=True, **options)
    most = 0
    for slices in (by_event(body), *slicings(body)):
        got, taken = push(slices, fast=True, **options)
        assert got == wanted
        assert push(slices, fast=True, hand_out=True, **options)[0] == handed_out
        most = max(most, taken)
    return most


@pytest.mark.sampled(3)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("frame", ["lf", "crlf", "no space", "comments"])
def test_takes_nearly_every_event_and_changes_none(variant: str, frame: str) -> None:
    body = sse(*chunks_of(variant), chunk(finish="stop"))
    if frame == "crlf":
        body = body.replace(b"\n", b"\r\n")
    elif frame == "no space":
        body = body.replace(b"data: {", b"data:{")
    elif frame == "comments":
        body = body.replace(b"data: {", b": keep-alive\n\n: keep-alive\n\ndata: {")
    assert agree(body) > 0.6 * COUNT or variant in UNTAKEN


@pytest.mark.parametrize("variant", VARIANTS)
def test_compact_and_spaced_json(variant: str) -> None:
    for options in ({"separators": (",", ":"), "ensure_ascii": False}, {"separators": (" , ", " : ")}):
        events = [json.dumps(item, **options) for item in chunks_of(variant)]  # type: ignore[arg-type]
        assert agree(sse(*events)) > 0.6 * COUNT or variant in UNTAKEN


@pytest.mark.sampled(10)
@shared.needs_shared
@pytest.mark.parametrize("row", shared.MANIFEST, ids=shared.ids(shared.MANIFEST))
def test_recordings(row: dict[str, Any]) -> None:
    body = shared.body(row["name"])
    wanted, _ = push([body], fast=False)
    for slices in (
        [body],
        [body[place : place + 1400] for place in range(0, len(body), 1400)],
        cut(body, random.Random(3)),
    ):
        assert push(slices, fast=True)[0] == wanted


LINE = b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'

HOSTILE: dict[str, list[bytes]] = {
    "a quote": [b'a"b'],
    "a quote at the start": [b'"a'],
    "a quote at the end": [b'a"'],
    "a backslash at the end": [b"a\\"],
    "two backslashes at the end": [b"a\\\\"],
    "an escaped quote at the end": [b'a\\"'],
    "a half escape": [b"\\u12"],
    "a bad escape": [b"\\x41"],
    "a control character": [b"a\x01b"],
    "a tab": [b"a\tb"],
    "NUL": [b"a\x00"],
    "bad UTF-8": [b"a\xffb"],
    "a character cut in two": [b"a\xe2\x82"],
    "a lone surrogate": [b"\\ud83d"],
    "surrogates that meet": [b"\\ud83d", b"\\ude00"],
    "another string": [b'a","b'],
    "another key": [b'a","role":"tool'],
    "the same key again": [b'a","content":"b'],
    "an end and another choice": [b'a"},"finish_reason":"stop"},{"index":1,"delta":{"content":"b'],
    "an end of all and more": [b'a"},"finish_reason":null}]} {"x":"'],
    "separators that would mend each other": [b"a\\", b',"b'],
    "the tail itself": [b'a"},"finish_reason":null}]}'],
    "an event inside": [b'a"},"finish_reason":null}]}\n\n' + LINE % b"b"],
    "a finish inside": [b'a"},"finish_reason":"stop"}],"x":[{"y":{"z":"'],
    "an error": [b'a"},"finish_reason":null}],"error":{"message":"boom'],
    "nothing": [b""],
    "much": [b"x" * 70_000],
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("strict", [False, True])
def test_near_misses(case: str, strict: bool) -> None:
    """What almost fits is the general path's affair: same response, same error, same event number."""
    lines = [LINE % text for text in (b"one", b"two", b"three", *HOSTILE[case], b"four", b"five")]
    agree(b"".join(line + b"\n\n" for line in lines) + b"data: [DONE]\n\n", strict=strict)


@pytest.mark.parametrize(
    "between",
    [b"data: more\n", b"event: error\n", b"event: x\n", b"id: 5\n", b"retry: 5\n", b": comment\n", b"noise\n", b"\n", b"\r", b"\xef\xbb\xbf"],
)  # fmt: skip
def test_what_stands_around_an_event(between: bytes) -> None:
    for before, after in ((between, b""), (b"", between)):
        events = [LINE % text + b"\n\n" for text in (b"one", b"two", b"three")]
        odd = before + LINE % b"odd" + b"\n" + after + b"\n"
        agree(b"".join([*events, odd, *events]) + b"data: [DONE]\n\n")
        agree(b"".join([*events, odd, *events]))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "item",
    [
        chunk({"content": "x"}, finish="stop"),
        chunk({"content": [{"type": "text", "text": "x"}]}),
        chunk({"content": "x"}, id="other"),
        chunk({"content": "x"}, system_fingerprint="fp"),
        chunk({"content": "x", "role": "tool"}),
        chunk({"content": "x"}, provider="other"),
        chunk({"content": "x"}, vendor={"k": 1}),
        chunk({"content": "x"}, signature={"k": 1}),
        chunk({"content": "x"}, signature=None),
        chunk({"content": "x"}, index=1),
        chunk({"content": None}),
        chunk({"content": ""}),
        chunk({"content": 5}),
        chunk({"content": "x"}, x_groq={"usage": {"prompt_tokens": 1}}),
        chunk({"tool_calls": [{"index": 0, "id": "new", "function": {"name": "g", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "more"}}]}),
        {"type": "ping"},
        {"id": "c1", "choices": None},
        {"id": "c1", "choices": [], "usage": {"prompt_tokens": 1}},
        "",
        "{",
    ],
    ids=str,
)
@pytest.mark.parametrize("variant", ["content", "arguments", "signatures", "choices in turn", "obfuscation"])
def test_something_else_between(variant: str, item: Any) -> None:
    """The constants of a template are merged again after an event that changed them."""
    stream = chunks_of(variant)
    agree(sse(*stream[:20], item, *stream[20:], item, item, *stream[:20]))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("variant", VARIANTS)
def test_size_is_counted(variant: str) -> None:
    """Fast or not, the response is refused at the same event."""
    body = sse(*chunks_of(variant) * 5)
    for size in (1000, 2000, 15_000):
        agree(body, limits=Limits(response_size=size))
        agree(body, limits=Limits(event_bytes=400, response_size=size))


def test_size_is_counted_over_many_slices() -> None:
    accumulator = Accumulator(limits=Limits(response_size=200_000))
    with pytest.raises(LimitError):
        for _ in range(400):
            accumulator.feed(sse(chunk({"content": "x" * 1000}), done=False))
    assert 198_000 < len(so_far(accumulator)) <= 200_000


def test_memory_of_small_fragments_is_folded() -> None:
    accumulator, event = Accumulator(), sse(chunk({"content": "xyzxyz"}), done=False)
    tracemalloc.start()
    try:
        for _ in range(40_000):
            accumulator.feed(event)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_500_000  # a list of the fragments alone takes more than 2 MB
    assert so_far(accumulator) == "xyzxyz" * 40_000


@pytest.mark.parametrize(
    "inside",
    [b'a","role":"tool', b"\xff", b"\\ud83d", b'x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', b"\x01", b'"'],
)
def test_an_event_that_is_another_after_all(inside: bytes) -> None:
    """It is read as itself, in its place, though those around it were taken together."""
    texts = [*[b"a"] * 20, inside, *[b"b"] * 30]
    agree(b"".join(LINE % text + b"\n\n" for text in texts) + b"data: [DONE]\n\n")


@pytest.mark.parametrize("inside", [b"\r5", b"\n5", b" 5", b"5\r", b"5,\n\ndata: {}"])
@pytest.mark.parametrize("hand_out", [False, True])
def test_a_line_ends_inside_a_number(inside: bytes, hand_out: bool) -> None:
    """Which is white space to JSON, but not to server-sent events."""
    line = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":%b,"total_tokens":9}}\n\n'
    slices = [line % number for number in [b"5"] * 9 + [inside] + [b"5"] * 9]
    wanted, _ = push(slices, fast=False, hand_out=hand_out)
    assert push(slices, fast=True, hand_out=hand_out)[0] == wanted


@pytest.mark.parametrize("hand_out", [False, True])
def test_near_the_largest_response_the_fast_path_ends(hand_out: bool) -> None:
    """The same event is refused, whichever path reads it."""
    limits = Limits(response_size=5 * 65536 + 3000)
    body = sse(*(chunk({"content": f"{n} " + "x" * 50}) for n in range(7000)))
    wanted, _ = push([body], fast=False, hand_out=hand_out, limits=limits)
    assert wanted[1] is not None
    for slices in (by_event(body), [body[place : place + 1400] for place in range(0, len(body), 1400)]):
        got, taken = push(slices, fast=True, hand_out=hand_out, limits=limits)
        assert got == wanted
        assert taken > 30


def test_servers_that_never_repeat_are_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each event has another head, templates are made ever more rarely."""
    made = 0

    def counting(*args: Any, **more: Any) -> Any:
        nonlocal made
        made += 1
        return make(*args, **more)

    make = fastpath.template_of
    monkeypatch.setattr(fastpath, "template_of", counting)
    accumulator = Accumulator()
    for n in range(5000):
        accumulator.feed(sse(chunk({"content": "x"}, system_fingerprint=f"fp{n}"), done=False))
    assert made < 60


MIDDLES = st.lists(
    st.sampled_from([b"a", b'"', b"\\", b'\\"', b"\\u0041", b"\\ud83d", b"\\ude00", b",", b'","', b"}", b"{", b"\x01", b"\xff", b"\xc3\xa9", b"\n", b"\r", b"\n\n", b"null",
                     b'"},"finish_reason":null}]}', b'"content":"', b'","signature":"', b'"},"finish_reason":"stop"}]}']),
    max_size=4,
).map(b"".join)  # fmt: skip
HEADS = [
    LINE,
    LINE[:-1] + b',"signature":"%s"}',
    LINE.replace(b'"index":0', b'"index":1'),
    b'data:{"choices":[{"index":0,"delta":{"reasoning":"%s"}}],"obfuscation":"%s"}',
    b'data: {"obfuscation":"%s","id":"c1","choices":[{"delta":{"content":"%s"},"index":0}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}}],"p":"ab"}',
]


@st.composite
def lines_that_nearly_fit(draw: st.DrawFn) -> bytes:
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        head = draw(st.sampled_from(HEADS))
        for _ in range(draw(st.integers(1, 5))):
            middles = tuple(draw(MIDDLES | st.just(b"x")) for _ in range(head.count(b"%s")))
            parts.append(
                head % middles + draw(st.sampled_from([b"\n\n", b"\n\n", b"\n\n", b"\n\n: c\n\n", b"\r\n\r\n", b"\n"]))
            )
    return b"".join(parts) + draw(st.sampled_from([b"", b"data: [DONE]\n\n"]))


@given(lines_that_nearly_fit(), st.booleans(), st.integers(0, 2**32))
def test_any_lines_that_nearly_fit(body: bytes, strict: bool, seed: int) -> None:
    wanted, _ = push([body], fast=False, strict=strict)
    for slices in ([body], by_event(body), cut(body, random.Random(seed))):
        got, taken = push(slices, fast=True, strict=strict)
        event(f"taken: {bool(taken)}")
        assert got == wanted


def test_padding_that_says_something_is_kept() -> None:
    items = [chunk({"content": "a"}, p=p) for p in ("a", "ab", "abc", "said", "ab")]
    assert outcome([sse(*items)])[0] == merged(*items)
    assert merged(*items)["p"] == "said"


def test_events_not_worth_a_template() -> None:
    many = [chunk({"content": str(n)}, **{f"k{m}": n for m in range(12)}) for n in range(40)]
    long = [chunk({"content": str(n) * 3000}) for n in range(40)]
    escaped = [json.dumps(chunk({"content": "a"})).replace('"content"', '"c\\u006fntent"')] * 40
    for items in (many, long, escaped):
        assert outcome([sse(*items)])[0] == merged(*items)


def test_chunks_that_are_wanted_only_later() -> None:
    events = [sse(chunk({"content": f"w{n}"}), done=False) for n in range(9)]
    accumulator = Accumulator()
    for each in events[:4]:
        accumulator.feed(each)
    given: list[ChatCompletionChunk] = []
    accumulator.deliver = given.append
    accumulator.feed(events[4])
    accumulator.feed(events[5] + events[6])
    accumulator.feed(events[7])
    assert [each.text for each in given] == ["w4", "w5", "w6", "w7"]
    accumulator = Accumulator()
    for each in events[:4]:
        accumulator.feed(each)
    given = []
    accumulator.deliver = given.append
    accumulator.feed(events[4] + events[5])
    assert [each.text for each in given] == ["w4", "w5"]


def test_half_a_surrogate_pair_beside_the_text() -> None:
    chunks = [chunk({"content": f"w{n}"}, zz={"a": "\ud800"}) for n in range(5)]
    accumulator = Accumulator()
    for each in chunks:
        accumulator.feed(f"data: {json.dumps(each)}\n\n".encode())
    assert accumulator.snapshot().to_dict() == merged(*chunks)  # type: ignore[union-attr]


def test_a_comment_between_events_and_inside_one() -> None:
    events = [sse(chunk({"content": f"w{n}"}), done=False) for n in range(12)]
    noise = b": keep-alive\n\n"
    inside = events[8][:-1] + noise + events[9]
    for slices in (
        [*events[:4], noise, *events[4:6], noise + events[6] + noise + events[7], inside, events[10] + noise + events[11]],
        [b"".join([*events[:4], noise, *events[4:6], noise, *events[6:8], noise, inside, *events[10:]])],
    ):  # fmt: skip
        accumulator = Accumulator()
        for each in slices:
            accumulator.feed(each)
        assert so_far(accumulator) == "".join(f"w{n}" for n in range(12))
