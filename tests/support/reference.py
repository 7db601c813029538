"""A slow, literal reading of the design: server-sent events, the merge table, tool-call slots, usage.

Plain dicts and the standard library only; nothing is shared with the library, so that tests can hold the one against
the other. Rules stand in the words of the design, not in the fastest form: the chunks are collected, then folded at the
end, each member of each object by its outcome in a table. Of section 7, NDJSON and plain JSON bodies are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Outcome = Callable[[Json, str, Any], None]  # (target, key, value): merges the value into the target's member

PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"
COUNTERS = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "audio_tokens", "reasoning_tokens"),
    *("accepted_prediction_tokens", "rejected_prediction_tokens"),
)


def payloads(body: bytes) -> list[str]:
    """The data of each event of the body, by the WHATWG steps; the last one also without its blank line."""
    return [data for _, data in events([*lines(body), ""])]


def lines(body: bytes) -> list[str]:
    """The lines of the body: UTF-8, one byte order mark stripped, ended by CRLF, LF or CR and nothing else."""
    text = body.decode("utf-8", errors="replace").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def events(lines: list[str]) -> list[tuple[str, str]]:
    """The (type, data) of each event that a blank line dispatches."""
    dispatched = []
    event_type = data = ""
    for line in lines:
        if line == "":
            if data:
                dispatched.append((event_type or "message", data.removesuffix("\n")))
            event_type = data = ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                event_type = value
            elif field == "data":
                data += value + "\n"
    return dispatched


def chunks_of(body: bytes) -> tuple[list[Json], bool]:
    """The payloads of the body up to `[DONE]`, and whether that came.

    Beyond the WHATWG rules, as section 7 says: an `error: {...}` line is an error event, adjacent data lines that are
    each a whole document are so many events, and a last event without its blank line is read only when it is whole. An
    error event comes with an `error`, its whole data if it brought none. Another payload that is no JSON object is a
    ValueError.
    """
    *ended, rest = lines(body)
    ended = [line for read in ended for line in error_line(read)]
    found = events([*ended, *error_line(rest), ""])
    if len(found) > len(events(ended)) and not all(map(is_document, documents(found[-1][1]))):
        found.pop()
    chunks: list[Json] = []
    for event_type, data in found:
        for document in documents(data):
            if document == "[DONE]":
                return chunks, True
            payload = parsed(document)
            if event_type == "error":
                members = payload if isinstance(payload, dict) else {}
                chunks.append({**members, "error": members.get("error") or {"data": data}})
            elif isinstance(payload, dict):
                chunks.append(payload)
            else:
                raise ValueError(f"no JSON object: {document[:80]}")
    return chunks, False


def error_line(line: str) -> list[str]:
    """An `error: {...}` line as the lines of an error event of its own; any other line as it is."""
    found = re.fullmatch(r"error: ?(\{.*\})", line)
    return ["", "event: error", f"data: {found[1]}", ""] if found else [line]


def documents(data: str) -> list[str]:
    """The lines of the data if each of them is a whole document, else the data."""
    return data.split("\n") if all(map(is_document, data.split("\n"))) else [data]


def is_document(text: str) -> bool:
    return text == "[DONE]" or parsed(text) is not None


def parsed(text: str) -> Any:
    """The JSON value of the text; None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def folded(old: Any, new: Json, table: dict[str, Outcome], unknown: Outcome) -> Json:
    """The old object with the members of the new one merged in, each by its outcome in the table."""
    target = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        table.get(key, unknown)(target, key, value)
    return target


def dropped(target: Json, key: str, value: Any) -> None:
    """Dropped, or read elsewhere."""


def first(target: Json, key: str, value: Any) -> None:
    """First non-empty, else the first that came (`""` and `0` are empty)."""
    if key not in target or (value and not target[key]):
        target[key] = value


def first_number(target: Json, key: str, value: Any) -> None:
    first(target, key, value if number(value) is None else number(value))


def last_non_empty(target: Json, key: str, value: Any) -> None:
    """Last non-empty; `""` alone gives nothing."""
    if value:
        target[key] = value


def last_even_empty(target: Json, key: str, value: Any) -> None:
    """Last non-empty; `""` alone gives `""`."""
    if value or key not in target:
        target[key] = value


def put(target: Json, key: str, value: Any) -> None:
    """Last non-null (nulls are gone by now); objects key by key, recursively."""
    target[key] = folded(target.get(key), value, {}, put) if isinstance(value, dict) else value


