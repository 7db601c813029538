"""What a batch reads: which files, which recordings in them, and what becomes of what cannot be read."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import chunk, sse

pa = pytest.importorskip("pyarrow", reason="needs the extra `batch`")
pytest.importorskip("rich", reason="needs the extra `batch`")

import pyarrow.parquet as pq  # noqa: E402 - not without the extra

from streamagg._cli.batch import plan as _batch_plan  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.files import is_chunk  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.plan import Task, plan, weight_of  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.read import BODY, Options, batches_of  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.work import work  # noqa: E402 - not without what is asked for above
from streamagg.arrow import aggregate  # noqa: E402 - not without what is asked for above

zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

CHUNKS = [chunk({"content": "Hel"}), chunk({"content": "lo\né"}, finish="stop")]
HELLO = sse(*CHUNKS)
PLAIN = {"id": "p", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}  # fmt: skip
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}


def lines(*values: Any) -> bytes:
    return b"".join((value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n" for value in values)


def rows_of(*inputs: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows of all tasks for some inputs, as a batch writes them."""
    chosen = Options(**{"column": "body", "keep": (), "usage": "auto", "format": "jsonl", **options})
    rows: list[dict[str, Any]] = []
    for task in plan(list(map(str, inputs)), chosen.column, [name for name, _ in chosen.keep]):
        part = inputs[0].parent / "part"
        assert work(task, chosen, str(part)).streams == len(part.read_bytes().splitlines())
        rows += map(json.loads, part.read_bytes().splitlines())
        part.unlink()
    return rows


def texts(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["text"] for row in rows]


def paths_of(tasks: list[Task]) -> list[str]:
    return [part.path for task in tasks for part in task]


