"""The command line: what it prints, where, and its exit status; run as its users run it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamagg._cli.main import main
from tests.support.commands import LIVE, live, on_a_terminal, run
from tests.support.helpers import chunk, merged, sse

CHUNKS = [
    chunk({"content": "Hel"}),
    chunk({"content": "lo\x1b[31m é"}, finish="stop", usage={"prompt_tokens": 3, "cost": 0.5}),
]
BODY = sse(*CHUNKS)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.sse"
    path.write_bytes(BODY)
    return path


def test_a_file_gives_one_line_of_json(recording: Path) -> None:
    status, out, err = run(recording)
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert json.loads(out) == merged(*CHUNKS)


def test_standard_input(recording: Path) -> None:
    for arguments in ([], ["-"]):
        status, out, _ = run(*arguments, stdin=BODY)
        assert (status, json.loads(out)) == (0, merged(*CHUNKS))
    assert run(recording, "-", stdin=BODY)[1].count("\n") == 2


def test_text_and_usage(recording: Path) -> None:
    assert run("--text", recording) == (0, "Hello\x1b[31m é\n", "")
    status, out, _ = run("--text", "--usage", recording, recording)
    assert (status, out.splitlines()[2]) == (0, '{"prompt_tokens":6,"cost":1.0}')
    assert json.loads(run("--usage", recording)[1].splitlines()[-1]) == {"prompt_tokens": 3, "cost": 0.5}


def test_a_terminal_gets_indented_json_and_no_live_controls(recording: Path) -> None:
    assert on_a_terminal("--text", recording) == (0, "Hello\\u001b[31m é\n")
    _, shown = on_a_terminal(recording)
    assert shown.startswith('{\n  "id": "c1",\n')
    assert "\x1b" not in shown
    assert json.loads(shown) == merged(*CHUNKS)


def test_nothing_that_a_server_says_acts_on_a_terminal(tmp_path: Path) -> None:
    said, failed, bad = tmp_path / "said.sse", tmp_path / "failed.sse", tmp_path / "bad.sse"
    said.write_bytes(sse(chunk({"content": f"a{LIVE}b\tc\n"}, finish="stop", **{f"k{LIVE}": LIVE})))
    failed.write_bytes(sse(CHUNKS[0], {"error": {"message": LIVE + "x" * 10**6, "type": LIVE, "code": LIVE}}))
    bad.write_bytes(b"data: " + (LIVE.replace("\r", "") + "{").encode() + b"\n\n")
    for arguments in (["--text", said], [said]):
        _, seen = on_a_terminal(*arguments)
        assert not live(seen)
        assert "\\u202e" in seen
    _, seen = on_a_terminal("--text", said)
    assert seen.startswith("a\\u0000\\u0007\\u0008\\u001b]0;t")
    assert seen.endswith("b\tc\n\n")
    for path, status in ((failed, 1), (bad, 2)):
        err = run(path)
        assert err[0] == status
        assert not live(err[2])
        assert len(err[2]) < 3000


def test_an_incomplete_stream_is_printed_all_the_same(tmp_path: Path) -> None:
    cut, failed = tmp_path / "cut.sse", tmp_path / "failed.sse"
    cut.write_bytes(sse(CHUNKS[0], done=False))
    failed.write_bytes(sse(CHUNKS[0], {"error": {"message": "bo\x1bom"}}))
    for path, reason in ((cut, "no finish_reason for choice 0"), (failed, "the server reported an error: bo\\u001bom")):
        status, out, err = run(path)
        assert (status, json.loads(out)) == (1, merged(CHUNKS[0]))
        assert err.startswith(f"streamagg: {path}: ")
        assert reason in err
        assert err.count("\n") == 1
        assert run("--text", path)[:2] == (1, "Hel\n")


@pytest.mark.parametrize("body", [b"", b"<html>\n", b"data: x\n\n"])
def test_what_cannot_be_read_is_one_line(body: bytes) -> None:
    status, out, err = run(stdin=body)
    assert (status, out, err.count("\n")) == (1 if not body else 2, "", 1)
    assert err.startswith("streamagg: standard input: ")


def test_files_that_cannot_be_read(tmp_path: Path, recording: Path) -> None:
    missing = tmp_path / "none.sse"
    assert run(missing) == (2, "", f"streamagg: {missing}: No such file or directory\n")
    status, out, _ = run(missing, recording)
    assert (status, out.count("\n")) == (2, 1)


def test_text_of_a_plain_answer() -> None:
    answer = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"content": "all"}, "finish_reason": "stop"}],
    }
    assert run("--text", stdin=json.dumps(answer).encode()) == (0, "all\n", "")


def test_usage_that_is_missing_is_told() -> None:
    status, out, err = run("--usage", stdin=sse(chunk(finish="stop")))
    assert (status, out.splitlines()[-1], err) == (0, "{}", "streamagg: standard input: the stream reported no usage\n")


def test_version() -> None:
    assert run("--version")[1].startswith("streamagg 0.")


@pytest.mark.parametrize(
    ("closed", "status", "word"),
    [("<&-", 2, "it is closed"), (">&-", 2, "it is closed"), ("> /dev/full", 2, "No space left")],
)
@pytest.mark.parametrize("option", ["", "--text"])
def test_closed_streams_are_one_line(closed: str, status: int, word: str, option: str, recording: Path) -> None:
    source = "" if closed == "<&-" else str(recording)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m streamagg {option} {source} {closed}"], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (status, 1), done.stderr
    assert word in done.stderr.decode()


def test_text_arrives_as_it_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamagg", "--text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sse(CHUNKS[0], done=False))
        assert process.stdout.read(3) == b"Hel"  # while the stream goes on
        process.stdin.write(sse(CHUNKS[1]))
        process.stdin.close()
        assert process.stdout.read() == "lo\x1b[31m é\n".encode()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    long = tmp_path / "long.sse"
    long.write_bytes(sse(chunk({"content": "x" * 1000}), chunk(finish="stop")))
    command = f"{sys.executable} -m streamagg {' '.join([str(long)] * 200)} | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 10)


def test_help_and_bad_options() -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert "examples:" in out
    assert run("--nonsense")[0] == 2


def test_interrupt(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamagg.stream_sync", interrupted)
    assert main([str(recording)]) == 130


def test_the_module_of_the_command_line_can_be_imported() -> None:
    assert callable(importlib.import_module("streamagg.__main__").main)
