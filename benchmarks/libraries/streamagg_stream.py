"""streamagg, every chunk handed out as a typed struct, and the response at the end."""

from __future__ import annotations

from streamagg import ChatCompletionResponse, stream_sync

from ..streams.generated import Json


def collect(reads: list[bytes]) -> ChatCompletionResponse:
    with stream_sync(iter(reads)) as chunks:
        for _ in chunks:
            pass
        return chunks.response()


def wire(response: ChatCompletionResponse) -> Json:
    return response.to_dict()
