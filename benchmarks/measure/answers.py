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
    right["logprobs"], mine["logprobs"] = _logprobs(expected), _logprobs(got)
    if right["choices"] != mine["choices"]:
        return ["choices"]
    wrong = [name for name in right if right[name] != mine[name]]
    if whole and not wrong and got != expected:
        wrong = [f"`{name}`" for name in sorted({*expected, *got}) if expected.get(name) != got.get(name)]
    return wrong


def wrong_recorded_parts(expected: Json, got: Json) -> list[str]:
    """The same for a recorded stream, of which log probabilities are not asked: servers write them in many forms."""
    right, mine = _parts(expected), _parts(got)
    return [name for name in right if right[name] != mine[name]]


def without_nulls(value: Any) -> Any:
    """A JSON value as the known answers are written: without the fields that are null."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _choices(response: Json) -> list[Json]:
    return sorted(response.get("choices") or [], key=lambda choice: choice.get("index") or 0)


def _logprobs(response: Json) -> list[list[Any]]:
    return [_tokens(choice.get("logprobs") or {}) for choice in _choices(response)]


def _parts(response: Json) -> dict[str, Any]:
    choices = _choices(response)
    messages: list[Json] = [choice.get("message") or {} for choice in choices]
    usage: Json = response.get("usage") or {}
    return {
        "choices": len(choices),
        "content": [message.get("content") or "" for message in messages],
        "reasoning_content": [
            message.get("reasoning_content") or message.get("reasoning") or "" for message in messages
        ],
        "refusal": [message.get("refusal") or "" for message in messages],
        "tool calls": [[_call(call) for call in message.get("tool_calls") or []] for message in messages],
        "finish_reason": [choice.get("finish_reason") for choice in choices],
        "usage": [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")],
    }


def _reasoning(message: Json) -> Any:
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _call(call: Json) -> tuple[Any, ...]:
    function: Json = call.get("function") or {}
    return call.get("id"), function.get("name"), function.get("arguments")


def _tokens(logprobs: Json) -> list[Any]:
    return [
        (entry["token"], entry["logprob"], [(other["token"], other["logprob"]) for other in entry["top_logprobs"]])
        for entry in logprobs.get("content") or []
    ]
