"""Hypothesis strategies: streams as servers send them, and as no server should."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(max_size=8) | st.sampled_from(
    ["", "data: x\n\n", "[DONE]", "\u2028", "\\", '"', "\x00", "{", "}", "é😀", "null"]
)
NUMBER = st.integers(-3, 40) | st.sampled_from([0, 10**18, 2.5, 10.0, -1])
SCALAR = st.none() | st.booleans() | NUMBER | TEXT
PLAIN = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


def rarely(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 11).flatmap(lambda n: odd if n == 0 else usual)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields, in any order, and now and then a field nobody knows."""
    unknown = st.dictionaries(st.sampled_from(["vendor", "extra", "x", "obfuscation"]), PLAIN, max_size=1)
    known = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda one, two: {**one, **two}, rarely(st.just({}), unknown), known)


INDEX = st.integers(0, 2) | st.none()
LABEL = st.sampled_from(["a", "b", "", None, "null"])
ARGUMENTS = st.sampled_from(["", "{", "}", "{}", '{"a":', "1}", "x", None]) | rarely(TEXT, PLAIN)

FUNCTION = objects(name=st.sampled_from(["f", "g", "", None]), arguments=ARGUMENTS)
CUSTOM = objects(name=st.sampled_from(["f", "g"]), input=TEXT)
TOOL_CALL = objects(
    index=INDEX | st.sampled_from(["0", -1, 2.5]),
    id=LABEL,
    type=st.sampled_from(["function", "", None, "custom"]),
    function=FUNCTION | st.none(),
    custom=rarely(st.none(), CUSTOM),
    extra_content=st.none() | PLAIN,
)
ITEM = objects(index=INDEX, type=LABEL, id=LABEL, text=TEXT, summary=TEXT, data=TEXT)
PART = (
    objects(type=st.sampled_from(["text", "thinking", "image_url"]), text=TEXT, thinking=TEXT | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2))
)  # fmt: skip
DELTA = objects(
    role=st.sampled_from(["assistant", "", None, "tool"]),
    content=st.none() | TEXT | rarely(TEXT, st.lists(PART, max_size=3)),
    refusal=TEXT | st.none(),
    reasoning=TEXT,
    reasoning_content=TEXT | st.none(),
    reasoning_details=st.lists(ITEM, max_size=3),
    annotations=st.lists(ITEM, max_size=2),
    images=st.lists(ITEM, max_size=2),
    tool_calls=st.lists(TOOL_CALL, max_size=3) | st.none(),
    function_call=rarely(st.none(), FUNCTION),
    audio=rarely(st.none(), objects(id=TEXT, data=TEXT, transcript=TEXT, expires_at=st.integers(0, 9))),
    name=TEXT,
)
LOGPROBS = objects(
    content=st.none()
    | st.lists(
        objects(token=TEXT, logprob=st.floats(-9, 0), bytes=st.lists(st.integers(0, 255), max_size=2)), max_size=2
    )
)
COUNT = st.none() | st.integers(0, 30) | st.sampled_from([10.0])
COST = st.none() | st.floats(0, 1) | st.integers(0, 3)
USAGE = objects(
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    total_tokens=COUNT,
    prompt_tokens_details=st.none() | objects(cached_tokens=COUNT),
    cost=COST,
)
MESSAGE = objects(role=st.just("assistant"), content=TEXT | st.none(), refusal=TEXT)
CHOICE = objects(
    index=INDEX,
    delta=DELTA | st.none(),
    message=rarely(st.none(), MESSAGE),
    finish_reason=st.sampled_from([None, "", "stop", "tool_calls", "eos"]),
    logprobs=st.none() | LOGPROBS,
    stop_reason=st.none() | st.integers(0, 9) | TEXT,
    content_filter_results=st.dictionaries(TEXT, PLAIN, max_size=2),
    usage=rarely(st.none(), USAGE),
    error=rarely(st.none(), st.sampled_from([{}, "", False, 5, [1]])),
    text=TEXT,
    token_ids=st.none() | st.lists(st.integers(0, 9), max_size=2),
)
CHUNK = objects(
    id=st.sampled_from(["c1", "", None, "c2"]),
    object=st.just("chat.completion.chunk"),
    created=st.integers(0, 3),
    model=st.sampled_from(["m", "", None]),
    choices=st.lists(CHOICE, max_size=3) | st.lists(CHOICE, min_size=1, max_size=1) | st.none(),
    usage=st.none() | USAGE,
    service_tier=LABEL,
    system_fingerprint=LABEL,
    obfuscation=TEXT,
    p=st.sampled_from(["abc", "abcd", "x"]),
    x_groq=rarely(st.none(), objects(id=TEXT, usage=USAGE)),
    citations=rarely(st.none(), PLAIN),
)
CHUNKS = st.lists(CHUNK, max_size=6)


