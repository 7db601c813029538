"""A slow, literal reading of the design: server-sent events, the merge table, tool-call slots, usage.

Plain dicts and the standard library only. It shares nothing with the library, so that the tests can hold the one
against the other; a rule stands here in the words of the design, and its order, not in the fastest form. Chunks are
collected first and merged at the end. Of section 7 it leaves out NDJSON, plain JSON bodies and decode errors.
"""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]

PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"
COUNTERS = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "audio_tokens", "reasoning_tokens"),
    *("accepted_prediction_tokens", "rejected_prediction_tokens"),
)


# --- server-sent events ---------------------------------------------------------------------------------------------


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
    error event comes out with its payload in `error` if it has none there. Any other payload that is no JSON object is
    a ValueError.
    """
    *whole_lines, rest = lines(body)
    whole_lines = [line for read in whole_lines for line in error_line(read)]
    read_events = events([*whole_lines, *error_line(rest), ""])
    last_is_unfinished = len(read_events) > len(events(whole_lines))
    chunks = []
    for number, (event_type, data) in enumerate(read_events, start=1):
        documents = data.split("\n")
        if not all(is_document(document) for document in documents):
            documents = [data]
        if not is_document(data) and len(documents) == 1 and last_is_unfinished and number == len(read_events):
            break
        for document in documents:
            if document == "[DONE]":
                return chunks, True
            payload = json.loads(document)
            if not isinstance(payload, dict):
                raise ValueError(f"event {number} is no JSON object: {document[:80]}")
            chunks.append({**payload, "error": payload.get("error") or payload} if event_type == "error" else payload)
    return chunks, False


def error_line(line: str) -> list[str]:
    """An `error: {...}` line as the lines of an error event of its own; any other line as it is."""
    found = re.fullmatch(r"error: ?(\{.*\})", line)
    return ["", "event: error", f"data: {found[1]}", ""] if found else [line]


def is_document(text: str) -> bool:
    """Whether the text is a whole JSON document, or `[DONE]`."""
    try:
        return text == "[DONE]" or json.loads(text) is not ...
    except ValueError:
        return False


# --- chunks -> response ---------------------------------------------------------------------------------------------


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


def clean(value: Any) -> Any:
    """The value without null members and `obfuscation` at any level; what a call is given (`arguments`) is no level."""
    if isinstance(value, dict):
        return {
            key: member if key in ("arguments", "input") else clean(member)
            for key, member in value.items()
            if member is not None and key != "obfuscation"
        }
    return [clean(item) for item in value] if isinstance(value, list) else value


def reports_error(chunk: Json) -> bool:
    """A non-empty `error` (object or string) of the payload or of a choice, or `object: "error"`."""
    holders = [chunk, *objects(chunk.get("choices"))]
    return chunk.get("object") == "error" or any(is_error("error", holder.get("error")) for holder in holders)


def is_error(key: str, value: Any) -> bool:
    return key == "error" and isinstance(value, (dict, str)) and bool(value)


def objects(value: Any) -> list[Json]:
    """The objects of a list; none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def merge_chunks(chunks: list[Json]) -> Json:
    response: Json = {"object": "chat.completion"}
    choices: dict[float, list[Json]] = {}
    for chunk in chunks:
        for key, value in chunk.items():
            if key in ("id", "model"):
                put_first(response, key, value)
            elif key == "created":
                put_first(response, key, value if number(value) is None else number(value))
            elif key in ("service_tier", "system_fingerprint"):
                if value != "" or key not in response:
                    put(response, key, value)
            elif key in ("object", "choices", "usage"):
                pass  # constant; below; below
            elif key == "error" and isinstance(value, (dict, str)):
                pass  # an error ends the stream, an empty one is none
            elif key == "p" and isinstance(value, str) and PADDING.startswith(value):
                pass  # padding
            else:
                put(response, key, value)
        for position, choice in enumerate(objects(chunk.get("choices"))):
            index = number(choice.get("index"))
            choices.setdefault(position if index is None else index, []).append(choice)
    response["choices"] = [{"index": index, **merge_choice(choices[index])} for index in sorted(choices)]
    usage = merge_usage(chunks)
    return response if usage is None else {**response, "usage": usage}


def merge_choice(pieces: list[Json]) -> Json:
    """One choice of the pieces that chunks brought for its index."""
    choice: Json = {"message": merge_message(pieces)}
    for piece in pieces:
        for key, value in piece.items():
            if key in ("index", "delta", "message", "usage") or (key == "error" and isinstance(value, (dict, str))):
                pass  # the key of the choice, its message, the response's usage, an error
            elif key == "finish_reason":
                put_non_empty(choice, key, value)
            elif key == "text":
                append(choice, key, value)
            elif key == "token_ids":
                extend(choice, key, value)
            elif key == "logprobs" and isinstance(value, dict):
                logprobs = choice.setdefault("logprobs", {})
                for name, member in value.items():
                    extend(logprobs, name, member)
            else:
                put(choice, key, value)
    return choice


