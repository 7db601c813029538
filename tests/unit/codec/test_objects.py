"""Any client's object as plain data, by its shape."""

from __future__ import annotations

import re
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

from streamagg import ChatCompletionChunk, DecodeError
from streamagg._codec.lenient import ignore, to_struct
from tests.support.helpers import chunk, merged


class Text(str):
    __slots__ = ()


class Real(float):
    __slots__ = ()


def test_subclasses_of_plain_types() -> None:
    item = {"id": Text("x"), "created": Real(1.5), "choices": [{"index": 0, "delta": {Text("content"): Text("a")}}]}
    assert merged(item) == merged({"id": "x", "created": 1.5, "choices": [{"index": 0, "delta": {"content": "a"}}]})


def test_an_object_with_choices_is_a_chunk_even_with_data() -> None:
    assert merged(SimpleNamespace(data="x", id="c", choices=[]))["data"] == "x"


class Words(str):
    __slots__ = ()


def test_subclasses_of_str_and_dict() -> None:
    plain = chunk({"content": "a"}, finish="stop", usage={"prompt_tokens": "1"})
    odd: Any = OrderedDict({**plain, "choices": [OrderedDict({**plain["choices"][0], "delta": OrderedDict(content=Words("a"))})]})  # fmt: skip
    assert merged(odd) == merged(plain)
    for cls in (dict, OrderedDict):
        read = to_struct(ChatCompletionChunk, cls(id=Words("x")), ignore)
        assert read == ChatCompletionChunk(id="x")


def test_an_unreadable_item_is_named_with_its_place_in_the_list() -> None:
    item = chunk({"vendor": [1, object()]})
    with pytest.raises(DecodeError, match=re.escape("$.choices[0].delta.vendor[1]")):
        merged(item)