def append(target: Json, key: str, value: Any) -> None:
    """Strings are appended; anything else replaces, objects key by key."""
    if isinstance(value, str) and isinstance(target.get(key), str):
        target[key] += value
    else:
        put(target, key, value)


def extend(target: Json, key: str, value: Any) -> None:
    """Lists are extended; what is no list is last non-null."""
    old = target.get(key)
    target[key] = [*old, *value] if isinstance(value, list) and isinstance(old, list) else value


def members(table: dict[str, Outcome], unknown: Outcome) -> Outcome:
    """Key by key by a table of its own; what is no object is last non-null."""

    def outcome(target: Json, key: str, value: Any) -> None:
        target[key] = folded(target.get(key), value, table, unknown) if isinstance(value, dict) else value

    return outcome


def error(target: Json, key: str, value: Any) -> None:
    """An error ends the stream, an empty one is none; only what is neither object nor string is an unknown field."""
    if not isinstance(value, (dict, str)):
        put(target, key, value)


def padding(target: Json, key: str, value: Any) -> None:
    """Mistral's padding is dropped; any other `p` is an unknown field."""
    if not (isinstance(value, str) and PADDING.startswith(value)):
        put(target, key, value)


def items(target: Json, key: str, value: list[Any]) -> None:
    """Items with an index merge into the newest one that they fit; other items extend the list."""
    merged = list(target[key]) if isinstance(target.get(key), list) else []
    for item in value:
        fitting = [place for place, there in enumerate(merged) if is_same_item(there, item)]
        if fitting:
            merged[fitting[-1]] = folded(merged[fitting[-1]], item, ITEM, put)
        else:
            merged.append(item)
    target[key] = merged


def is_same_item(there: Any, item: Any) -> bool:
    """The same index, unless both have a `type`, or both an `id`, and these differ."""
    if not (isinstance(there, dict) and isinstance(item, dict) and "index" in item):
        return False
    differ = [key for key in ("type", "id") if there.get(key) and item.get(key) and there[key] != item[key]]
    return there.get("index") == item["index"] and not differ


def unknown_of_delta(target: Json, key: str, value: Any) -> None:
    """Strings are appended, lists extended or merged by index, objects merged key by key, the rest is last non-null."""
    (items if isinstance(value, list) else append)(target, key, value)


def content(target: Json, key: str, value: Any) -> None:
    """Strings are appended. A list survives: a non-empty string before or after one becomes a text part of it."""
    old = target.get(key)
    if not isinstance(value, list) and not isinstance(old, list):
        append(target, key, value)
        return
    parts: list[Any] = []
    for part in [*as_parts(old), *as_parts(value)]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "thinking"):
            parts.append(part)
            continue
        follows = bool(parts) and isinstance(parts[-1], dict) and parts[-1].get("type") == kind
        parts.append(folded(parts.pop() if follows else {}, part, PART, put))
    target[key] = parts


