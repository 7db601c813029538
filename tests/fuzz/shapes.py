"""Streams built from a row of bytes, each of which is a choice: templates of what servers send, and near misses."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Row:
    """The bytes of an input, read one choice at a time; after the last one every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, most: int) -> int:
        """A number from 0 to `most`."""
        byte = self._data[self._place] if self.more else 0
        self._place += 1
        return byte % (most + 1)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(len(options) - 1)]

    def some(self, most: int) -> bytes:
        """Up to so many of the bytes themselves."""
        count = self.number(most)
        self._place += count
        return self._data[self._place - count : self._place]

    @property
    def more(self) -> bool:
        return self._place < len(self._data)


def body_of(data: bytes) -> bytes:
    """The body of server-sent events that an input stands for."""
    if data[:1] < b"\x80":
        return data[1:]
    row = Row(data[1:])
    return (
        built_of_templates(row)
        if row.number(1)
        else framed(row, [json.dumps(each, ensure_ascii=False) for each in chunks(row)])
    )


def slices_of(body: bytes, data: bytes) -> list[bytes]:
    """The body in pieces, as the input's first byte says: some hundred of them at most, for the sake of many inputs."""
    dice = random.Random(data[:1])
    most = max(dice.choice([1, 4, 40, 400]), len(body) // 50)
    pieces, place = [], 0
    while place < len(body):
        length = dice.randint(0, most)
        pieces.append(body[place : place + length])
        place += length
    return pieces


def shown(value: Any) -> str:
    """A struct or None in a form that can be compared: NaN is not equal to itself, and the order of fields is none."""
    return json.dumps(value and value.to_dict(), sort_keys=True)


TEXTS = [
    b"a", b"", b'"', b"\\", b'\\"', b"\\\\", b"\\u0041", b"\\ud83d", b"\\ude00", b",", b'","', b"}", b"{", b"\x01", b"\xff", b"\xc3", b"\xc3\xa9", b"\n", b"\r", b"\n\n",
    b"null", b'"},"finish_reason":null}]}', b'"content":"', b'","signature":"', b'"},"finish_reason":"stop"}]}', b'","role":"tool', b"data: x\\n\\n", b"[DONE]", b"\xe2\x80\xa8",
]  # fmt: skip
ATOMS = [
    b"1",
    b"2",
    b"0",
    b"-1",
    b"1.5",
    b'"s"',
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'{"k":1}',
    b"9" * 30,
    b"1e5",
    b" 3",
    b"3\n",
    b"",
    b"01",
    b"1,2",
]
COUNTS = [
    b'{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}', b'{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}', b'{"completion_tokens":2}', b"null", b"{}",
    b'{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cost":1}', b'{"prompt_tokens":1,"completion_tokens_details":{"reasoning_tokens":1}}', b'{"prompt_tokens":"5"}',
    b'{"prompt_tokens":5,"x":{"y":{"z":1}}}', b'{"prompt_tokens":1.0,"obfuscation":"x"}', b'{"prompt_tokens":1}}', b'{"prompt_tokens":\n1}',
]  # fmt: skip
LOGPROBS = [
    b'{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]}',
    b'{"content":[]}',
    b"null",
    b"{}",
    b'{"content":null,"x":1}',
    b'{"content":[{"token":5}]}',
    b"[]",
]
HOLES = {
    b"T": TEXTS,
    b"A": ATOMS,
    b"U": COUNTS,
    b"L": LOGPROBS,
    b"I": [b"0", b"1", b"2", b"-0", b"1.0", b"null", b'"1"', b"9"],
    b"P": [b"a", b"abc", b"", b"b", b"abcdefghijklmnopqrstuvwxyz0123456789", b'a"'],
}
"""What may stand in a hole, by the letter that marks it between `%`s."""
TEMPLATES = [
    b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%T%"},"finish_reason":null}]}',
    b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%T%"},"finish_reason":null}],"signature":"%T%"}',
    b'data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":%I%,"delta":{"content":"%T%"},"finish_reason":null}]}',
    b'data: {"id":"c1","choices":[{"index":%I%,"delta":{"content":"%T%"},"logprobs":%L%}],"usage":%U%}',
    b'data:{"choices":[{"index":0,"delta":{"reasoning":"%T%"}}],"obfuscation":"%T%"}',
    b'data: {"obfuscation":"%T%","id":"c1","choices":[{"delta":{"content":"%T%"},"index":0}],"usage":%U%}',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%T%"}}]}}],"p":"%P%"}',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":%I%,"id":"a","function":{"name":"f","arguments":"%T%"}}]}}]}',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"%T%"}}],"vendor":%A%,"x":%A%}',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"%T%"},"stop_reason":%A%}],"response_hash":"%T%"}',
    b'data: {"id":"%T%","choices":[{"index":0,"delta":{"content":"%T%","content":"b"}}]}',
    b'data: {"id" : "c1" , "choices" : [ { "index" : %I% , "delta" : { "refusal" : "%T%" } } ] }',
    b'data: {"id":"c1","choices":[],"usage":%U%}',
]  # fmt: skip
ENDS = [
    b"\n\n",
    b"\n\n",
    b"\n\n",
    b"\n\n: c\n\n",
    b"\r\n\r\n",
    b"\n",
    b"\r\r",
    b"\n\n\n",
    b"\nid: 5\n\n",
    b"\nevent: x\n\n",
    b"\ndata: [DONE]\n\n",
    b"\n\n: c\n\n: d\n\n",
    b"\r\n\n",
]
BEFORE = [
    b"",
    b"",
    b"",
    b": keep-alive\n\n",
    b"event: error\n",
    b"id: 1\n",
    b"retry: 5\n",
    b"\n",
    b"data: \n",
    b"\xef\xbb\xbf",
    b"noise\n",
    b"error: {}\n",
]


