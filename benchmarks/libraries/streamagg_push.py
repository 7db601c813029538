"""streamagg, the bytes pushed into an `Accumulator`: what `accumulate` does with a source."""

from __future__ import annotations

from streamagg import Accumulator, ChatCompletionResponse

from ..streams.generated import Json


def collect(reads: list[bytes]) -> ChatCompletionResponse:
    accumulator = Accumulator()
    for data in reads:
        accumulator.feed(data)
    return accumulator.finish()


def wire(response: ChatCompletionResponse) -> Json:
    return response.to_dict()