def test_directories_are_searched_in_order(tmp_path: Path) -> None:
    wanted = ["a/one.sse", "a/two.jsonl.gz", "b.ndjson", "b.sse.zst", "z/deep/er.sse"]
    for name in [*wanted, "a/notes.txt", "b.json", "b.gz", "out.parquet.streamagg-parts/x.jsonl"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    names = [str(tmp_path / name) for name in wanted]
    assert paths_of(plan([str(tmp_path)], "body")) == ["/".join(name.split("//")) for name in sorted(names, key=walked)]
    assert paths_of(plan([str(tmp_path / "**" / "*.sse")], "body")) == [names[0], names[4]]
    twice = plan(
        [names[3], str(tmp_path / "a"), str(tmp_path), os.path.relpath(names[0])], "body", leave_out=[names[4]]
    )
    assert paths_of(twice) == [names[3], names[0], names[1], names[2]]
    assert paths_of(plan([str(tmp_path / "b.json")], "body")) == [str(tmp_path / "b.json")]


def walked(name: str) -> tuple[int, str]:
    """A directory's files come before those of the directories in it."""
    return (name.count("/"), name) if "deep" not in name else (99, name)


@pytest.mark.parametrize("name", ["absent.sse", "no*.sse", "dangling.sse"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "dangling.sse").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        plan([str(tmp_path / name)], "body")


def test_a_directory_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        plan([str(tmp_path)], "body")


def test_small_files_share_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (tmp_path / f"{number}.sse").write_bytes(b"x" * 40)
    assert list(map(len, plan([str(tmp_path)], "body"))) == [10]
    monkeypatch.setattr(_batch_plan, "TASK_BYTES", 100)
    assert list(map(weight_of, plan([str(tmp_path)], "body"))) == [120, 120, 120, 40]
    monkeypatch.setattr(_batch_plan, "_TASK_FILES", 2)
    assert list(map(len, plan([str(tmp_path)], "body"))) == [2] * 5


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file_is_a_recording(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.sse{suffix}"
    path.write_bytes(COMPRESS[suffix](HELLO))
    (row,) = rows_of(path)
    assert (row["source"], row["position"], row["text"], row["complete"]) == (str(path), 0, "Hello\né", True)
    assert row["response"]["choices"][0]["message"]["content"] == "Hello\né"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_of_a_file_that_breaks_off_what_there_is_counts(suffix: str, tmp_path: Path) -> None:
    body = sse(*(chunk({"content": os.urandom(40).hex()}) for _ in range(2000)))
    whole = COMPRESS[suffix](body)
    (tmp_path / f"a.sse{suffix}").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / f"b.sse{suffix}").write_bytes(whole[:-1])
    cut, nearly = rows_of(tmp_path)
    for row in (cut, nearly):
        assert (row["complete"], row["error"]) == (False, "EOFError")
        assert "ended before the end-of-stream marker" in row["error_message"]
    assert len(nearly["text"]) >= len(cut["text"]) > 0


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.sse.gz", b"data: no gzip\n\n", "BadGzipFile"),
        ("a.sse.gz", gzip.compress(HELLO)[:15] + b"\xff" * 30, "error"),
        ("a.sse.zst", b"data: no zstd\n\n", "ZstdError"),
        ("a.jsonl.gz", b"[]\n", "BadGzipFile"),
        ("a.parquet", b"PAR1 and no more", "ArrowInvalid"),
    ],
)
def test_what_cannot_be_read_is_a_row(name: str, content: bytes, error: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "z.sse").write_bytes(HELLO)
    broken, good = rows_of(tmp_path, keep=())
    assert (broken["source"], broken["complete"], broken["error"]) == (str(tmp_path / name), False, error)
    assert broken["error_message"]
    assert good["complete"]


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    for name in ("a.sse", "b.jsonl"):
        (tmp_path / name).write_bytes(b"x")
    pq.write_table(pa.table({"body": [HELLO], "n": [1]}), tmp_path / "c.parquet")
    options = Options("body", (("n", "n"),), "auto", "jsonl")
    (tmp_path / "b.jsonl").write_bytes(lines({"body": "", "n": 1}))
    tasks = plan([str(tmp_path)], "body", ["n"])
    for path in tmp_path.iterdir():
        path.unlink()
    work(tasks[0], options, str(tmp_path / "part"))
    rows = list(map(json.loads, (tmp_path / "part").read_bytes().splitlines()))
    assert [(row["error"], row["n"]) for row in rows] == [("FileNotFoundError", None)] * 3


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.sse"
    Path(os.fsdecode(path)).write_bytes(HELLO)
    Path(os.fsdecode(path + b".gz")).write_bytes(b"no gzip")
    good, broken = rows_of(tmp_path)
    assert good["source"] == f"{tmp_path}/?.sse"
    assert broken["error"] == "BadGzipFile"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize(
    "line",
    [
        HELLO.decode(),
        {"body": HELLO.decode(), "other": [1]},
        {"body": CHUNKS},
        {"body": [json.dumps(one) for one in CHUNKS]},
        {"body": [json.dumps(one, indent=1) for one in CHUNKS]},
        {"body": [None, *CHUNKS, "[DONE]"]},
        {"body": [HELLO[:40].decode(), HELLO[40:].decode()]},
        CHUNKS,
        b"\xef\xbb\xbf" + json.dumps(HELLO.decode()).encode() + b"\r",
        b'  {"body":\t' + json.dumps(CHUNKS).encode() + b" }  ",
    ],
    ids=range(10),
)
def test_a_line_is_a_recording(line: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](lines(line, b"", line if not isinstance(line, bytes) else CHUNKS).rstrip()))
    rows = rows_of(path)
    assert texts(rows) == ["Hello\né"] * 2
    assert [row["complete"] for row in rows] == [True, True]
    assert rows[0]["position"] == 0
    opened = (gzip.open if suffix == ".gz" else zstd.open if suffix else open)(path, "rb")
    with opened as file:
        file.seek(rows[1]["position"])
        assert rows_of_line(file.read(), tmp_path) == [rows[1]["text"]]


def rows_of_line(line: bytes, folder: Path) -> list[Any]:
    (folder / "line.jsonl").write_bytes(line)
    return texts(rows_of(folder / "line.jsonl"))


