"""Files of recordings: their kinds, how to open them, and how to read a line of JSON.

1. Any file is read as far as possible. `PROBLEMS` are the exceptions that reading one may raise.
2. Reading a line of JSON never raises: a line that is not an object has no fields.
"""

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
"""The kind of a file by its suffix. In directories, only files with these suffixes are read."""

PROBLEMS = (OSError, EOFError, zlib.error, zstd.ZstdError, pa.ArrowException)
"""The exceptions of an unreadable file. They make one row of the output and do not stop the batch."""

_BOM = b"\xef\xbb\xbf"
_WINDOW_LOG_MAX = 31  # `zstd --long=31` writes it; without this option the decoder refuses more than 27

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None).decode
_text = msgspec.json.Decoder(str).decode
_UNREADABLE = (ValueError, RecursionError)

T = TypeVar("T")


def suffix_of(path: str) -> str:
    """The suffix of a path, without the suffix of its compression."""
    stem, suffix = os.path.splitext(path)
    return os.path.splitext(stem)[1] if suffix in (".gz", ".zst") else suffix


def is_plain(path: str) -> bool:
    """Whether a file is not compressed."""
    return not path.endswith((".gz", ".zst"))


def open_file(path: str) -> BufferedIOBase:
    """Open a file for reading; its bytes come decompressed."""
    if path.endswith(".gz"):
        return gzip.open(path)
    if path.endswith(".zst"):
        options = {int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
        return cast(BufferedIOBase, zstd.open(path, options=options))
    return open(path, "rb")


def lines_of(file: BufferedIOBase, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank and begins at byte `start` or later, with the position of its first byte."""
    # A slice may start in the middle of a line. That line belongs to the slice before.
    if start:
        file.seek(start - 1)
        start += len(file.readline()) - 1
    for line in file:
        if text := (line if start else line.removeprefix(_BOM)).strip():
            yield start, text
        start += len(line)


def is_chunk(line: bytes, column: str) -> bool:
    """Whether a line is one chunk of a stream. Its file then holds one chunk on each line."""
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
    """The members of a JSON object, each as JSON; empty where the line is not an object."""
    if not line.startswith(b"{"):
        return {}
    try:
        return {name: bytes(value) for name, value in _read(_fields, line).items()}
    except _UNREADABLE:
        return {}


def text_of(value: bytes) -> str | None:
    """A JSON value as text: a string without its quotes, None for null, any other value as JSON."""
    text = _string(value)
    return None if value == b"null" else value.decode("utf-8", "replace") if text is None else text


def body_of(value: bytes) -> bytes | None:
    """The recording in a JSON value: a string is a body, a list holds the chunks of a stream, null is None.

    Any other value is itself the body: a plain response or an error.
    """
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
    """The body of a stream that was recorded as a list: of chunks as JSON, or of slices of the body."""
    if not chunks or not chunks[0].lstrip().startswith(b"{"):
        return b"".join(chunks)
    return b"".join(b"data: %b\n\n" % chunk.replace(b"\n", b"\ndata: ") for chunk in chunks)


def id_of(line: bytes) -> str:
    """The id of a chunk; empty where it has none."""
    return _string(fields_of(line).get("id", b"")) or ""


def _unquoted(value: bytes) -> bytes:
    """The bytes of a JSON string; any other JSON value unchanged."""
    text = _string(value)
    return value if text is None else text.encode()


def _string(value: bytes) -> str | None:
    """The text of a JSON string; None for any other value."""
    if not value.startswith(b'"'):
        return None
    try:
        return _read(_text, value)
    except _UNREADABLE:
        return None


def _read(decode: Callable[[bytes], T], value: bytes) -> T:
    """Decode strictly, then tolerantly: loggers cut a text inside a character or a surrogate pair."""
    try:
        return decode(value)
    except _UNREADABLE:
        text = json.dumps(json.loads(value.decode("utf-8", "replace"), strict=False), ensure_ascii=False)
        return decode(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode())