def _repeated(first: Any, changes: list[tuple[tuple[str, str, Any], int]]) -> list[Any]:
    """The first chunk, and others that have its fields but for one that changes, each so many times."""
    chunks = [first]
    for (level, name, value), times in changes:
        chunk = {**chunks[-1]}
        choice = {**(chunk.get("choices") or [{}])[0]}
        delta = {**(choice.get("delta") or {})}
        {"chunk": chunk, "choice": choice, "delta": delta}[level][name] = value
        chunks += [{**chunk, "choices": [{**choice, "delta": delta}]}] * times
    return chunks


TEXTS = "content", "reasoning", "reasoning_content", "refusal"
CHANGE = st.one_of(
    st.just(("chunk", "obfuscation", None)),
    st.tuples(st.just("delta"), st.sampled_from(TEXTS), st.sampled_from([None, "", "a", "b"])),
    st.sampled_from([("delta", "role", role) for role in (None, "", "assistant", "tool")]),
    st.sampled_from([("delta", "token_id", token) for token in (None, 1, 2)]),
    st.sampled_from([("delta", "content", [{"type": "text", "text": "p"}]), ("delta", "vendor", "v")]),
    st.sampled_from([("delta", "tool_calls", [{"index": n, "function": {"arguments": "{"}}]) for n in (0, 1)]),
    st.sampled_from([("choice", "index", index) for index in (0, 1)]),
    st.sampled_from([("choice", "stop_reason", reason) for reason in (None, 1, 1.0, True, "a")]),
    st.sampled_from([("choice", "text", text) for text in (None, "", "t")]),
    st.sampled_from([None, "m", "mm"]).map(
        lambda text: ("choice", "message", text and {"role": "assistant", "content": text})
    ),
    st.sampled_from([("choice", "finish_reason", reason) for reason in (None, "", "stop", "length")]),
    st.sampled_from([("chunk", "id", id_) for id_ in (None, "", "c1", "c2")]),
    st.sampled_from([("chunk", "p", p) for p in (None, "abc", "abcd", "x")]),
    st.sampled_from([("chunk", "obfuscation", padding) for padding in (None, "x", "y")]),
    st.sampled_from([("chunk", "vendor", value) for value in (None, 1, 1.0, True, {"a": 1}, {"a": True})]),
    st.sampled_from([("chunk", "usage", usage) for usage in (None, {"prompt_tokens": 1, "completion_tokens": 2})]),
)
TEXT_ALONE = st.builds(
    lambda name, text: {"choices": [{"index": 0, "delta": {name: text}}]},
    st.sampled_from(TEXTS), st.sampled_from(["", "a"]),
)  # fmt: skip
REPEATS = st.builds(
    _repeated, TEXT_ALONE | TEXT_ALONE | CHUNK, st.lists(st.tuples(CHANGE, st.integers(1, 4)), min_size=1, max_size=8)
)
"""Streams as most servers send them: each chunk has the fields of the one before, and one of them changes."""
ANYTHING = st.lists(
    CHUNK | PLAIN | st.dictionaries(st.sampled_from(["id", "choices", "usage", "error", "object"]), PLAIN), max_size=5
)