@pytest.mark.parametrize(
    ("line", "text", "error"),
    [
        (PLAIN, "Hi", None),
        ({"body": PLAIN}, "Hi", None),
        ({"body": json.dumps(PLAIN)}, "Hi", None),
        ({"body": None}, None, "IncompleteStreamError"),
        (None, None, "IncompleteStreamError"),
        ({"error": {"message": "too many requests"}}, None, "ProviderError"),
        ({"body": {"error": "no"}}, None, "ProviderError"),
        ({"body": 5}, None, "DecodeError"),
        ({"other": "x"}, None, "IncompleteStreamError"),
        ({"body": []}, None, "IncompleteStreamError"),
        (b'{"body": "data: {', None, "IncompleteStreamError"),
        (b'["a", ', None, "IncompleteStreamError"),
        (json.dumps({"body": HELLO.decode()}).encode().replace(b"Hel", b"H\\ud83dl"), "H\ufffdllo\né", None),
        (json.dumps({"body": HELLO.decode()}).encode().replace(b"Hel", b"H\xff\\ud83dl"), "H\ufffd\ufffdllo\né", None),
        (b'{"body":"\\ud83d\\u00"}', None, "DecodeError"),
        (b"[" * 50, None, "IncompleteStreamError"),
        (b"nonsense", None, "DecodeError"),
        (b'"data: cut', None, "DecodeError"),
        (b'{"choices":5}', None, "DecodeError"),
    ],
    ids=range(19),
)
def test_other_lines(line: Any, text: str | None, error: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(line, {"body": HELLO.decode()}))
    first, second = rows_of(path)
    assert (first["text"], first["error"]) == (text, error)
    assert second["complete"]


def test_a_line_that_nests_too_deep_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(b"[" * 5000, b'{"body":' * 5000, {"body": HELLO.decode()}))
    first, second, third = rows_of(tmp_path / "a.jsonl")
    assert not first["complete"]
    assert not second["complete"]
    assert third["complete"]


def test_lines_of_a_file_that_breaks_off(tmp_path: Path) -> None:
    whole = gzip.compress(lines(*({"body": HELLO.decode(), "n": os.urandom(99).hex()} for _ in range(200))))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    *rows, last = rows_of(tmp_path / "a.jsonl.gz", keep=(("n", "n"),))
    assert 50 < len(rows) < 150
    assert all(row["complete"] and len(row["n"]) == 198 for row in rows)
    assert (last["error"], last["n"], last["position"]) == ("EOFError", None, rows[-1]["position"])


def stream(name: str, *said: str, **fields: Any) -> list[Any]:
    """Chunks of one id."""
    return [
        chunk({"content": text}, finish="stop" if text == said[-1] else None, **{"id": name, **fields}) for text in said
    ]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_lines_that_are_chunks_are_put_together_by_id(suffix: str, tmp_path: Path) -> None:
    a, b, c = stream("a", "1", "2", "3"), stream("b", "4", "5"), stream("c", "6")
    azure = {"id": "", "choices": [], "prompt_filter_results": [1]}
    mixed = [azure, a[0], b[0], a[1], {"choices": [], "usage": {"prompt_tokens": 3}}, c[0], b[1], a[2], b"[DONE]"]
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(COMPRESS[suffix](lines(*mixed)))
    rows = rows_of(path)
    assert texts(rows) == ["123", "45", "6"]
    assert [row["prompt_tokens"] for row in rows] == [3, None, None]
    assert rows[0]["response"]["prompt_filter_results"] == [1]
    assert [row["position"] for row in rows] == [0, len(lines(*mixed[:2])), len(lines(*mixed[:5]))]
    assert all(row["complete"] for row in rows)


def test_what_is_kept_is_text_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"body":"","n":{"a":"\xff"}}\n{"body":"","n":"\xff"}\n')
    assert [row["n"] for row in rows_of(tmp_path / "a.jsonl", keep=(("n", "n"),))] == ['{"a":"\ufffd"}', "\ufffd"]


@pytest.mark.parametrize(
    ("line", "chunk_of_many"),
    [
        ({"choices": None}, True),
        ({"choices": [{"delta": {}}]}, True),
        ({"object": "chat.completion.chunk"}, True),
        (b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', True),
        ({"choices": [], "body": ""}, False),
        ({"choices": [{"message": {}}], "object": "chat.completion"}, False),
        ({"choices": [5]}, False),
        ({"object": 5}, False),
        (b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}", False),
    ],
    ids=range(9),
)
def test_which_lines_are_chunks(line: Any, chunk_of_many: bool) -> None:
    assert is_chunk(lines(line).strip(), "body") is chunk_of_many


@pytest.mark.parametrize("fields", [{"id": None}, {"id": 5}, {"object": None}, {"created": None}])
def test_chunks_without_an_id_are_one_stream(fields: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*stream("x", "1", "2", **fields)))
    assert texts(rows_of(path)) == ["12"]