def built_of_templates(row: Row) -> bytes:
    parts: list[bytes] = []
    while row.more and len(parts) < 24:
        template = row.pick(TEMPLATES)
        end, odd = row.pick(ENDS[:5]), row.number(3)
        for _ in range(1 + row.number(6)):
            pieces = template.split(b"%")
            for place in range(1, len(pieces), 2):
                options = HOLES[pieces[place]]
                plain = odd and row.number(3)
                pieces[place] = (
                    options[row.number(1)]
                    if plain
                    else row.some(6)
                    if odd == 3 and row.number(7) == 7
                    else row.pick(options)
                )
            parts += [row.pick(BEFORE) if odd == 2 else b"", b"".join(pieces), row.pick(ENDS) if odd == 1 else end]
    return b"".join(parts) + row.pick([b"", b"data: [DONE]\n\n", b"data: [DONE]", b"data: {", b"\r"])


WORDS = [
    "",
    "a",
    "b",
    "f",
    "null",
    "é😀",
    "\ud83d",
    "\ude00",
    "{",
    "}",
    "{}",
    '{"a":',
    "data: x\n\n",
    "[DONE]",
    "\u2028",
    "\x00",
    '"',
    "\\",
    "stop",
    "text",
    "function",
    "5",
    "error",
    "chat.completion",
]
PLAIN: list[Any] = [
    None,
    0,
    1,
    2,
    -1,
    2.5,
    10.0,
    True,
    False,
    10**18,
    2**61 - 1,
    10**400,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"index": 0},
    {"k": {"obfuscation": "x", "k": 1}},
    {"": ""},
]
NAMES: dict[str, list[str]] = {
    "chunk": ["choices", "id", "usage", "object", "model", "created", "error", "x_groq", "system_fingerprint", "service_tier", "obfuscation", "p", "vendor", "citations", "extra", "type"],
    "choice": ["delta", "index", "finish_reason", "message", "logprobs", "usage", "error", "text", "token_ids", "stop_reason", "content_filter_results", "vendor", "seed"],
    "delta": ["content", "tool_calls", "role", "reasoning_content", "reasoning", "refusal", "reasoning_details", "function_call", "audio", "annotations", "images", "name", "obfuscation", "vendor", "list"],
    "message": ["content", "role", "tool_calls", "refusal", "vendor"],
    "call": ["index", "function", "id", "type", "custom", "extra_content", "vendor"],
    "callee": ["arguments", "name", "input", "vendor"],
    "item": ["index", "type", "id", "text", "summary", "data", "vendor"],
    "part": ["type", "text", "thinking", "vendor"],
    "usage": ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cost", "vendor"],
    "details": ["cached_tokens", "audio_tokens", "vendor"],
    "logprobs": ["content", "refusal", "vendor"],
    "logprob": ["token", "logprob", "bytes", "top_logprobs"],
    "audio": ["id", "data", "transcript", "expires_at"],
    "groq": ["id", "usage"],
}  # fmt: skip
LISTS = {
    "choices": "choice", "tool_calls": "call", "reasoning_details": "item", "annotations": "item", "images": "item", "list": "item", "bytes": "number", "token_ids": "number", "top_logprobs": "logprob",
}  # fmt: skip
OBJECTS = {
    "delta": "delta", "message": "message", "function": "callee", "custom": "callee", "function_call": "callee", "usage": "usage", "prompt_tokens_details": "details", "logprobs": "logprobs", "audio": "audio", "x_groq": "groq",
}  # fmt: skip
NUMBERS = (
    "index",
    "created",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "audio_tokens",
    "cost",
    "logprob",
    "expires_at",
    "seed",
)


def value(row: Row, name: str, depth: int) -> Any:
    """A value for a field: nearly always of its kind."""
    if row.number(9) == 9:
        return row.pick([*PLAIN, *WORDS])
    if name in LISTS or (name == "content" and depth > 3 and row.number(3) == 3):
        kind = LISTS.get(name, "part")
        return [made(row, kind, depth) for _ in range(row.number(3))]
    if name in OBJECTS:
        return made(row, OBJECTS[name], depth)
    if name in NUMBERS:
        return row.number(5)
    if name == "vendor":
        return row.pick([*PLAIN, *WORDS])
    return row.pick(WORDS)


def made(row: Row, kind: str, depth: int) -> Any:
    if kind == "number" or depth > 8:
        return row.number(200)
    if row.number(15) == 15:
        return row.pick(PLAIN)
    count = 1 + row.number(3)
    names = [
        NAMES[kind][0 if first else row.number(len(NAMES[kind]) - 1)] for first in [row.number(2) > 0] + [False] * count
    ]
    return {
        name: [made(row, "logprob", depth + 1)]
        if kind == "logprobs" and name == "content"
        else value(row, name, depth + 1)
        for name in names
    }


def chunks(row: Row) -> list[Any]:
    """Chunks, and what is none."""
    listed = []
    while row.more and len(listed) < 12:
        head = {"id": "c1"} if row.number(1) else {}
        chunk = made(row, "chunk", 0)
        listed.append({**head, **chunk} if isinstance(chunk, dict) else chunk)
    return listed


def framed(row: Row, events: list[str]) -> bytes:
    end = row.pick(["\n\n", "\r\n\r\n", "\n", "\r\r"])
    return "".join(f"data: {event}{end}" for event in events).encode("utf-8", "surrogatepass") + row.pick(
        [b"", b"data: [DONE]\n\n"]
    )