SAID = st.text(max_size=40) | TEXT
VENDOR = st.recursive(
    st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6,
)  # fmt: skip
OF_VENDOR = {"vendor": VENDOR, "x": VENDOR}


def some(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required or {}, optional={**optional, **OF_VENDOR})


def numbered(strategy: st.SearchStrategy[dict[str, Any]], most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists whose items have an index of their own each."""
    return st.lists(strategy, max_size=most).map(lambda items: [{**item, "index": n} for n, item in enumerate(items)])


CALLEE = some(name=st.sampled_from(["f", "get", ""]), arguments=SAID)
CALL = st.one_of(
    some({"type": st.just("function")}, function=CALLEE, extra_content=VENDOR),
    some({"type": st.just("custom")}, custom=some(name=st.just("c"), input=SAID)),
)
CALLS = st.lists(CALL, min_size=1, max_size=3).flatmap(
    lambda calls: st.lists(st.none() | st.text(min_size=1, max_size=3), min_size=len(calls), max_size=len(calls), unique=True).map(
        lambda ids: [call if name is None else {**call, "id": name} for call, name in zip(calls, ids, strict=True)]
    )
)  # fmt: skip
THOUGHT = st.lists(st.builds(lambda text: {"type": "text", "text": text}, SAID), max_size=1)
PARTS = st.lists(
    some({"type": st.just("text"), "text": SAID}) | some({"type": st.just("thinking"), "thinking": SAID | THOUGHT}) | some({"type": st.just("image_url")}, url=TEXT),
    max_size=3,
).filter(lambda parts: all(a["type"] != b["type"] or a["type"] == "image_url" for a, b in pairwise(parts)))  # fmt: skip
TOKENS = st.lists(some({"logprob": st.floats(-9, 0)}, token=TEXT, bytes=st.lists(st.integers(0, 255), max_size=3)), max_size=6)  # fmt: skip
RESPONSE_MESSAGE = some(
    {"role": st.sampled_from(["assistant", "tool"])},
    content=SAID | PARTS, refusal=SAID, reasoning=SAID, reasoning_content=SAID, tool_calls=CALLS, function_call=CALLEE,
    reasoning_details=numbered(some(text=SAID, type=st.just("reasoning.text")), 2), images=numbered(some(url=TEXT), 2),
    annotations=st.lists(VENDOR, max_size=2), audio=some(id=TEXT, data=TEXT, transcript=SAID, expires_at=st.integers(0, 9)),
    name=st.just("n"), channel=st.just("final"), token_id=st.integers(0, 9), tool_call_id=TEXT,
)  # fmt: skip
RESPONSE_CHOICE = some(
    {"message": RESPONSE_MESSAGE, "finish_reason": st.sampled_from(["stop", "length", "tool_calls"])},
    logprobs=some(content=TOKENS, refusal=TOKENS, reasoning_content=TOKENS), stop_reason=st.integers(0, 9) | TEXT,
    content_filter_results=VENDOR, text=SAID, token_ids=st.lists(st.integers(0, 9), max_size=3), seed=st.integers(0, 9),
)  # fmt: skip
RESPONSE = some(
    {"choices": st.lists(RESPONSE_CHOICE, min_size=1, max_size=3).map(lambda items: [{**item, "index": n} for n, item in enumerate(items)])},
    id=TEXT, created=st.integers(0, 9), model=TEXT, service_tier=TEXT, system_fingerprint=TEXT, citations=VENDOR,
    usage=some({"prompt_tokens": st.integers(0, 9)}, completion_tokens=st.integers(0, 9), cost=st.floats(0, 1),
               prompt_tokens_details=some(cached_tokens=st.integers(0, 9))),
)  # fmt: skip
"""The plain JSON answer of a server, complete, in any shape that a stream can have."""
SEED = st.integers(0, 2**32)