def test_chunks_in_a_file_that_breaks_off(tmp_path: Path) -> None:
    chunks = [chunk({"content": os.urandom(50).hex()}, id=name) for _ in range(100) for name in "ab"]
    whole = gzip.compress(lines(*chunks))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    rows = rows_of(tmp_path / "a.jsonl.gz")
    assert [row["error"] for row in rows] == ["IncompleteStreamError", "IncompleteStreamError", "EOFError"]
    assert all(len(row["text"]) > 1000 for row in rows[:2])


def test_a_long_window(tmp_path: Path) -> None:
    """As `zstd --long=28` makes, which decompressors refuse unless told otherwise."""
    long = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.enable_long_distance_matching: 1}
    (tmp_path / "a.sse.zst").write_bytes(zstd.compress(HELLO * 3000, options=long))
    compressor = zstd.ZstdCompressor(options=long)  # of a length that is not known before
    (tmp_path / "b.sse.zst").write_bytes(compressor.compress(HELLO) + compressor.flush())
    assert texts(rows_of(tmp_path)) == ["Hello\né"] * 2


def test_an_empty_file_has_no_recordings_and_an_empty_body_is_one(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "b.sse"):
        (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    (row,) = rows_of(tmp_path)
    assert row["source"].endswith("b.sse")


@pytest.mark.parametrize("size", [1, 7, 30, 31, 32, 100, 1000])
def test_a_file_cut_anywhere_gives_every_line_once(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    values = [{"body": "x" * (number * 7 % 40), "n": number} for number in range(40)]
    path.write_bytes(lines(b"", *values[:20], b"   ", *values[20:]).rstrip())
    monkeypatch.setattr(_batch_plan, "TASK_BYTES", size)
    tasks = plan([str(path)], "body")
    assert len(tasks) == -(-path.stat().st_size // size)
    assert sum(map(weight_of, tasks)) == path.stat().st_size
    found = [row for task in tasks for row in recordings(task, (("n", "n"),))]
    assert [row["n"] for row in found] == list(map(str, range(40)))
    data = path.read_bytes()
    assert [json.loads(data[row["position"] :].split(b"\n")[0])["n"] for row in found] == list(range(40))


def recordings(task: Task, keep: Any) -> Iterator[dict[str, Any]]:
    for batch in batches_of(task, Options("body", keep, "auto", "jsonl")):
        yield from batch.recordings.to_pylist()


def test_a_file_of_chunks_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*stream("x", *"abcdefgh")))
    monkeypatch.setattr(_batch_plan, "TASK_BYTES", 100)
    assert texts(rows_of(path)) == ["abcdefgh"]


def test_recordings_come_in_batches_of_some_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*({"body": "x" * 10} for _ in range(10))))
    (task,) = plan([str(path)], "body")
    options = Options("body", (), "auto", "jsonl")
    for name, value, sizes in (("_BYTES", 25, [3, 3, 3, 1]), ("_ROWS", 5, [5, 5])):
        with monkeypatch.context() as patch:
            patch.setattr("streamagg._cli.batch.read." + name, value)
            assert [batch.recordings.num_rows for batch in batches_of(task, options)] == sizes


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_string(), pa.list_(pa.binary()), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_parquet(kind: Any, tmp_path: Path) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    bodies: list[Any] = [HELLO, None, HELLO[:40]]
    if pa.types.is_list(kind):
        bodies = [[json.dumps(one).encode() for one in CHUNKS], None, [b"data: ", b"{"]]
    elif plain != pa.binary():
        bodies = [body and body.decode() for body in bodies]
    table = pa.table({"n": [1, 2, 3], "body": pa.array(bodies, plain).cast(kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = rows_of(tmp_path / "a.parquet", keep=(("n", "number"),))
    assert [(row["position"], row["number"]) for row in rows] == [(0, "1"), (1, "2"), (2, "3")]
    wanted = aggregate(table.select(["body"])).to_pylist()
    for row, want in zip(rows, wanted, strict=True):
        want["response"] = want["response"] and json.loads(want["response"])
        assert {name: row[name] for name in want} == want


def test_parquet_is_cut_between_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": [HELLO] * 10, "n": range(10)}), path, row_group_size=3)
    metadata = pq.read_metadata(path)
    size = sum(metadata.row_group(number).total_byte_size for number in range(4))
    for task_bytes, groups in ((1, [1, 1, 1, 1]), (size // 3, [2, 2]), (size + 1, [4])):
        monkeypatch.setattr(_batch_plan, "TASK_BYTES", task_bytes)
        tasks = plan([str(path)], "body", ["n"])
        assert [part.stop - part.start for task in tasks for part in task if part.stop] == groups
        assert sum(map(weight_of, tasks)) == size
        rows = rows_of(path, keep=(("n", "n"),))
        assert [(row["position"], row["n"], row["complete"]) for row in rows] == [(n, str(n), True) for n in range(10)]
    monkeypatch.setattr("streamagg._cli.batch.read._BYTES", 1)
    assert texts(rows_of(path)) == ["Hello\né"] * 10


def test_parquet_between_other_files(tmp_path: Path) -> None:
    for number in (1, 3, 5):
        (tmp_path / f"{number}.sse").write_bytes(sse(chunk({"content": str(number)}, finish="stop")))
    for number in (2, 4):
        body = sse(chunk({"content": str(number)}, finish="stop"))
        pq.write_table(pa.table({"body": [body]}), tmp_path / f"{number}.parquet")
    pq.write_table(pa.table({"body": pa.array([], pa.binary())}), tmp_path / "6.parquet")
    assert texts(rows_of(tmp_path)) == ["1", "2", "3", "4", "5"]


def test_parquet_that_breaks_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"body": [os.urandom(2000) for _ in range(9)]}), path, row_group_size=3, compression="snappy"
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2 - 20 : len(data) // 2 + 20] = bytes(40)
    path.write_bytes(data)
    rows = rows_of(path)
    assert [row["position"] for row in rows][:3] == [0, 1, 2]
    assert rows[-1]["error"] in ("OSError", "ArrowInvalid") or len(rows) == 9


@pytest.mark.parametrize(
    ("columns", "keep", "error", "words"),
    [
        ({"said": [b""]}, [], ValueError, "has no column 'body': it has said"),
        ({"body": [b""]}, ["user"], ValueError, "has no column 'user'"),
        ({"body": [1]}, [], TypeError, "column 'body' holds int64"),
    ],
)
def test_parquet_without_what_is_wanted(
    columns: Any, keep: list[str], error: type[Exception], words: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(error, match=words):
        plan([str(tmp_path)], "body", keep)


def test_what_is_kept_of_lines(tmp_path: Path) -> None:
    values = [{"n": "text"}, {"n": 1.50}, {"n": None}, {}, {"n": {"a": [1]}}, {"n": True}, "no object"]
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        lines(*({"body": HELLO.decode(), **value} if isinstance(value, dict) else value for value in values))
    )
    rows = rows_of(path, keep=(("n", "kept"), ("body", "raw")))
    assert [row["kept"] for row in rows] == ["text", "1.5", None, None, '{"a": [1]}', "true", None]
    assert rows[0]["raw"] == HELLO.decode()
    assert list(rows[0])[:5] == ["source", "position", "kept", "raw", "id"]


def test_what_is_kept_of_parquet(tmp_path: Path) -> None:
    when = datetime.datetime(2025, 11, 22, 12, tzinfo=datetime.timezone.utc)
    columns = {
        "s": ["text"],
        "n": [1.5],
        "nothing": pa.nulls(1),
        "deep": [{"a": [1, None]}],
        "when": [when],
        "yes": [True],
    }
    pq.write_table(pa.table({"body": [HELLO], **columns}), tmp_path / "a.parquet")
    (row,) = rows_of(tmp_path / "a.parquet", keep=(*((name, name) for name in columns), ("body", "raw")))
    assert [row[name] for name in columns] == ["text", "1.5", None, '{"a":[1,null]}', "2025-11-22T12:00:00Z", "true"]
    assert row["raw"]  # bytes are base64 in JSON


def test_the_body_is_in_no_ones_way(tmp_path: Path) -> None:
    assert BODY not in rows_of(_written(tmp_path))[0]


def _written(folder: Path) -> Path:
    (folder / "a.sse").write_bytes(HELLO)
    return folder / "a.sse"