def merge_message(pieces: list[Json]) -> Json:
    """The deltas of a choice; and its last `message`, if no delta brought a non-empty value other than its role."""
    deltas = objects([piece.get("delta") for piece in pieces])
    messages = objects([piece.get("message") for piece in pieces])
    deltas_speak = any(value not in ("", [], {}) for delta in deltas for key, value in delta.items() if key != "role")
    message: Json = {"role": "assistant"}
    slots: list[Json] = []
    for delta in deltas if deltas_speak else [*deltas, *messages[-1:]]:
        for key, value in delta.items():
            if key in ("role", "name", "channel", "phase", "recipient"):
                put_non_empty(message, key, value)
            elif key == "content" and isinstance(value, (str, list)):
                message[key] = merge_content(message.get(key), value)
            elif key == "tool_calls":
                for fragment in objects(value):
                    read_tool_call(slots, fragment)
            elif key == "function_call" and isinstance(value, dict):
                read_function(message.setdefault(key, {}), value)
            elif key == "audio" and isinstance(value, dict):
                message[key] = merge_object(message.get(key), value, appended=("data", "transcript"))
            elif key == "annotations":
                extend(message, key, value)
            elif isinstance(value, list):
                message[key] = merge_items(message.get(key), value)
            elif isinstance(value, str):
                append(message, key, value)
            else:
                put(message, key, value)
    return {**message, "tool_calls": finish_tool_calls(slots)} if slots else message


# --- outcomes of the merge table ------------------------------------------------------------------------------------


def put_first(target: Json, key: str, value: Any) -> None:
    """First non-empty, else the first that came (`""` and `0` are empty)."""
    if key not in target or (value and not target[key]):
        target[key] = value


def put_non_empty(target: Json, key: str, value: Any) -> None:
    """Last non-empty."""
    if value:
        target[key] = value


def put(target: Json, key: str, value: Any) -> None:
    """Last non-null; objects key by key, recursively."""
    target[key] = merge_object(target.get(key), value) if isinstance(value, dict) else value


def append(target: Json, key: str, value: Any) -> None:
    """Strings are appended; anything else as an unknown field."""
    if isinstance(value, str) and isinstance(target.get(key), str):
        target[key] += value
    else:
        put(target, key, value)


def extend(target: Json, key: str, value: Any) -> None:
    """Lists are extended; what is no list is last non-null."""
    old = target.get(key)
    target[key] = [*old, *value] if isinstance(value, list) and isinstance(old, list) else value


def merge_object(old: Any, new: Json, appended: tuple[str, ...] = ()) -> Json:
    """Key by key, recursively; the strings named are appended, the rest is last non-null."""
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        (append if key in appended else put)(merged, key, value)
    return merged


def merge_items(old: Any, new: list[Any]) -> list[Any]:
    """Items with an index merge into the newest one that they fit; other items are appended to the list."""
    items = list(old) if isinstance(old, list) else []
    for item in new:
        fitting = [place for place, there in enumerate(items) if is_same_item(there, item)]
        if fitting:
            items[fitting[-1]] = merge_object(items[fitting[-1]], item, appended=("text", "summary", "data"))
        else:
            items.append(item)
    return items


def is_same_item(there: Any, item: Any) -> bool:
    """The same index, unless both have a `type`, or both an `id`, and these differ."""
    if not (isinstance(there, dict) and isinstance(item, dict) and "index" in item):
        return False
    differ = [key for key in ("type", "id") if there.get(key) and item.get(key) and there[key] != item[key]]
    return there.get("index") == item["index"] and not differ


def merge_content(old: Any, new: str | list[Any]) -> str | list[Any]:
    """Strings are appended. A list survives: a non-empty string beside one becomes a text part of it."""
    if isinstance(new, str) and not isinstance(old, list):
        return old + new if isinstance(old, str) else new
    parts: list[Any] = []
    for part in [*as_parts(old), *as_parts(new)]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "thinking"):
            parts.append(part)
            continue
        follows = bool(parts) and isinstance(parts[-1], dict) and parts[-1].get("type") == kind
        before = parts.pop() if follows else {}
        joined = merge_object(before, part)
        if isinstance(part.get(kind), (str, list)):
            joined[kind] = merge_content(before.get(kind), part[kind])
        parts.append(joined)
    return parts


