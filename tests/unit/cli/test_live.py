"""`--follow`: what a stream says as it comes, and on a terminal nothing that a server could do there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import COMMAND, on_a_terminal, run
from tests.support.helpers import chunk, sse


def call(index: int, **part: Any) -> Any:
    return chunk({"tool_calls": [{"index": index, "id": f"call_{index}", **part}]})


SAID = [
    chunk({"reasoning_content": "Weather, "}),
    chunk({"reasoning_content": "then."}),
    chunk({"content": "Let me "}),
    chunk({"content": "see.\n"}),
    chunk({"content": "(another choice)"}, index=1),
    call(0, function={"name": "get_weather", "arguments": '{"city":'}),
    call(1, type="custom", custom={"name": "grep", "input": "-i ü"}),
    call(2),
    call(0, function={"arguments": '"Malmö"}'}),
    chunk(finish="tool_calls"),
    chunk(finish="stop", index=1),
]
SHOWN = """\
Weather, then.

Let me see.

→ get_weather({"city":"Malmö"})
→ grep(-i ü)
→ ()
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.sse"
    path.write_bytes(sse(*SAID))
    return path


def test_reasoning_text_and_calls(recording: Path) -> None:
    assert run("--follow", recording) == (0, SHOWN, "")
    assert run("--follow", stdin=recording.read_bytes()) == (0, SHOWN, "")


def test_reasoning_is_dimmed_on_a_terminal(recording: Path) -> None:
    status, seen = on_a_terminal("--follow", recording)
    assert (status, re.sub("\x1b\\[(2|22)m", "", seen)) == (0, SHOWN)
    dimmed = re.findall("\x1b\\[2m(.*?)\x1b\\[22m", seen)
    assert "".join(dimmed) == "Weather, then."


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminals_without_styles(env: dict[str, str], recording: Path) -> None:
    assert on_a_terminal("--follow", recording, env=env) == (0, SHOWN)


def test_an_empty_no_color_is_none(recording: Path) -> None:
    assert "\x1b[2m" in on_a_terminal("--follow", recording, env={"NO_COLOR": ""})[1]


def test_several_are_told_apart(recording: Path) -> None:
    (recording.parent / "plain.sse").write_bytes(
        sse(chunk({"refusal": "No."}), chunk(finish="stop", usage={"prompt_tokens": 2}))
    )
    status, out, err = run("--follow", "--usage", recording.parent, "-", stdin=b"")
    plain = f"==> {recording.parent}/plain.sse <==\nNo.\n"
    assert out == f'{plain}\n==> {recording} <==\n{SHOWN}\n==> standard input <==\n{{"prompt_tokens":2}}\n'
    assert (status, err.count("\n")) == (1, 2)


def test_a_stream_that_ends_early_has_no_calls_that_are_not_ready(recording: Path) -> None:
    recording.write_bytes(sse(*SAID[:6], done=False))
    status, out, err = run("--follow", recording)
    assert (status, out) == (1, "Weather, then.\n\nLet me see.\n")
    assert "no finish_reason" in err


def test_a_message_that_is_replaced() -> None:
    growing = [{"index": 0, "message": {"content": text}} for text in ("One", "Two")]
    chunks = [{"id": "x", "choices": [choice]} for choice in growing]
    status, out, _ = run("--follow", stdin=sse(*chunks, chunk(finish="stop")))
    assert (status, out) == (0, "One\n\n(the server begins anew)\n\nTwo\n")


def test_it_is_live() -> None:
    with subprocess.Popen([*COMMAND, "--follow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sse(*SAID[:2], done=False))
        assert process.stdout.read(9) == b"Weather, "  # while the stream goes on
        process.stdin.write(sse(*SAID[2:4], SAID[9], done=False))
        process.stdin.close()
        assert process.stdout.read().decode() == "then.\n\nLet me see.\n"


def test_interrupted_it_ends_its_line() -> None:
    with subprocess.Popen(
        [*COMMAND, "--follow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(sse(SAID[2], done=False))
        assert process.stdout.read(7) == b"Let me "
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (b"\n", b"")
    assert process.returncode == 130


def test_jobs_do_not_go_with_it(recording: Path) -> None:
    assert run("--follow", "--jobs", "2", recording)[:2] == (2, "")


LIVE = "\x00\x07\x08\r\x1b]0;title\x07\x1b[2J\x7f\x80\x9b\u061c\u200e\u200f\u202a\u202e\u2066\u2069"
ESCAPED = "".join(letter if letter in "]0;title[2J" else f"\\u{ord(letter):04x}" for letter in LIVE)
KEPT = "a\tb é ü 😀 \N{HEBREW LETTER ALEF} \u200d"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("option", "delta"),
    [
        ("--text", {"content": LIVE + KEPT}),
        ("--follow", {"content": LIVE + KEPT}),
        ("--follow", {"reasoning": LIVE + KEPT}),
        ("--follow", {"refusal": LIVE + KEPT}),
        ("--follow", {"tool_calls": [{"function": {"name": LIVE + KEPT, "arguments": LIVE + KEPT}}]}),
        ("--summary", {"content": LIVE + KEPT}),
        ("--jsonl", {LIVE + KEPT: "x"}),
    ],
)
def test_controls_are_escaped_on_a_terminal(option: str, delta: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "x.sse").write_bytes(sse(chunk(delta), chunk(finish="stop")))
    _, seen = on_a_terminal(option, tmp_path / "x.sse", streams="both", env={"NO_COLOR": "1"})
    assert not set(LIVE) & set(seen) - set("]0;title[2J")
    if option in ("--text", "--follow"):
        assert ESCAPED + KEPT in seen.replace(" " * 8, "\t")
    else:
        assert KEPT.replace("\t", "\\t") in seen


def test_controls_in_complaints_are_escaped_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\u202e.sse"
    path.write_bytes(sse({"error": {"message": LIVE}}))
    _, seen = on_a_terminal(path, streams="stderr")
    for err in (seen, run(path)[2]):
        assert not set(LIVE) & set(err) - set("]0;title[2J")
        assert f"{tmp_path}/\\u001b[2J\\u202e.sse: the server reported an error: " in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--text", "--follow"])
def test_a_pipe_gets_the_text_untouched(option: str) -> None:
    body = sse(chunk({"content": LIVE + KEPT}), chunk(finish="stop"))
    done = subprocess.run([*COMMAND, option], input=body, capture_output=True, timeout=60)
    assert done.stdout == f"{LIVE}{KEPT}\n".encode()


def test_json_on_a_terminal_is_still_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.sse").write_bytes(sse(chunk({"content": LIVE}), chunk(finish="stop")))
    _, seen = on_a_terminal("--jsonl", tmp_path / "x.sse")
    assert json.loads(seen)["response"]["choices"][0]["message"]["content"] == LIVE
