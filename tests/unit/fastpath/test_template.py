"""What a template refuses, and the chunks that it hands out."""

from __future__ import annotations

import pytest

from streamagg import ChatCompletionChunk, Limits
from streamagg._accumulator.pipeline import Pipeline
from streamagg._fastpath.template import Template, template_of
from tests.support.helpers import chunk, sse


def new_pipeline() -> Pipeline:
    return Pipeline(usage="auto", strict=False, limits=Limits())


def padded(text: str) -> bytes:
    return sse(chunk({"content": text}, obfuscation="pad"), done=False)


def with_a_template() -> tuple[Pipeline, Template]:
    pipeline = new_pipeline()
    for n in range(60):
        pipeline.feed(padded(f"w{n}"))
    assert pipeline.fast is not None
    assert pipeline.fast.template is not None
    return pipeline, pipeline.fast.template


def test_fields_that_no_type_knows_are_handed_out() -> None:
    pipeline = new_pipeline()
    handed_out: list[ChatCompletionChunk] = []
    pipeline.hand_out(handed_out.append)
    for n in range(60):
        pipeline.feed(sse(chunk({"content": f"w{n}"}, token_rank=n, same="x"), done=False))
    assert pipeline.fast is not None
    assert pipeline.fast.taken > 0
    assert [one.extra for one in handed_out] == [{"token_rank": n, "same": "x"} for n in range(60)]


def test_bytes_after_an_event_are_refused() -> None:
    _, template = with_a_template()
    assert template.read_one(padded("a"))
    with pytest.raises(ValueError, match="another event"):
        template.read_one(padded("a") + b"x" + template.end)


def test_without_a_text_to_append_to_nothing_is_merged() -> None:
    pipeline, template = with_a_template()
    before = pipeline.response()
    template.append = None
    assert not template.merge([["a"], ["pad"]])
    assert pipeline.response() == before


def test_a_chunk_that_is_not_its_payload_makes_no_template() -> None:
    pipeline, _ = with_a_template()
    merger, decode = pipeline.merger, pipeline.api.decode
    payload, other = padded("a")[6:-2], padded("b")[6:-2]
    assert template_of(decode(payload), b"data: ", payload, payload, decode, merger) is not None
    assert template_of(decode(other), b"data: ", payload, payload, decode, merger) is None


def test_a_text_that_never_came_is_no_target() -> None:
    assert new_pipeline().merger.text_target(0, "content", None) is None