def as_parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def number(value: Any) -> int | float | None:
    """A number, or the number in a string; `10.0` is 10."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- tool calls (section 4.1) ---------------------------------------------------------------------------------------


def read_tool_call(slots: list[Json], fragment: Json) -> None:
    index, call_id = number(fragment.get("index")), real_id(fragment)
    slot = find_slot(slots, fragment, index, call_id)
    if slot is None:
        slot = {}
        slots.append(slot)
    if index is not None:
        slot.setdefault("index", index)
    if call_id:
        slot["id"] = call_id
    for key, value in fragment.items():
        if key in ("index", "id"):
            pass  # above
        elif key == "type":
            put_non_empty(slot, key, value)
        elif key in ("function", "custom") and isinstance(value, dict):
            read_function(slot.setdefault(key, {}), value)
        else:
            put(slot, key, value)


def real_id(fragment: Json) -> str | None:
    """The non-empty id; the string `"null"` is none."""
    return None if fragment.get("id") == "null" else fragment.get("id") or None


def find_slot(slots: list[Json], fragment: Json, index: float | None, call_id: str | None) -> Json | None:
    """The slot that the fragment continues, by the three steps; None for a new one."""
    newest_first = slots[::-1]
    at_index = [slot for slot in newest_first if index is not None and slot.get("index") == index]
    name = name_of(fragment)
    if call_id:
        same_id = [slot for slot in newest_first if slot.get("id") == call_id]
        if index is not None and name:
            same_id = [slot for slot in same_id if slot.get("index", index) == index]
        same_id_and_index = [slot for slot in same_id if slot in at_index]
        found = same_id_and_index or same_id or [slot for slot in at_index if "id" not in slot]
        return found[0] if found else None
    found = newest_first if index is None else at_index
    if not found or (name and is_over(found[0], name, bool(arguments_of(fragment)))):
        return None
    return found[0]


def is_over(slot: Json, name: str, brings_arguments: bool) -> bool:
    """Another name and its arguments have begun, or its arguments are whole and the fragment brings arguments too."""
    arguments = arguments_of(slot)
    has_another_name = name_of(slot) not in ("", name)
    return bool(has_another_name and arguments) or (brings_arguments and is_whole_object(arguments))


def is_whole_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def function_of(call: Json) -> Json:
    part = call.get("custom") or call.get("function")
    return part if isinstance(part, dict) else {}


def name_of(call: Json) -> str:
    return function_of(call).get("name") or ""


def arguments_of(call: Json) -> str:
    part = function_of(call)
    return encoded(part.get("arguments") or part.get("input") or "")


def read_function(function: Json, fragment: Json) -> None:
    """A `function`, a `custom` part or the legacy `function_call`."""
    for key, value in fragment.items():
        if key == "name":
            if value != function.get(key):  # a repeated equal name is kept once
                append(function, key, value)
        elif key in ("arguments", "input") and value is not None:
            append(function, key, encoded(value))
        else:
            put(function, key, value)


def encoded(arguments: Any) -> str:
    """Arguments that come as an object are encoded compactly."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)


def finish_tool_calls(slots: list[Json]) -> list[Json]:
    """In order of index (without one: of its place), then of appearance; the index itself is dropped."""
    order = sorted(range(len(slots)), key=lambda place: (slots[place].get("index", place), place))
    calls = []
    for place in order:
        call = {key: value for key, value in slots[place].items() if key != "index"}
        calls.append({"type": "custom" if "custom" in call else "function", **call})
    return calls


# --- usage (section 5) ----------------------------------------------------------------------------------------------


def merge_usage(chunks: list[Json]) -> Json | None:
    total: Json = {}
    before: Json = {}
    prompt_came = False
    for chunk in chunks:
        for report in reports_of(chunk):
            prompt = bool(report.get("prompt_tokens"))
            completion, standing = report.get("completion_tokens", 0), total.get("completion_tokens", 0)
            if not total:
                total = report
            elif prompt and prompt_came:
                total = merge_object(total, report)
            elif prompt_came:
                total = add_report(total, report)
            elif prompt:
                total = merge_object(total, report) if completion >= standing else add_report(total, report)
            elif completion > standing:
                total = merge_object(total, report)
            elif report != before or chunk.get("choices"):
                total = add_report(total, report)
            prompt_came = prompt_came or prompt
            before = report
    return total or None


def reports_of(chunk: Json) -> list[Json]:
    """`choices[].usage`, then the usage of the chunk, or else that of `x_groq`."""
    groq = chunk.get("x_groq")
    found = [choice.get("usage") for choice in objects(chunk.get("choices"))]
    found.append(chunk.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None))
    return [read_numbers(report) for report in objects(found) if report]


def read_numbers(report: Json) -> Json:
    """`10.0` is `10`, and a known counter may be a number in a string."""
    read: Json = {}
    for key, value in report.items():
        if isinstance(value, dict):
            read[key] = read_numbers(value)
        else:
            is_number = number(value) is not None and (key in COUNTERS or not isinstance(value, str))
            read[key] = number(value) if is_number else value
    return read


def add_report(total: Json, report: Json) -> Json:
    """An addition; after it the total is the largest of the two totals and prompt + completion."""
    added = add_numbers(total, report)
    pair = added.get("prompt_tokens", 0) + added.get("completion_tokens", 0)
    largest = max(total.get("total_tokens", 0), report.get("total_tokens", 0), pair)
    return {**added, "total_tokens": largest} if largest else added


def add_numbers(old: Any, new: Json) -> Json:
    """Number by number; what is no number is last non-null."""
    added = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if isinstance(value, dict):
            added[key] = add_numbers(added.get(key), value)
        elif isinstance(value, str) or number(value) is None or number(added.get(key)) is None:
            added[key] = value
        else:
            added[key] = added[key] + value
    return added
