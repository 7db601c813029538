"""A response as the stream that a server would have sent for it: for caches and test doubles.

1. The chunks merge to the same response.
2. A choice sends its role, reasoning, text, refusal, content parts, tool calls, audio and the other fields of its
   message, in this order. Its last chunk has the finish reason and the other fields of the choice.
3. Choices take turns, chunk by chunk.
4. The usage and the other fields of the response come in a last chunk without choices (OpenAI's `include_usage`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any

import msgspec

from .._codec.lenient import ignore, to_struct
from .._types.chunk import ChatCompletionChunk
from .._types.completion import ChatCompletionResponse

Plain = dict[str, Any]

_HEAD = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_WITH_ROLE = ("name", "channel", "phase", "recipient")
_TEXTS = (("reasoning_content", "reasoning"), ("content",), ("refusal",))
"""The texts of a message in the order of their chunks. Two fields for the same text share chunks."""
_WITH_TOKENS = ("reasoning_content", "content", "refusal")
"""The texts whose tokens `logprobs` lists, under the same name."""


def replay(response: ChatCompletionResponse, *, piece: int = 16) -> Iterator[ChatCompletionChunk]:
    """The chunks that merge to the response, with its texts in pieces of `piece` characters.

    A piece of a text with logprobs is made of whole tokens and carries their entries. A choice without a finish
    reason gets none: a response that was cut stays cut. `to_sse` lists the values that a stream cannot carry. Raises
    `ValueError` where `piece` is less than 1.
    """
    return (to_struct(ChatCompletionChunk, plain, ignore) for plain in _chunks(response, piece))


def to_sse(response: ChatCompletionResponse, *, piece: int = 16, done: bool | None = None) -> bytes:
    """The chunks of `replay` as the body of a server-sent event stream: `accumulate` gives the response again.

    `done`: whether the body ends with `[DONE]`. By default it does if every choice has a finish reason: a cut stream
    stays cut.

    A stream cannot carry these values, and no response of a stream has them: an empty `finish_reason`, call id or
    `tool_calls`; nulls and `obfuscation` inside objects of vendors; an `object` other than `chat.completion`. NaN and
    infinities become null. An `error` of a vendor, in the response or in a choice, is read as an error again.
    """
    if done is None:
        done = bool(response.choices) and all(choice.finish_reason for choice in response.choices)
    events = [b"data: %b\n\n" % msgspec.json.encode(plain) for plain in _chunks(response, piece)]
    return b"".join([*events, b"data: [DONE]\n\n"] if done else events)


def _chunks(response: ChatCompletionResponse, piece: int) -> Iterator[Plain]:
    if piece < 1:
        raise ValueError(f"piece must be a positive number of characters, not {piece!r}")
    rest = response.to_dict()
    rest["object"] = "chat.completion.chunk"
    head = {name: rest.pop(name) for name in _HEAD if name in rest}
    choices = [_choice(choice, place, piece) for place, choice in enumerate(rest.pop("choices"))]
    turns = chain.from_iterable(zip_longest(*choices))
    last = [{**head, "choices": [], **rest}] if rest or not choices else []
    return chain(({**head, "choices": [choice]} for choice in turns if choice is not None), last)


def _choice(choice: Plain, place: int, piece: int) -> Iterator[Plain]:
    """The choice as it stands in each of its chunks."""
    index = choice.pop("index", place)
    message = choice.pop("message")
    finish_reason = choice.pop("finish_reason", None)
    for fields in _message(message, choice.pop("logprobs", None), piece):
        yield {"index": index, **fields, "finish_reason": None}
    if choice or finish_reason is not None:
        yield {"index": index, "delta": {}, **choice, "finish_reason": finish_reason}


def _message(message: Plain, logprobs: Plain | None, piece: int) -> Iterator[Plain]:
    """The deltas of a message, each with the logprobs of its text."""
    tokens: dict[str, list[Plain]] = {}
    first: Plain = {"delta": {name: message.pop(name) for name in ("role", *_WITH_ROLE) if name in message}}
    if logprobs is not None:
        for name in _WITH_TOKENS:
            if name in logprobs and isinstance(message.get(name), str):
                tokens[name], logprobs[name] = logprobs[name], []
        first["logprobs"] = logprobs
    yield first
    if "reasoning_details" in message:
        yield {"delta": {"reasoning_details": message.pop("reasoning_details")}}
    yield from _texts(message, tokens, piece)
    if "content" in message:
        parts = [small for part in message.pop("content") for small in _parts(part, piece)]
        yield from ({"delta": {"content": [part]}} for part in parts)
        # An empty list is content too: without this delta the response would have none.
        if not parts:
            yield {"delta": {"content": []}}
    for place, call in enumerate(message.pop("tool_calls", ())):
        for delta in _call(call, piece):
            yield {"delta": {"tool_calls": [{"index": place, **delta}]}}
    if "function_call" in message:
        for delta in _call({"function_call": message.pop("function_call")}, piece):
            yield {"delta": delta}
    if "audio" in message:
        yield from ({"delta": {"audio": part}} for part in _split_text(message.pop("audio"), "transcript", piece))
    if message:
        yield {"delta": message}


def _texts(message: Plain, tokens: dict[str, list[Plain]], piece: int) -> Iterator[Plain]:
    """The deltas of a message's texts; `tokens` has the logprobs of each text."""
    for names in _TEXTS:
        texts = {name: message.pop(name) for name in names if isinstance(message.get(name), str)}
        pieces = [_pieces(text, tokens.get(name, []), piece) for name, text in texts.items()]
        for row in zip_longest(*pieces):
            present = {name: part for name, part in zip(texts, row, strict=True) if part is not None}
            entries = {name: listed for name, (_, listed) in present.items() if listed}
            delta = {name: text for name, (text, _) in present.items()}
            yield {"delta": delta, "logprobs": entries} if entries else {"delta": delta}


