"""The streams to measure, made from a seed, each with the right answer.

The answers are known from the making: a generator knows the text that it cuts into pieces. Nothing
here uses streamagg.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from .texts import pieces

SEED = 20251122
CHUNKS = 5000
KEEP_ALIVE = b": keep-alive\n\n"

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One stream and what it comes to."""

    name: str
    events: list[bytes]
    """The body as the server writes it: each event with its blank line, after the comments before it."""
    payloads: list[bytes]
    """The JSON document of each chunk."""
    strict_payloads: list[bytes]
    """The same without fields that strict structs refuse: what the bare decode loop can read."""
    answer: Json
    """The response, as the same server would have sent it whole, without nulls."""


@dataclass(frozen=True)
class Kind:
    """How to make one case. `number` is its group: figures are stated for groups."""

    name: str
    number: int
    title: str
    make: Callable[[Random, int], Case]
    comments: bool = False
    """Whether comments stand between the events, which may come in reads of their own."""

    def case(self, chunks: int = CHUNKS, seed: int = SEED) -> Case:
        """The stream with about `chunks` chunks of content; the same for the same arguments."""
        return self.make(Random(f"{self.name}/{seed}"), chunks)


class _Script:
    """Writes down what a server sends."""

    def __init__(self, name: str, head: Json, *, comments: int = 0) -> None:
        self._name = name
        self._head = head
        self._before = KEEP_ALIVE * comments
        self._events: list[bytes] = []
        self._payloads: list[bytes] = []
        self._strict: list[bytes] = []

    def send(self, choices: list[Json], *, unknown: Json | None = None, **more: Any) -> None:
        """One chunk: `more` are top-level fields after `choices`, `unknown` those that no struct knows."""
        chunk = {**self._head, "choices": choices, **more}
        strict = _compact(chunk)
        payload = _compact({**chunk, **unknown}) if unknown else strict
        self._strict.append(strict)
        self._payloads.append(payload)
        self._events.append(self._before + b"data: " + payload + b"\n\n")

    def done(self) -> None:
        self._events.append(self._before + b"data: [DONE]\n\n")

    def case(self, choices: list[Json], usage: Json, **more: Any) -> Case:
        """The case, with the answer's `choices` and `usage`; `more` are further top-level fields of it."""
        answer = {**self._head, "object": "chat.completion", "choices": choices, "usage": usage, **more}
        return Case(self._name, self._events, self._payloads, self._strict, answer)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _head(rng: Random, model: str, **more: Any) -> Json:
    name = "".join(rng.choices(string.ascii_letters + string.digits, k=29))
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion.chunk",
        "created": 1755000000 + rng.randrange(10**6),
        "model": model,
        **more,
    }


def _openai_head(rng: Random) -> Json:
    return _head(rng, "gpt-4o-2024-08-06", service_tier="default", system_fingerprint="fp_44709d6fcb")


