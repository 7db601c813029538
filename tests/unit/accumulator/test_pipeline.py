"""From framing events to the merger: data that stands together, error lines, and lines that are no field."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from streamagg import (
    Accumulator,
    DecodeError,
    IncompleteStreamError,
    LimitError,
    ProviderError,
    accumulate_sync,
)
from tests.support.helpers import HELLO, chunk, fails, merged, outcome, slicings, so_far, sse, text_of


class TestFraming:
    def test_data_lines_with_single_newlines(self) -> None:
        body = sse(*HELLO).replace(b"\n\n", b"\n")
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)
            assert outcome([*slices, b"\n"]) == (merged(*HELLO), None, True)

    def test_of_such_an_event_that_was_cut_the_whole_lines_count(self) -> None:
        body = sse(*HELLO).replace(b"\n\n", b"\n")
        error = fails(body[: body.index(b"lo")])
        assert type(error) is IncompleteStreamError
        assert text_of(error) == "Hel"

    def test_of_such_an_event_with_a_bad_line_nothing_counts(self) -> None:
        error = fails(sse(HELLO[0], done=False), f"data: {json.dumps(HELLO[1])}\ndata: nonsense\n\n")
        assert isinstance(error, DecodeError)
        assert (error.event, text_of(error)) == (2, "")

    def test_json_over_several_data_lines(self) -> None:
        body = "".join(
            f"data: {line}\n" for line in json.dumps(chunk({"content": "x"}, finish="stop"), indent=1).split("\n")
        )
        for end in ("\n", ""):
            assert outcome([(body + end).encode()])[0] == merged(chunk({"content": "x"}, finish="stop"))

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
    def test_the_last_event_without_its_blank_line(self, end: bytes) -> None:
        body = sse(*HELLO, done=False).rstrip(b"\n") + end
        for slices in slicings(body):
            assert outcome(slices) == (merged(*HELLO), None, True)

    def test_the_last_event_cut_anywhere_is_incomplete(self) -> None:
        whole = sse(*HELLO, done=False)
        start = whole.rindex(b"data: ")
        for end in range(start + 1, len(whole) - 3):
            assert outcome([whole[:end]]) == (merged(*HELLO[:2]), IncompleteStreamError, False), whole[start:end]

    @pytest.mark.parametrize("blank", ["data:\n\n", "data: \n\n", "data\n\n", "data:\ndata:\n\n"])
    def test_blank_events_are_passed_over(self, blank: str) -> None:
        accumulator = Accumulator()
        accumulator.feed(sse(*HELLO, done=False) + blank.encode())
        assert accumulator.finish().text == "Hello"
        assert accumulator.repairs == {"empty_event": 1}

    def test_lines_without_their_ends_are_named(self) -> None:
        error = fails(*sse(*HELLO).decode().splitlines())
        assert "were lines fed without their ends?" in str(error)

    def test_unicode_separators_are_text(self) -> None:
        text = "a\u2028b\u2029c\x85d"
        body = f"data: {json.dumps(chunk({'content': text}, finish='stop'), ensure_ascii=False)}\n\n".encode()
        for slices in slicings(body):
            assert outcome(slices)[0] == merged(chunk({"content": text}, finish="stop"))


def test_a_bare_line_that_is_too_deep() -> None:
    with pytest.raises(LimitError, match="depth"):
        Accumulator().feed('{"a":' * 100_000 + "1" + "}" * 100_000 + "\n")


@pytest.mark.parametrize("line", ['error:{"message":"no"}', 'error: {"message":"no"}', ' error:{"message":"no"} '])
def test_an_error_line_needs_no_space_and_may_stand_in_an_open_event(line: str) -> None:
    for before in ("", f"data: {json.dumps(chunk({'content': 'a'}))}\n"):
        with pytest.raises(ProviderError) as caught:
            Accumulator().feed(f"{before}{line}\n")
        assert caught.value.message == "no"


def test_what_stands_open_beside_an_open_event_is_lost() -> None:
    item = json.dumps(chunk({"content": "a"}, finish="stop"))
    with pytest.raises(IncompleteStreamError, match="inside an event") as caught:
        accumulate_sync(f'data: {item}\n{{"id":'.encode())
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"


def test_what_follows_bare_lines_and_is_no_object() -> None:
    accumulator = Accumulator()
    with pytest.raises(
        DecodeError, match=r"event 2 cannot be read: expected an object, as on the lines before; it begins .nothing."
    ):
        accumulator.feed(f"{json.dumps(chunk({'content': 'a'}))}\nnothing\n")


def test_an_error_on_a_bare_line_needs_no_repair() -> None:
    with pytest.raises(ProviderError, match="no"):
        Accumulator(strict=True).feed('{"choices":[],"error":{"message":"no"}}\n')


def test_a_last_error_event_that_is_no_json_and_no_utf8() -> None:
    with pytest.raises(ProviderError) as caught:
        Accumulator().feed(b"event: error\ndata: caf\xe9\n\n")
    assert caught.value.body == "caf\ufffd"


def test_a_stray_line_that_ends_like_an_error_is_none() -> None:
    body = sse(chunk({"content": "a"}), done=False) + b'server{"message":"x"}\n\n' + sse(chunk(finish="stop"))
    assert outcome([body])[1] is None
    assert (
        outcome([sse(chunk({"content": "a"}), done=False) + b"error: oops\n\n" + sse(chunk(finish="stop"))])[1] is None
    )


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


def test_an_event_that_stands_open_comes_before_stray_lines() -> None:
    one, two = (json.dumps(chunk({"content": text}, finish="stop")) for text in "12")
    for slices in slicings(f"data: {one}\n[DONE]\n\n".encode()):
        assert outcome(slices)[0] == merged(json.loads(one))
    for slices in slicings(f"data: {one}\n{two}\n\n".encode()):
        assert outcome(slices)[0] == merged(json.loads(one))