def _call(call: Plain, piece: int) -> Iterator[Plain]:
    """The deltas of a tool call: every field but the text first, then the text in pieces."""
    rest: list[Plain] = []
    for name, text_name in (("function", "arguments"), ("function_call", "arguments"), ("custom", "input")):
        if name in call:
            call[name], *more = _split_text(call[name], text_name, piece)
            rest.extend({name: part} for part in more)
    yield call
    yield from rest


def _split_text(value: Plain, name: str, piece: int) -> Iterator[Plain]:
    """An object with a text under `name`, split: the other fields with an empty text, then the text in pieces."""
    text = value.get(name)
    if not text:
        yield value
        return
    yield {**value, name: ""}
    for part, _ in _pieces(text, [], piece):
        yield {name: part}


def _parts(part: Any, piece: int) -> Iterator[Any]:
    """A part of a content list, as smaller parts that merge to it."""
    kind = part.get("type") if isinstance(part, dict) else None
    value = part.get(kind) if kind in ("text", "thinking") else None
    if isinstance(value, str):
        pieces: list[Any] = [text for text, _ in _pieces(value, [], piece)]
    elif isinstance(value, list) and value:
        pieces = [[small] for inner in value for small in _parts(inner, piece)]
    else:
        yield part
        return
    yield {**part, kind: pieces[0]}
    yield from ({"type": kind, kind: more} for more in pieces[1:])


def _pieces(text: str, tokens: list[Plain], piece: int) -> Iterator[tuple[str, list[Plain]]]:
    """At least one piece of a text, each with the entries of its tokens where `tokens` lists them."""
    entries: list[Plain] = []
    start = end = 0
    for token in tokens:
        entries.append(token)
        end += len(token.get("token", ""))
        if end - start >= piece:
            yield text[start:end], entries
            entries, start = [], end
    if entries or not text:
        yield text[start:end], entries
    for place in range(end, len(text), piece):
        yield text[place : place + piece], []