def _choice(delta: Json, *, index: int = 0, logprobs: Json | None = None, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _answered(message: Json, *, index: int = 0, finish: str = "stop", **more: Any) -> Json:
    return {"index": index, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}


def _counts(completion: int) -> Json:
    return {"prompt_tokens": 57, "completion_tokens": completion, "total_tokens": 57 + completion}


def _detailed(completion: int) -> Json:
    return {
        **_counts(completion),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _text(rng: Random, chunks: int) -> Case:
    return _openai_text("text", rng, chunks, dict)


def _text_obfuscated(rng: Random, chunks: int) -> Case:
    letters = string.ascii_letters + string.digits
    return _openai_text(
        "text-obfuscated", rng, chunks, lambda: {"obfuscation": "".join(rng.choices(letters, k=rng.randint(1, 16)))}
    )


def _openai_text(name: str, rng: Random, chunks: int, padding: Callable[[], Json]) -> Case:
    script = _Script(name, _openai_head(rng))
    said = list(islice(pieces(rng), chunks))
    script.send([_choice({"role": "assistant", "content": "", "refusal": None})], usage=None, **padding())
    for piece in said:
        script.send([_choice({"content": piece})], usage=None, **padding())
    script.send([_choice({}, finish="stop")], usage=None, **padding())
    script.send([], usage=_detailed(chunks), **padding())
    script.done()
    return script.case([_answered({"content": "".join(said)})], _detailed(chunks))


def _tool_arguments(rng: Random, chunks: int) -> Case:
    """Five calls after each other; their arguments are JSON that holds code, so escapes are escaped."""
    script = _Script("tool-arguments", _openai_head(rng))
    calls: list[Json] = []
    for index in range(5):
        call_id = "call_" + "".join(rng.choices(string.ascii_letters, k=24))
        opening = {"index": index, "id": call_id, "type": "function", "function": {"name": "write", "arguments": ""}}
        first: Json = {"role": "assistant", "content": None} if index == 0 else {}
        script.send([_choice({**first, "tool_calls": [opening]})], usage=None)
        said = list(islice(pieces(rng), max(1, chunks // 5 - 2)))
        cut = [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in said]
        cut = ['{"path":"notes.md","text":"', *cut, '"}']
        for piece in cut:
            script.send([_choice({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})], usage=None)
        function = {"name": "write", "arguments": "".join(cut)}
        calls.append({"id": call_id, "type": "function", "function": function})
    script.send([_choice({}, finish="tool_calls")], usage=None)
    script.send([], usage=_detailed(chunks))
    script.done()
    return script.case([_answered({"tool_calls": calls}, finish="tool_calls")], _detailed(chunks))


def _reasoning(rng: Random, chunks: int) -> Case:
    """DeepSeek's shape: `reasoning_content` first, then `content`, the other one null."""
    script = _Script("reasoning", _head(rng, "deepseek-reasoner", system_fingerprint="fp_393bca965e_prod"))
    said = list(islice(pieces(rng), chunks))
    thought, answer = said[: chunks // 2], said[chunks // 2 :]
    script.send([_choice({"role": "assistant", "content": None, "reasoning_content": ""})])
    for piece in thought:
        script.send([_choice({"content": None, "reasoning_content": piece})])
    for piece in answer:
        script.send([_choice({"content": piece, "reasoning_content": None})])
    script.send([_choice({"content": "", "reasoning_content": None}, finish="stop")], usage=_counts(chunks))
    script.done()
    message = {"content": "".join(answer), "reasoning_content": "".join(thought)}
    return script.case([_answered(message)], _counts(chunks))


def _refusal(rng: Random, chunks: int) -> Case:
    script = _Script("refusal", _openai_head(rng))
    said = list(islice(pieces(rng), chunks))
    script.send([_choice({"role": "assistant", "content": None, "refusal": ""})], usage=None)
    for piece in said:
        script.send([_choice({"refusal": piece})], usage=None)
    script.send([_choice({}, finish="stop")], usage=None)
    script.send([], usage=_detailed(chunks))
    script.done()
    return script.case([_answered({"refusal": "".join(said)})], _detailed(chunks))


def logprob_entry(rng: Random, token: str) -> Json:
    """A token's log probability with five alternatives, as OpenAI sends it."""

    def entry(text: str, logprob: float) -> Json:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    own = round(-rng.random(), 8)
    others = [entry(token.swapcase() + "?"[: rng.randrange(2)], round(own - 3 * rng.random(), 8)) for _ in range(4)]
    return {**entry(token, own), "top_logprobs": [entry(token, own), *others]}


def _logprobs(rng: Random, chunks: int) -> Case:
    script = _Script("logprobs", _openai_head(rng))
    said = list(islice(pieces(rng), chunks))
    entries = [logprob_entry(rng, piece) for piece in said]
    first = _choice({"role": "assistant", "content": "", "refusal": None}, logprobs={"content": [], "refusal": None})
    script.send([first], usage=None)
    for piece, entry in zip(said, entries, strict=True):
        script.send([_choice({"content": piece}, logprobs={"content": [entry], "refusal": None})], usage=None)
    script.send([_choice({}, finish="stop")], usage=None)
    script.send([], usage=_detailed(chunks))
    script.done()
    return script.case(
        [_answered({"content": "".join(said)}, logprobs={"content": entries})],
        _detailed(chunks),
    )


def _four_choices(rng: Random, chunks: int) -> Case:
    """Four answers taking turns, in another order each time."""
    script = _Script("four-choices", _openai_head(rng))
    texts: list[list[str]] = [[], [], [], []]
    sources = [pieces(rng) for _ in texts]
    order = [0, 1, 2, 3]
    for index in order:
        delta = {"role": "assistant", "content": "", "refusal": None}
        script.send([_choice(delta, index=index)], usage=None)
    for _ in range(max(1, chunks // 4)):
        rng.shuffle(order)
        for index in order:
            piece = next(sources[index])
            texts[index].append(piece)
            script.send([_choice({"content": piece}, index=index)], usage=None)
    for index in order:
        script.send([_choice({}, index=index, finish="stop")], usage=None)
    script.send([], usage=_detailed(chunks))
    script.done()
    answers = [_answered({"content": "".join(text)}, index=index) for index, text in enumerate(texts)]
    return script.case(answers, _detailed(chunks))


def _running_usage(rng: Random, chunks: int) -> Case:
    """vLLM with `continuous_usage_stats`: the total so far on every chunk."""
    script = _Script("running-usage", _head(rng, "meta-llama/Llama-3.3-70B-Instruct"))
    said = list(islice(pieces(rng), chunks))
    script.send([_choice({"role": "assistant", "content": ""})], usage=_counts(0))
    for count, piece in enumerate(said, 1):
        script.send([_choice({"content": piece})], usage=_counts(count))
    script.send([_choice({}, finish="stop") | {"stop_reason": None}], usage=_counts(chunks))
    script.send([], usage=_counts(chunks))
    script.done()
    return script.case([_answered({"content": "".join(said)})], _counts(chunks))


def _atoma(rng: Random, chunks: int) -> Case:
    """Two strings that differ on every chunk, ten keep-alive comments before each event, no `[DONE]`."""
    script = _Script("atoma", _head(rng, "meta-llama/Llama-3.3-70B-Instruct"), comments=10)
    said = list(islice(pieces(rng), chunks))
    signed: Json = {}

    def send(choices: list[Json], **more: Any) -> None:
        signed["signature"] = base64.b64encode(rng.randbytes(97)).decode()
        signed["response_hash"] = base64.b64encode(rng.randbytes(32)).decode()
        script.send(choices, **more, **signed)

    send([_choice({"role": "assistant", "content": ""})])
    for piece in said:
        send([_choice({"content": piece})])
    send([_choice({"content": ""}, finish="stop") | {"stop_reason": None}])
    send([], usage=_counts(chunks))
    return script.case([_answered({"content": "".join(said)})], _counts(chunks), **signed)


def _vendor_field(rng: Random, chunks: int) -> Case:
    """An unknown number on every chunk, another one each time."""
    script = _Script("vendor-field", _head(rng, "vendor-large-1"))
    said = list(islice(pieces(rng), chunks))
    unknown: Json = {}

    def send(choices: list[Json], **more: Any) -> None:
        unknown["vendor_step_ms"] = round(8 + 4 * rng.random(), 3)
        script.send(choices, unknown=unknown, **more)

    send([_choice({"role": "assistant", "content": ""})])
    for piece in said:
        send([_choice({"content": piece})])
    send([_choice({}, finish="stop")])
    send([], usage=_counts(chunks))
    script.done()
    return script.case([_answered({"content": "".join(said)})], _counts(chunks), **unknown)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("text", 1, "text, OpenAI's shape", _text),
        Kind("text-obfuscated", 1, "text with an `obfuscation` field of varying length", _text_obfuscated),
        Kind("tool-arguments", 2, "arguments of five tool calls", _tool_arguments),
        Kind("reasoning", 2, "`reasoning_content`, then `content`", _reasoning),
        Kind("refusal", 2, "a refusal", _refusal),
        Kind("logprobs", 3, "text with logprobs, five alternatives a token", _logprobs),
        Kind("four-choices", 3, "n = 4, the choices taking turns", _four_choices),
        Kind("running-usage", 4, "text with the usage so far on every chunk (vLLM)", _running_usage),
        Kind("atoma", 5, "Atoma: two strings that differ per chunk, ten comments per event", _atoma, comments=True),
        Kind("vendor-field", 6, "text with an unknown vendor field on every chunk", _vendor_field),
    )
}
