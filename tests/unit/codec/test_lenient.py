"""Payloads that no honest server sends, read in every way: the same answer, or the same error, in all of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import (
    Accumulator,
    ChatCompletionResponse,
    DecodeError,
    LimitError,
    ProviderError,
    StreamAggError,
)
from tests.support.helpers import chunk, merged, slicings, so_far, sse

HEAD = chunk({"content": "a"})
EVENT = '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]%s}'


def pushed(items: list[Any], *, add: bool) -> Any:
    """What a stream came to: the response, the error, and the repairs."""
    accumulator = Accumulator()
    try:
        for item in items:
            (accumulator.add if add else accumulator.feed)(item)
    except StreamAggError as error:
        assert error.partial == accumulator.snapshot()
        return error.partial, type(error), str(error).partition(" cannot be read")[2], {}
    return accumulator.snapshot(), None, "", dict(accumulator.repairs)


def in_every_way(payload: str) -> tuple[ChatCompletionResponse | None, type | None, dict[str, int]]:
    """What a payload after four plain chunks comes to, whichever way it is read."""
    head = [sse(HEAD, done=False)] * 4
    event = b"data: " + payload.encode("utf-8", "surrogatepass") + b"\n\n"
    wanted = pushed([*head, event], add=False)  # after a template was made
    assert pushed([b"".join([*head, event])], add=False) == wanted
    assert (
        pushed([*(sse(chunk({"content": "a"}, vendor=n), done=False) for n in ("v",) * 4), event], add=False)[1:]
        == wanted[1:]
    )
    assert pushed([*[HEAD] * 4, payload], add=True) == wanted
    assert pushed([*[HEAD] * 4, payload.encode("utf-8", "surrogatepass")], add=True) == wanted
    try:
        plain = json.loads(payload, strict=False)
    except (ValueError, RecursionError):  # as Python's own parser refuses such a number, nobody has it as a dict
        assert wanted[1] is not None
    else:
        as_dict = pushed([*[HEAD] * 4, plain], add=True)
        assert as_dict[1] == wanted[1]
        assert repr(as_dict[0]) == repr(wanted[0])  # NaN is not equal to itself
    return wanted[0], wanted[1], wanted[3]


def indexed(index: str) -> str:
    return '{"id":"c1","choices":[{"index":%s,"delta":{"content":"x"}}]}' % index


@pytest.mark.parametrize(
    ("index", "places"),
    [
        (str(10**18), [0, 10**18]),
        ("-1", [-1, 0]),
        ("2.5", [0, 2.5]),
        ("1e3", [0, 1000]),
        ('"7"', [0, 7]),
        ("null", [0]),
    ],
)
def test_absurd_indices_are_keys(index: str, places: list[Any]) -> None:
    response, error, _ = in_every_way(indexed(index))
    assert error is None
    assert response is not None
    assert [choice.index for choice in response.choices] == places
    call = json.dumps({"id": "c1", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": "?", "id": "t"}]}}]})
    response, error, _ = in_every_way(call.replace('"?"', index))
    assert error is None
    assert response is not None
    assert [call.id for call in response.choices[0].message.tool_calls or ()] == ["t"]


@pytest.mark.parametrize(
    "index", ["true", "[]", '"x"', "1e400", "NaN", "-Infinity", str(2**61 - 1), "9" * 4000, "9" * 100_000]
)
def test_what_is_no_index_is_refused(index: str) -> None:
    assert in_every_way(indexed(index))[1] is DecodeError
    assert in_every_way('{"choices":[{"index":0,"delta":{"tool_calls":[{"index":%s}]}}]}' % index)[1] is DecodeError


@pytest.mark.parametrize("field", ["created", "usage", "content", "zz"])
def test_numbers_of_100_000_digits(field: str) -> None:
    """Python refuses them as text, so there is no way to hand them on; up to 4,300 digits they are numbers."""
    for digits, error in ((4000, None), (100_000, DecodeError)):
        number = "9" * digits
        payload = {
            "created": EVENT % ("x", "") + "",
            "usage": EVENT % ("x", ',"usage":{"prompt_tokens":%s}' % number),
            "content": (EVENT % ("x", "")).replace('"x"', number),
            "zz": EVENT % ("x", f',"zz":{number}'),
        }[field].replace('"created":1', f'"created":{number}' if field == "created" else '"created":1')
        response, raised, _ = in_every_way(payload)
        assert raised is error
        if raised is None:
            assert response is not None
            assert number in response.to_json() or field == "created"  # the first one's stays


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none(number: str) -> None:
    response, error, repairs = in_every_way(EVENT % ("x", f',"zz":{number}'))
    assert (error, repairs) == (None, {"nonstandard_json": 1})
    assert response is not None
    assert '"zz":null' in response.to_json()
    for place in ('"created":%s', '"usage":{"prompt_tokens":%s}', '"choices":[{"index":%s}]'):
        assert in_every_way('{"id":"c1",%s}' % place % number)[1] is DecodeError


def test_of_duplicate_keys_the_last_counts() -> None:
    response, error, repairs = in_every_way(
        '{"id":"c1","model":"n","choices":[],"choices":[{"index":0,"delta":{"content":"x","content":"y"}}]}'
    )
    assert (response.text if response else None, error, repairs) == ("aaaay", None, {})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"\ud83d", "�"), (r"\ude00", "�"), (r"\ud83d\ude00", "😀"), (r"\ude00\ud83d", "��"),
        ("[DONE]", "[DONE]"), (r"data: [DONE]\n\n", "data: [DONE]\n\n"), (r"\n\ndata: {\"id\":\"x\"}\n\n", '\n\ndata: {"id":"x"}\n\n'),
        ("\u2028\u2029\x85", "\u2028\u2029\x85"), (r"\u0000", "\0"), ("\x00", "\0"), ("\x7f\x1b", "\x7f\x1b"), ("\ufeff", "\ufeff"),
        (r"\n" * 50_000, "\n" * 50_000), (r"\u0041" * 50_000, "A" * 50_000), (r"\\" * 50_000, "\\" * 50_000), (r"\"" * 50_000, '"' * 50_000),
        (r"\ud83d\ude00" * 20_000, "😀" * 20_000), ("%s%(x)d{}{0}{x!r}$x", "%s%(x)d{}{0}{x!r}$x"), ("__import__('os')", "__import__('os')"),
    ],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_text_is_only_text(text: str, read: str) -> None:
    response, error, _ = in_every_way(EVENT % (text, ""))
    assert (response.text if response else None, error) == ("aaaa" + read, None)
    body = b"data: " + (EVENT % (text, "")).encode() + b"\n\n"
    if len(body) < 4000:
        for slices in slicings(b"".join([sse(HEAD, done=False)] * 3) + body):
            assert pushed(slices, add=False)[0].text == "aaa" + read


@pytest.mark.parametrize("place", ["chunk", "choice", "delta", "usage", "call"])
def test_a_megabyte_key(place: str) -> None:
    key = "k" * 2**20
    payload = {
        "chunk": EVENT % ("x", f',"{key}":1'),
        "choice": (EVENT % ("x", "")).replace('"index":0', f'"index":0,"{key}":1'),
        "delta": (EVENT % ("x", "")).replace('"content":', f'"{key}":1,"content":'),
        "usage": EVENT % ("x", ',"usage":{"%s":1}' % key),
        "call": EVENT.replace('"content":"%s"', '"tool_calls":[{"index":0,"%s":1}]') % (key, ""),
    }[place]
    response, error, _ = in_every_way(payload)
    assert error is None
    assert response is not None
    assert f'"{key}":1' in response.to_json()
    assert in_every_way(payload.replace('"index":0', '"index":true'))[1] is DecodeError


@pytest.mark.parametrize("nest", ['{"k":%s}', "[%s]"])
def test_deep_nesting(nest: str) -> None:
    for depth, error in ((90, None), (300, LimitError), (100_000, LimitError)):
        left, right = nest.split("%s")
        deep = left * depth + "1" + right * depth
        for payload in (
            EVENT % ("x", f',"zz":{deep}'),
            (EVENT % ("x", "")).replace('"x"', f"[{deep}]"),
            '{"error":{"message":%s}}' % deep,
        ):
            raised = in_every_way(payload)[1]
            assert raised is (ProviderError if payload.startswith('{"error"') and error is None else error)


def test_a_million_choices() -> None:
    payload = '{"id":"c1","choices":[%s]}' % ",".join(f'{{"index":{n}}}' for n in range(1_000_000))
    with pytest.raises(LimitError, match="choices=4096") as caught:
        Accumulator().feed(f"data: {payload}\n\n")
    assert caught.value.partial is None
    few = '{"id":"c1","choices":[%s]}' % ",".join(f'{{"index":{n}}}' for n in range(4097))
    assert in_every_way(few)[1] is LimitError
    assert in_every_way(few.replace('{"index":4096}', "null"))[1] is None


def test_data_split_over_a_million_lines() -> None:
    one = json.dumps(chunk({"content": "x"})).encode()
    accumulator = Accumulator()
    accumulator.feed(b"data: " + one[:1] + b"\n")
    accumulator.feed(b"data: \n" * 1_000_000)
    accumulator.feed(b"data:" + one[1:] + b"\n\n")
    assert so_far(accumulator) == "x"
    assert not accumulator.repairs


def test_a_choice_after_a_null_has_its_own_place() -> None:
    response, error, repairs = in_every_way(
        '{"id":"c1","choices":[null,{"delta":{"content":"x"}},null,{"index":9,"delta":{}}]}'
    )
    assert error is None
    assert response is not None
    assert [choice.index for choice in response.choices] == [0, 1, 9]
    assert repairs == {"null_item": 2, "choice_index_missing": 1}


@pytest.mark.parametrize("odd", ['"created":"bad"', '"choices":[{"index":true}]', '"usage":5', '"model":1,"choices":7'])
def test_an_error_beside_what_cannot_be_read(odd: str) -> None:
    for error in ('{"message":"boom"}', '"boom"'):
        assert in_every_way('{"error":%s,%s}' % (error, odd))[1] is ProviderError
    assert in_every_way('{"object":"error","message":"boom",%s}' % odd)[1] is ProviderError
    assert in_every_way("{%s}" % odd)[1] is DecodeError
    with pytest.raises(ProviderError, match="boom"):
        Accumulator().feed('event: error\ndata: {"error":{"message":"boom"},%s}\n\n' % odd)
    with pytest.raises(ProviderError):
        Accumulator().feed('event: error\ndata: {"choices":[{"index":true}]}\n\n')


def test_repairs_of_groqs_usage_count() -> None:
    _, error, repairs = in_every_way(EVENT % ("x", ',"x_groq":{"usage":{"prompt_tokens":"5"}}'))
    assert (error, repairs) == (None, {"number_in_string": 1})
    with pytest.raises(DecodeError, match="number_in_string"):
        Accumulator(strict=True).feed("data: " + EVENT % ("x", ',"x_groq":{"usage":{"prompt_tokens":"5"}}') + "\n\n")


def test_padding_is_dropped_at_every_level() -> None:
    pad = {"obfuscation": "zzz"}
    message = {"content": [{"type": "image", "x": {"k": 1, **pad}, **pad}], "vendor": {**pad}, **pad}
    items = [
        {"id": "c1", "choices": [{"index": 0, "message": message, **pad}], **pad},
        {"id": "c1", "choices": [], "usage": {"prompt_tokens": 1, "vendor": {"k": {"n": 1, **pad}, **pad}, **pad}},
    ]
    for usage in ("auto", "sum", "last"):
        accumulator = Accumulator(usage=usage)  # type: ignore[arg-type]
        for item in items * 2:
            accumulator.add(item)
        response = accumulator.snapshot()
        assert response is not None
        assert "obfuscation" not in response.to_json()
        assert response.choices[0].message.content == [{"type": "image", "x": {"k": 1}}]


def test_a_byte_order_mark() -> None:
    text = json.dumps({"choices": [{"message": {"content": "x"}}]})
    for data in (b"\xef\xbb\xbf" + text.encode(), "\ufeff" + text):
        assert ChatCompletionResponse.from_json(data).text == "x"
        accumulator = Accumulator()
        accumulator.feed(data)
        assert accumulator.finish().text == "x"


def test_a_logprob_out_of_range() -> None:
    item = chunk({"content": "a"})
    item["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": 10**400}]}
    with pytest.raises(DecodeError, match="out of range"):
        Accumulator().add(item)


@pytest.mark.parametrize("number", ["[" * 2000, "9" * 5000, "\ud800"])
def test_strings_where_numbers_belong(number: str) -> None:
    for item in (
        {"choices": [{"index": number}]},
        {"id": "x", "usage": {"prompt_tokens": number}},
        {"id": "x", "created": number},
    ):
        with pytest.raises(DecodeError):
            Accumulator().add(item)
        with pytest.raises(DecodeError):
            Accumulator().add(json.dumps(item))


@pytest.mark.parametrize(
    "item", [{"id": "x", "choices": [], "\ud800": 1}, {"choices": [{"index": 0, "delta": {"\ud800": "\ud800"}}]}]
)
def test_surrogates_in_dicts(item: dict[str, Any]) -> None:
    assert json.dumps(merged(item), ensure_ascii=False).encode()
    Accumulator().add(SimpleNamespace(event="\ud800", data=json.dumps(item)))
