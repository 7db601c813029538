"""A response as the stream that a server would have sent for it: for caches and test doubles.

Each choice says its role, its reasoning, its text or refusal, its tool calls, audio, what else its
message holds, and at last its finish reason with what else is known of it; choices take turns. The
usage, and what else the response holds, comes on a last chunk without choices.
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
_OF_SPEAKER = ("name", "channel", "phase", "recipient")
_TEXTS = (("reasoning_content", "reasoning"), ("content",), ("refusal",))
"""The texts of a message in the order in which they are said, side by side where two tell the same."""
_WITH_TOKENS = ("reasoning_content", "content", "refusal")
"""Those whose tokens `logprobs` lists under the same name."""


def replay(response: ChatCompletionResponse, *, piece: int = 16) -> Iterator[ChatCompletionChunk]:
    """The chunks that merge to the response, with its texts in pieces of `piece` characters.

    Where a text's logprobs are known a piece is whole tokens, and has their entries beside it. A choice
    without a finish reason gets none, so what was cut stays cut. See `to_sse` for what is lost.
    """
    return (to_struct(ChatCompletionChunk, plain, ignore) for plain in _chunks(response, piece))


def to_sse(response: ChatCompletionResponse, *, piece: int = 16, done: bool | None = None) -> bytes:
    """The body that a server would have streamed, of `replay`'s chunks: `accumulate` gives the response again.

    `done`: whether `[DONE]` ends it; by default where there is a choice and every one has a finish reason,
    so that a response that was cut stays cut.

    Lost is what no stream can say, and what no stream's response therefore has: an empty `finish_reason`,
    call id or `tool_calls`, nulls and `obfuscation` inside objects of vendors, an `object` other than
    `chat.completion`; and NaN and infinities, which become null. A vendor's top-level `error`, or one of a
    choice, is read as an error again.
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
    return chain(({**head, "choices": [said]} for said in turns if said is not None), last)


def _choice(choice: Plain, place: int, piece: int) -> Iterator[Plain]:
    """What a choice says, chunk by chunk."""
    index = choice.pop("index", place)
    message = choice.pop("message")
    finish_reason = choice.pop("finish_reason", None)
    for said in _message(message, choice.pop("logprobs", None), piece):
        yield {"index": index, **said, "finish_reason": None}
    if choice or finish_reason is not None:
        yield {"index": index, "delta": {}, **choice, "finish_reason": finish_reason}


def _message(message: Plain, logprobs: Plain | None, piece: int) -> Iterator[Plain]:
    """The deltas of a message, with the logprobs beside them."""
    tokens: dict[str, list[Plain]] = {}
    first: Plain = {"delta": {name: message.pop(name) for name in ("role", *_OF_SPEAKER) if name in message}}
    if logprobs is not None:
        for name in _WITH_TOKENS:
            if name in logprobs and isinstance(message.get(name), str):
                tokens[name], logprobs[name] = logprobs[name], []
        first["logprobs"] = logprobs
    yield first
    if "reasoning_details" in message:
        yield {"delta": {"reasoning_details": message.pop("reasoning_details")}}
    for names in _TEXTS:
        texts = {name: message.pop(name) for name in names if isinstance(message.get(name), str)}
        pieces = [_pieces(text, tokens.get(name, []), piece) for name, text in texts.items()]
        for row in zip_longest(*pieces):
            there = {name: said for name, said in zip(texts, row, strict=True) if said is not None}
            beside = {name: held for name, (_, held) in there.items() if held}
            delta = {name: text for name, (text, _) in there.items()}
            yield {"delta": delta, "logprobs": beside} if beside else {"delta": delta}
    if "content" in message:
        parts = [small for part in message.pop("content") for small in _parts(part, piece)]
        yield from ({"delta": {"content": [part]}} for part in parts)
        if not parts:
            yield {"delta": {"content": []}}
    for place, call in enumerate(message.pop("tool_calls", ())):
        for delta in _call(call, piece):
            yield {"delta": {"tool_calls": [{"index": place, **delta}]}}
    if "function_call" in message:
        for delta in _call({"function_call": message.pop("function_call")}, piece):
            yield {"delta": delta}
    if "audio" in message:
        yield from ({"delta": {"audio": said}} for said in _grown(message.pop("audio"), "transcript", piece))
    if message:
        yield {"delta": message}


def _call(call: Plain, piece: int) -> Iterator[Plain]:
    """A tool call: all but the text first, then that in pieces."""
    rest: list[Plain] = []
    for name, grows in (("function", "arguments"), ("function_call", "arguments"), ("custom", "input")):
        if name in call:
            call[name], *more = _grown(call[name], grows, piece)
            rest.extend({name: said} for said in more)
    yield call
    yield from rest


def _grown(value: Plain, name: str, piece: int) -> Iterator[Plain]:
    """An object with a text under a name: all else, with an empty text, then the text in pieces."""
    text = value.get(name)
    if not text:
        yield value
        return
    yield {**value, name: ""}
    for said, _ in _pieces(text, [], piece):
        yield {name: said}


def _parts(part: Any, piece: int) -> Iterator[Any]:
    """A part of a content list, as parts that join to it."""
    kind = part.get("type") if isinstance(part, dict) else None
    held = part.get(kind) if kind in ("text", "thinking") else None
    if isinstance(held, str):
        cut: list[Any] = [text for text, _ in _pieces(held, [], piece)]
    elif isinstance(held, list) and held:
        cut = [[small] for inner in held for small in _parts(inner, piece)]
    else:
        yield part
        return
    yield {**part, kind: cut[0]}
    yield from ({"type": kind, kind: more} for more in cut[1:])


def _pieces(text: str, tokens: list[Plain], piece: int) -> Iterator[tuple[str, list[Plain]]]:
    """A text in pieces, each with the tokens that it is made of, where they are known; at least one."""
    held: list[Plain] = []
    start = end = 0
    for token in tokens:
        held.append(token)
        end += len(token.get("token", ""))
        if end - start >= piece:
            yield text[start:end], held
            held, start = [], end
    if held or not text:
        yield text[start:end], held
    for place in range(end, len(text), piece):
        yield text[place : place + piece], []
