"""The loop that one writes by hand when no library is at hand: split, strip, load, append."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..streams.generated import Json


def collect_with(loads: Callable[[bytes], Any], reads: list[bytes]) -> Json:
    response: Json = {}
    choices: dict[int, Json] = {}
    rest = b""
    for data in reads:
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            if not event.startswith(b"data: "):
                continue
            payload = event[6:]
            if payload == b"[DONE]":
                return _finished(response, choices)
            chunk = loads(payload)
            if not response:
                response = {"id": chunk["id"], "created": chunk["created"], "model": chunk["model"]}
            if chunk.get("usage"):
                response["usage"] = chunk["usage"]
            for choice in chunk["choices"]:
                _add(choices, choice)
    return _finished(response, choices)


def _add(choices: dict[int, Json], choice: Json) -> None:
    into = choices.get(choice["index"])
    if into is None:
        into = choices[choice["index"]] = {"content": [], "reasoning_content": [], "refusal": [], "tool_calls": {}}
    delta = choice["delta"]
    if delta.get("content"):
        into["content"].append(delta["content"])
    if delta.get("reasoning_content"):
        into["reasoning_content"].append(delta["reasoning_content"])
    if delta.get("refusal"):
        into["refusal"].append(delta["refusal"])
    if delta.get("tool_calls"):
        for fragment in delta["tool_calls"]:
            call = into["tool_calls"].setdefault(fragment["index"], {"arguments": []})
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
        {"id": call["id"], "function": {"name": call["name"], "arguments": "".join(call["arguments"])}}
        for _, call in sorted(choice["tool_calls"].items())
    ]
    return {
        "index": index,
        "message": {**message, "tool_calls": calls},
        "logprobs": {"content": choice.get("logprobs")},
        "finish_reason": choice.get("finish_reason"),
    }
