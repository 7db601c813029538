"""The loop that an engineer writes by hand when no library is at hand: split, strip, load, append.

It is the loop after its first outages: fields may be absent, line ends may be CRLF, blank lines may be missing,
reasoning has two names, and calls may lack an index. It checks nothing and knows no errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..streams.generated import Json


def collect_with(loads: Callable[[bytes], Any], reads: list[bytes]) -> Json:
    response: Json = {}
    choices: dict[int, Json] = {}
    rest = b""
    for data in [*reads, b"\n"]:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            payload = line[5:].strip()
            if payload == b"[DONE]":
                return _finished(response, choices)
            chunk = loads(payload)
            if not response:
                response = {"id": chunk.get("id"), "created": chunk.get("created"), "model": chunk.get("model")}
            if chunk.get("usage"):
                response["usage"] = chunk["usage"]
            for choice in chunk.get("choices") or ():
                _add(choices, choice)
    return _finished(response, choices)


def _add(choices: dict[int, Json], choice: Json) -> None:
    index = choice.get("index") or 0
    into = choices.get(index)
    if into is None:
        into = choices[index] = {"content": [], "reasoning_content": [], "refusal": [], "tool_calls": {}}
    delta = choice.get("delta") or {}
    if delta.get("content"):
        into["content"].append(delta["content"])
    if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
        into["reasoning_content"].append(reasoning)
    if delta.get("refusal"):
        into["refusal"].append(delta["refusal"])
    if delta.get("tool_calls"):
        for fragment in delta["tool_calls"]:
            call = into["tool_calls"].setdefault(fragment.get("index") or 0, {"arguments": []})
            if fragment.get("id"):
                call["id"] = fragment["id"]
            function = fragment.get("function") or {}
            if function.get("name"):
                call["name"] = function["name"]
            if function.get("arguments"):
                call["arguments"].append(function["arguments"])
    logprobs = choice.get("logprobs")
    if logprobs and logprobs.get("content"):
        into.setdefault("logprobs", []).extend(logprobs["content"])
    if choice.get("finish_reason"):
        into["finish_reason"] = choice["finish_reason"]


def _finished(response: Json, choices: dict[int, Json]) -> Json:
    return {**response, "choices": [_choice(index, choices[index]) for index in sorted(choices)]}


def _choice(index: int, choice: Json) -> Json:
    message = {name: "".join(choice[name]) for name in ("content", "reasoning_content", "refusal")}
    calls = [
        {"id": call.get("id"), "function": {"name": call.get("name"), "arguments": "".join(call["arguments"])}}
        for _, call in sorted(choice["tool_calls"].items())
    ]
    return {
        "index": index,
        "message": {**message, "tool_calls": calls},
        "logprobs": {"content": choice.get("logprobs")},
        "finish_reason": choice.get("finish_reason"),
    }
