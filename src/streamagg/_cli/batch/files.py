"""Recordings in files: which kinds there are, what is in a line of JSON, and how each is opened."""

from __future__ import annotations

import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Literal, TypeVar, cast

import msgspec
import pyarrow as pa

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Kind = Literal["body", "jsonl", "parquet"]

KINDS: dict[str, Kind] = {".sse": "body", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""What is looked for in directories, by suffix."""

PROBLEMS = (OSError, EOFError, zlib.error, zstd.ZstdError, pa.ArrowException)
"""What reading a file may raise: that is one row, and no reason to stop."""

_BOM = b"\xef\xbb\xbf"
_LONGEST_WINDOW = 31  # of `zstd --long`; without saying so, 27

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None).decode
_text = msgspec.json.Decoder(str).decode
_UNREADABLE = (ValueError, RecursionError)

T = TypeVar("T")


def suffix_of(path: str) -> str:
    """A name's suffix, without that of its compression."""
    stem, suffix = os.path.splitext(path)
    return os.path.splitext(stem)[1] if suffix in (".gz", ".zst") else suffix


def is_plain(path: str) -> bool:
    """Whether a file is not compressed."""
    return not path.endswith((".gz", ".zst"))


def opened(path: str) -> BufferedIOBase:
    """The file for reading, decompressed."""
    if path.endswith(".gz"):
        return gzip.open(path)
    if path.endswith(".zst"):
        options = {int(zstd.DecompressionParameter.window_log_max): _LONGEST_WINDOW}
        return cast(BufferedIOBase, zstd.open(path, options=options))
    return open(path, "rb")


def lines_of(file: BufferedIOBase, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank and begin at byte `start` or later, each with the byte that it begins at."""
    if start:
        file.seek(start - 1)
        start += len(file.readline()) - 1
    for line in file:
        if text := (line if start else line.removeprefix(_BOM)).strip():
            yield start, text
        start += len(line)


# ------------------------------------------------------------------ lines of JSON


def is_chunk(line: bytes, column: str) -> bool:
    """Whether a line is one chunk of a stream, so that its file holds streams in many lines each."""
    fields = fields_of(line)
    if column in fields:
        return False
    if "choices" not in fields:
        return _string(fields.get("object", b"")) == "chat.completion.chunk"
    try:
        return not any("message" in choice for choice in _read(_choices, fields["choices"]) or ())
    except _UNREADABLE:
        return False


def fields_of(line: bytes) -> dict[str, bytes]:
    """The members of an object as JSON; empty where a line is none."""
    if not line.startswith(b"{"):
        return {}
    try:
        return {name: bytes(value) for name, value in _read(_fields, line).items()}
    except _UNREADABLE:
        return {}


def text_of(value: bytes) -> str | None:
    """A JSON value as text: a string is itself, null is None, all else is its JSON."""
    text = _string(value)
    return None if value == b"null" else value.decode("utf-8", "replace") if text is None else text


def body_of(value: bytes) -> bytes | None:
    """The recording in a JSON value: a string is a body, a list is a stream's chunks; all else, as it is, a
    plain answer or an error."""
    if value == b"null":
        return None
    if not value.startswith(b"["):
        return _unquoted(value)
    try:
        chunks = [_unquoted(bytes(item)) for item in _read(_items, value)]
    except _UNREADABLE:
        return value
    return body_of_chunks([chunk for chunk in chunks if chunk != b"null"])


def body_of_chunks(chunks: list[bytes]) -> bytes:
    """The body of a stream whose chunks were recorded as JSON, or in slices as they came."""
    if not chunks or not chunks[0].lstrip().startswith(b"{"):
        return b"".join(chunks)
    return b"".join(b"data: %b\n\n" % chunk.replace(b"\n", b"\ndata: ") for chunk in chunks)


def id_of(line: bytes) -> str:
    """The id of a chunk; empty where it has none."""
    return _string(fields_of(line).get("id", b"")) or ""


def _unquoted(value: bytes) -> bytes:
    """The bytes of a string; any other JSON value as it is."""
    text = _string(value)
    return value if text is None else text.encode()


def _string(value: bytes) -> str | None:
    """The string that a JSON value is; None where it is none."""
    if not value.startswith(b'"'):
        return None
    try:
        return _read(_text, value)
    except _UNREADABLE:
        return None


def _read(decode: Callable[[bytes], T], value: bytes) -> T:
    """Strictly, then as loggers write that cut a text anywhere: half a character, half a surrogate pair."""
    try:
        return decode(value)
    except _UNREADABLE:
        text = json.dumps(json.loads(value.decode("utf-8", "replace"), strict=False), ensure_ascii=False)
        return decode(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode())
