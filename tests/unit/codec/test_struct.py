"""The structs: unknown fields, plain data, equality, copies, and plain answers read from JSON."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest

import streamagg
import streamagg._codec.struct as module
from streamagg import (
    ChatCompletionMessage,
    CompletionUsage,
    Extra,
    ToolCall,
    ToolCallFunction,
)

STRUCTS = [
    value
    for name in streamagg.__all__
    if isinstance(value := getattr(streamagg, name), type)
    and issubclass(value, msgspec.Struct)
    and "extra" in value.__struct_fields__
]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_each_struct(struct: type[Any]) -> None:
    empty = struct()
    assert empty == struct()
    assert empty.extra == {}
    with_extra = struct(extra=Extra({"k": [1]}))
    assert with_extra != empty
    assert with_extra.to_dict() == {**empty.to_dict(), "k": [1]}
    assert json.loads(with_extra.to_json()) == with_extra.to_dict()
    for same in (pickle.loads(pickle.dumps(with_extra)), copy.copy(with_extra), copy.deepcopy(with_extra)):
        assert same == with_extra
        assert type(same) is struct
    assert pickle.loads(pickle.dumps(empty)).extra is empty.extra
    assert "k" in repr(with_extra)
    assert "extra" not in repr(empty)


def test_the_shared_empty_extra_cannot_be_written_by_accident() -> None:
    usage = CompletionUsage()
    for write in (lambda e: e.__setitem__("a", 1), lambda e: e.update(a=1), lambda e: e.setdefault("a", 1)):
        with pytest.raises(TypeError, match="shared"):
            write(usage.extra)
    assert CompletionUsage().extra == {}


def test_repr_shows_what_is_there() -> None:
    call = ToolCall(id="a", function=ToolCallFunction(name="f", arguments="{}"))
    message = ChatCompletionMessage(content="hi", tool_calls=[call])
    assert repr(message) == (
        "ChatCompletionMessage(content='hi', tool_calls=[ToolCall(id='a', function=ToolCallFunction(name='f', arguments='{}'))])"
    )


def test_a_struct_of_another_package_is_not_encoded_as_it_is() -> None:
    assert not module._encodes_all(msgspec.defstruct("Other", [("a", int)]))
