"""Whether an answer is right, and which parts of it are not."""

from __future__ import annotations

from typing import Any

from ..streams.generated import Json


def wrong_parts(expected: Json, got: Json, *, whole: bool) -> list[str]:
    """The parts of a response that differ from the known answer; `whole` wants every field the same.

    Where it is not wanted, a library may leave out what it has no place for (ids, the model, vendor
    fields), but not the words, the calls, the log probabilities, the finish reasons and the usage.
    """
    right, mine = _parts(expected), _parts(got)
    if right["choices"] != mine["choices"]:
        return ["choices"]
    wrong = [name for name in right if right[name] != mine[name]]
    if whole and not wrong and got != expected:
        wrong = [f"`{name}`" for name in sorted({*expected, *got}) if expected.get(name) != got.get(name)]
    return wrong


def _parts(response: Json) -> dict[str, Any]:
    choices: list[Json] = sorted(response.get("choices") or [], key=lambda choice: choice.get("index") or 0)
    messages: list[Json] = [choice.get("message") or {} for choice in choices]
    usage: Json = response.get("usage") or {}
    return {
        "choices": len(choices),
        "content": [message.get("content") or "" for message in messages],
        "reasoning_content": [message.get("reasoning_content") or "" for message in messages],
        "refusal": [message.get("refusal") or "" for message in messages],
        "tool calls": [[_call(call) for call in message.get("tool_calls") or []] for message in messages],
        "logprobs": [_tokens(choice.get("logprobs") or {}) for choice in choices],
        "finish_reason": [choice.get("finish_reason") for choice in choices],
        "usage": [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")],
    }


def _call(call: Json) -> tuple[Any, ...]:
    function: Json = call.get("function") or {}
    return call.get("id"), function.get("name"), function.get("arguments")


def _tokens(logprobs: Json) -> list[Any]:
    return [
        (entry["token"], entry["logprob"], [(other["token"], other["logprob"]) for other in entry["top_logprobs"]])
        for entry in logprobs.get("content") or []
    ]
