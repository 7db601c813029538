"""Errors that a server tells inside its stream, in every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamagg import (
    ProviderError,
    accumulate_sync,
)
from tests.support.helpers import HELLO, chunk, fails, merged, outcome, slicings, sse, text_of


class TestErrorsInTheStream:
    ERROR = {"message": "boom", "type": "server_error", "code": 502}

    @pytest.mark.parametrize(
        "event",
        [
            'data: {"error": {"message": "boom", "type": "server_error", "code": 502}}\n\n',
            'data: {"object": "error", "message": "boom", "type": "server_error", "code": 502}\n\n',
            'event: error\ndata: {"error": {"message": "boom", "type": "server_error", "code": 502}}\n\n',
            'event: error\ndata: {"message": "boom", "type": "server_error", "code": 502}\n\n',
            'error: {"detail": "x", "error": {"message": "boom", "type": "server_error", "code": 502}}\n',
            '{"error": {"message": "boom", "type": "server_error", "code": 502}}\n',
        ],
    )
    def test_of_every_shape(self, event: str) -> None:
        for before in ([], HELLO[:2], HELLO):
            body = sse(*before, done=False) + event.encode()
            for slices in slicings(body):
                error = fails(*slices)
                assert isinstance(error, ProviderError)
                assert (error.message, error.type, error.code) == ("boom", "server_error", 502)
                assert text_of(error) == (["", None, "Hel", "Hello"][len(before)] if before else None)
                assert str(error) == "the server reported an error (502, server_error): boom"

    @pytest.mark.parametrize(
        "event",
        [
            'data: {"error": "boom"}\n\n',
            "event: error\ndata: boom\n\n",
            'data: {"error": {"error": "boom"}}\n\n',
            'data: {"error": {"detail": {"msg": "boom"}}}\n\n',
        ],
    )
    def test_as_text(self, event: str) -> None:
        error = fails(event)
        assert isinstance(error, ProviderError)
        assert (error.message, error.code, error.type) == ("boom", None, None)
        assert str(error) == "the server reported an error: boom"

    @pytest.mark.parametrize("unknown", [True, 5, [1]])
    def test_what_is_neither_object_nor_string_is_an_unknown_field(self, unknown: Any) -> None:
        item = chunk({"content": "x"}, finish="stop", error=unknown)
        item["choices"][0]["error"] = unknown
        response, error, _ = outcome([sse(chunk({"content": ""}), item)])
        assert response is not None
        assert (response["error"], response["choices"][0]["error"], error) == (unknown, unknown, None)

    @pytest.mark.parametrize("nothing", [None, {}, ""])
    def test_nothing_is_no_error(self, nothing: Any) -> None:
        item = chunk({"content": "x"}, finish="stop", error=nothing)
        item["choices"][0]["error"] = nothing
        assert outcome([sse(item)])[0] == merged(chunk({"content": "x"}, finish="stop"))

    def test_beside_choices_merges_first(self) -> None:
        error = fails(sse(*HELLO[:2], {**HELLO[2], "error": self.ERROR, "usage": {"prompt_tokens": 1}}))
        assert isinstance(error, ProviderError)
        assert text_of(error) == "Hello"
        assert error.partial is not None
        assert error.partial.usage is not None
        assert "error" not in error.partial.to_dict()

    def test_without_choices_merges_nothing(self) -> None:
        error = fails(sse(*HELLO[:2], {"id": "other", "error": self.ERROR, "usage": {"prompt_tokens": 1}, "x": 1}))
        assert error.partial is not None
        assert error.partial.to_dict() == merged(*HELLO[:2])

    def test_event_error_with_choices_merges_first(self) -> None:
        item = json.dumps({**HELLO[1], "error": self.ERROR})
        assert text_of(fails(f"event: error\ndata: {item}\n\n")) == "Hel"

    def test_in_a_choice(self) -> None:
        item = chunk({"content": "x"}, finish="error")
        item["choices"][0]["error"] = self.ERROR
        error = fails(sse(item))
        assert isinstance(error, ProviderError)
        assert error.partial is not None
        assert error.partial.choices[0].to_dict() == {
            "index": 0,
            "message": {"role": "assistant", "content": "x"},
            "finish_reason": "error",
        }


def test_an_unknown_error_on_a_chunk_like_the_last() -> None:
    assert (
        merged(chunk({"content": "a"}), chunk({"content": "b"}), {**chunk({"content": "c"}), "error": 5})["error"] == 5
    )


@pytest.mark.parametrize("place", ["chunk", "choice", "choice of text"])
def test_an_error_beside_choices_is_told_as_it_is(place: str) -> None:
    item = chunk({"content": "a"} if place == "choice of text" else {"content": "a", "vendor": ["b"]})
    (item if place == "chunk" else item["choices"][0])["error"] = {"message": "no more", "code": 7}
    with pytest.raises(ProviderError, match="no more") as caught:
        accumulate_sync(sse(chunk({"content": "b"}), item))
    assert caught.value.code == 7
    assert caught.value.partial is not None
    assert caught.value.partial.text == "ba"


def test_an_error_that_is_no_utf8_or_no_object() -> None:
    assert fails(b"event: error\ndata: bo\xffom\n\n").message == "bo�om"  # type: ignore[attr-defined]
    assert fails(b"event: error\ndata: [1]\n\n").body == [1]  # type: ignore[attr-defined]
    assert fails(b'event: error\ndata: {"choices":null,"k":1}\n\n').body == {"choices": None, "k": 1}  # type: ignore[attr-defined]
    nearly = fails(b'event: error\ndata: {"error":{"k":NaN}}\n\n')
    assert isinstance(nearly, ProviderError)