def as_parts(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [{"type": "text", "text": value}] if value else []


def name(target: Json, key: str, value: Any) -> None:
    """A repeated equal name is kept once; a differing one is appended."""
    if value != target.get(key):
        append(target, key, value)


def arguments(target: Json, key: str, value: Any) -> None:
    append(target, key, encoded(value))


def encoded(value: Any) -> str:
    """Arguments that come as an object are encoded compactly."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def number(value: Any) -> int | float | None:
    """A number, or the number in a string; `10.0` is 10."""
    value = parsed(value) if isinstance(value, str) else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


CHUNK: dict[str, Outcome] = {
    **dict.fromkeys(("id", "model"), first),
    "created": first_number,
    **dict.fromkeys(("service_tier", "system_fingerprint"), last_even_empty),
    **dict.fromkeys(("object", "choices", "usage"), dropped),
    "error": error,
    "p": padding,
}
CHOICE: dict[str, Outcome] = {
    "finish_reason": last_non_empty,
    "text": append,
    "token_ids": extend,
    "logprobs": members({}, extend),
    **dict.fromkeys(("index", "delta", "message", "usage"), dropped),
    "error": error,
}
FUNCTION: dict[str, Outcome] = {"name": name, "arguments": arguments, "input": arguments}
DELTA: dict[str, Outcome] = {
    **dict.fromkeys(("role", "name", "channel", "phase", "recipient"), last_non_empty),
    "content": content,
    "audio": members({"data": append, "transcript": append}, put),
    "annotations": extend,
    "function_call": members(FUNCTION, put),
    "tool_calls": dropped,
}
TOOL_CALL: dict[str, Outcome] = {
    "type": last_non_empty,
    **dict.fromkeys(("function", "custom"), members(FUNCTION, put)),
    **dict.fromkeys(("index", "id"), dropped),
}
ITEM: dict[str, Outcome] = dict.fromkeys(("text", "summary", "data"), append)
PART: dict[str, Outcome] = {"text": append, "thinking": content}


def merge(chunks: list[Json]) -> tuple[Json | None, bool]:
    """The response that the chunks merge to (None without a chunk), and whether the server reported an error."""
    taken = []
    failed = False
    for payload in chunks:
        chunk = clean(payload)
        failed = reports_error(chunk)
        is_chunk = any(key in chunk for key in ("choices", "usage", "id", "object"))
        if is_chunk and (not failed or "choices" in chunk):
            taken.append(chunk)
        if failed:
            break
    return (strip_nulls(merge_chunks(taken)) if taken else None), failed


def finished(response: Json | None) -> bool:
    """Whether at least one choice was seen and every one has a finish reason."""
    choices = response["choices"] if response else []
    return bool(choices) and all(choice.get("finish_reason") for choice in choices)


def strip_nulls(value: Any) -> Any:
    """The value without the null members of its objects, at every level; null items of lists stay."""
    if isinstance(value, dict):
        return {key: strip_nulls(member) for key, member in value.items() if member is not None}
    return [strip_nulls(item) for item in value] if isinstance(value, list) else value


def clean(value: Any, parent: str = "") -> Any:
    """The value without nulls and `obfuscation` at any level; the arguments of a call are data, not a level."""
    if isinstance(value, dict):
        data = ("arguments", "input") if parent in ("function", "custom", "function_call") else ()
        kept = {key: member for key, member in value.items() if member is not None and key != "obfuscation"}
        return {key: member if key in data else clean(member, key) for key, member in kept.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value


def reports_error(chunk: Json) -> bool:
    """A non-empty `error` (object or string) of the payload or of a choice, or `object: "error"`."""
    said = [holder.get("error") for holder in (chunk, *objects(chunk.get("choices")))]
    return chunk.get("object") == "error" or any(value and isinstance(value, (dict, str)) for value in said)


def objects(value: Any) -> list[Json]:
    """The objects of a list; none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def merge_chunks(chunks: list[Json]) -> Json:
    response: Json = {"object": "chat.completion"}
    choices: dict[float, list[Json]] = {}
    for chunk in chunks:
        response = folded(response, chunk, CHUNK, put)
        listed = chunk.get("choices")
        for position, choice in enumerate(listed if isinstance(listed, list) else []):
            if not isinstance(choice, dict):
                continue
            index = number(choice.get("index"))
            choices.setdefault(position if index is None else index, []).append(choice)
    response["choices"] = [{"index": index, **merge_choice(choices[index])} for index in sorted(choices)]
    return {**response, "usage": merge_usage(chunks)}


def merge_choice(pieces: list[Json]) -> Json:
    """One choice of the pieces that chunks brought for its index."""
    choice: Json = {}
    for piece in pieces:
        choice = folded(choice, piece, CHOICE, put)
    deltas = objects([piece.get("delta") for piece in pieces])
    messages = objects([piece.get("message") for piece in pieces])
    # The last message counts if no delta brought a non-empty value other than its role.
    deltas_speak = any(value not in ("", [], {}) for delta in deltas for key, value in delta.items() if key != "role")
    return {**choice, "message": merge_message(deltas if deltas_speak else [*deltas, *messages[-1:]])}


def merge_message(deltas: list[Json]) -> Json:
    message: Json = {"role": "assistant"}
    slots: list[Json] = []
    for delta in deltas:
        message = folded(message, delta, DELTA, unknown_of_delta)
        for fragment in objects(delta.get("tool_calls")):
            read_tool_call(slots, fragment)
    return {**message, "tool_calls": finish_tool_calls(slots)} if slots else message


def read_tool_call(slots: list[Json], fragment: Json) -> None:
    index = number(fragment.get("index"))
    call_id = fragment.get("id") if fragment.get("id") != "null" else ""
    place = find_slot(slots, fragment, index, call_id)
    if place is None:
        place = len(slots)
        slots.append({})
    slots[place] = slot = folded(slots[place], fragment, TOOL_CALL, put)
    if index is not None:
        slot.setdefault("index", index)
    if call_id:
        slot["id"] = call_id


def find_slot(slots: list[Json], fragment: Json, index: float | None, call_id: str | None) -> int | None:
    """The place of the slot that the fragment continues, by the three steps; None for a new slot."""
    newest_first = list(enumerate(slots))[::-1]
    at_index = [place for place, slot in newest_first if index is not None and slot.get("index") == index]
    if call_id:
        same_id = [place for place, slot in newest_first if slot.get("id") == call_id]
        if index is not None and said(fragment)[0]:
            same_id = [place for place in same_id if slots[place].get("index", index) == index]
        same_both = [place for place in same_id if place in at_index]
        found = [*same_both, *same_id, *(place for place in at_index if "id" not in slots[place])]
        return found[0] if found else None
    found = at_index if index is not None else [place for place, _ in newest_first]
    return None if not found or begins_another(fragment, slots[found[0]]) else found[0]


def begins_another(fragment: Json, slot: Json) -> bool:
    """Whether a fragment with a name meets a slot whose call is over."""
    name, arguments = said(fragment)
    slot_name, slot_arguments = said(slot)
    other_name = slot_name not in ("", name) and slot_arguments != ""
    whole = isinstance(parsed(slot_arguments), dict) and arguments != ""
    return name != "" and (other_name or whole)


def said(call: Json) -> tuple[str, str]:
    """The name and the arguments of a slot or a fragment, "" where it has none."""
    part = next(iter(objects([call.get("custom"), call.get("function")])), {})
    return part.get("name") or "", encoded(part.get("arguments", part.get("input", "")))


def finish_tool_calls(slots: list[Json]) -> list[Json]:
    """In order of index (without one: of its place), then of appearance; the index itself is dropped."""
    order = sorted(range(len(slots)), key=lambda place: (slots[place].get("index", place), place))
    calls = [{key: value for key, value in slots[place].items() if key != "index"} for place in order]
    return [{"type": "custom" if "custom" in call else "function", **call} for call in calls]


def merge_usage(chunks: list[Json]) -> Json | None:
    total: Json = {}
    before: Json = {}
    prompt_came = False
    for chunk in chunks:
        for report in reports_of(chunk):
            has_prompt = count(report, "prompt_tokens") != 0
            completion, standing = count(report, "completion_tokens"), count(total, "completion_tokens")
            if has_prompt and prompt_came:
                total = folded(total, report, {}, put)
            elif prompt_came:
                total = add_report(total, report)
            elif not total or (has_prompt and completion >= standing) or (not has_prompt and completion > standing):
                total = folded(total, report, {}, put)
            elif has_prompt or report != before or chunk.get("choices"):
                total = add_report(total, report)
            prompt_came = prompt_came or has_prompt
            before = report
    return total or None


def reports_of(chunk: Json) -> list[Json]:
    """`choices[].usage`, then the usage of the chunk, or else that of `x_groq`."""
    found = [choice.get("usage") for choice in objects(chunk.get("choices"))]
    groq = [groq.get("usage") for groq in objects([chunk.get("x_groq")])]
    found += [chunk["usage"]] if chunk.get("usage") else groq
    return [folded({}, report, {}, reported) for report in objects(found) if report]


def reported(target: Json, key: str, value: Any) -> None:
    """`10.0` is `10`, and a counter of the type may be a number in a string."""
    counted = number(value) if key in COUNTERS or not isinstance(value, str) else None
    read = folded({}, value, {}, reported) if isinstance(value, dict) else value
    target[key] = read if counted is None else counted


def count(report: Json, key: str) -> int | float:
    return number(report.get(key)) or 0


def add_report(total: Json, report: Json) -> Json:
    """An addition; after it the total is the largest of the two totals and prompt + completion."""
    added = folded(total, report, {}, add)
    pair = count(added, "prompt_tokens") + count(added, "completion_tokens")
    largest = max(count(total, "total_tokens"), count(report, "total_tokens"), pair)
    return {**added, "total_tokens": largest} if largest else added


def add(target: Json, key: str, value: Any) -> None:
    """Number by number; what is no number is last non-null."""
    old = target.get(key)
    if isinstance(value, dict):
        target[key] = folded(old, value, {}, add)
    else:
        is_sum = not isinstance(value, str) and number(value) is not None and number(old) is not None
        target[key] = old + value if is_sum else value
