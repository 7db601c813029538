"""A chunk that is handed out is its receiver's: no change to it reaches the response, an error, or another chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamagg import Accumulator, ChatCompletionChunk, ProviderError
from tests.support.helpers import chunk, sse


def with_choice(**choice: Any) -> Any:
    """A chunk whose choice has other fields beside its text."""
    new = chunk({"content": "x"})
    new["choices"][0].update(choice)
    return new


def choice_of(one: ChatCompletionChunk) -> Any:
    assert one.choices is not None
    return one.choices[0]


def read(chunks: list[Any], receive: Callable[[ChatCompletionChunk], Any]) -> dict[str, Any]:
    accumulator = Accumulator()
    accumulator.deliver = receive
    for item in chunks:
        accumulator.feed(sse(item, done=False))
    response = accumulator.snapshot()
    assert response is not None
    return response.to_dict()


def test_an_object_of_the_chunk() -> None:
    chunks = [chunk({"content": "x"}, vendor={"a": value}) for value in "yz"]
    assert read(chunks, lambda one: one.extra["vendor"].update(a="z"))["vendor"] == {"a": "z"}


def test_an_object_of_its_choice() -> None:
    chunks = [with_choice(content_filter_results={"hate": value}) for value in ("no", "yes")]
    response = read(chunks, lambda one: choice_of(one).content_filter_results.update(hate="yes"))
    assert response["choices"][0]["content_filter_results"] == {"hate": "yes"}


def test_the_usage_of_groq() -> None:
    item = chunk({"content": "x"}, x_groq={"usage": {"prompt_tokens": 1, "cost": {"b": 1}}})
    response = read([item], lambda one: one.x_groq["usage"]["cost"].update(b=2))
    assert response["usage"] == {"prompt_tokens": 1, "cost": {"b": 1}}


@pytest.mark.parametrize("item", [with_choice(error={"message": "boom"}), chunk({}, error={"message": "boom"})])
def test_an_error(item: Any) -> None:
    def receive(one: ChatCompletionChunk) -> None:
        for part in (one, *(one.choices or ())):
            if part.error is not None:
                part.error.clear()
            part.error = None

    with pytest.raises(ProviderError, match="boom"):
        read([item], receive)


def test_an_error_that_is_none() -> None:
    """Half of a surrogate pair makes all chunks copies, with empty objects of their own too."""
    item = chunk({"content": "\ud83d"}, error={})
    response = read([item], lambda one: one.error.update(message="of the receiver"))
    assert "error" not in response


@pytest.mark.parametrize("level", ["choice", "delta"])
def test_chunks_share_no_unknown_fields(level: str) -> None:
    def part(one: ChatCompletionChunk) -> Any:
        choice = choice_of(one)
        return choice if level == "choice" else choice.delta

    item = with_choice(vendor=1) if level == "choice" else chunk({"content": "x", "vendor": 1})
    received: list[ChatCompletionChunk] = []
    read([item] * 60, received.append)
    part(received[-1]).extra["vendor"] = 2
    assert [part(one).extra["vendor"] for one in received] == [1] * 59 + [2]
