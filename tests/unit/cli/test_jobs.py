"""The command line on many inputs: which they are, what is told of each and of all, progress, several processes."""

from __future__ import annotations

import errno
import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamagg._cli import jobs as _jobs
from streamagg._cli.inputs import Input, inputs_of
from streamagg._cli.main import main
from streamagg._cli.report import Report
from tests.support.commands import COMMAND, on_a_terminal, run
from tests.support.helpers import chunk, merged, sse


def said(text: str, **fields: Any) -> list[Any]:
    return [chunk({"content": text}), chunk(finish="stop", **fields)]


def body(text: str) -> bytes:
    return sse(*said(text))


def lines(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def told(out: str) -> list[tuple[str, str]]:
    """The file and the state of each line."""
    return [(line["file"], line["state"]) for line in lines(out)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of every state, in a folder where commands run."""
    monkeypatch.chdir(tmp_path)
    usage = {"prompt_tokens": 1000, "completion_tokens": 200}
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name, content in {
        "in/b.sse": body("second"),
        "in/a.sse.gz": gzip.compress(sse(*said("first", usage=usage))),
        "in/deep/cut.sse": sse(chunk({"content": "third"}), done=False),
        "in/deep/failed.sse": sse(chunk({"content": "fourth"}), {"error": {"message": "no"}}),
        "in/deep/html.sse": b"<html>\n",
        "in/notes.txt": b"no recording",
        "in/log.jsonl": b"{}\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


STATES = [
    ("in/a.sse.gz", "complete"),
    ("in/b.sse", "complete"),
    ("in/deep/cut.sse", "cut"),
    ("in/deep/failed.sse", "failed"),
    ("in/deep/html.sse", "unreadable"),
]


def test_a_directory_stands_for_the_recordings_in_it(folder: Path) -> None:
    status, out, _ = run("--jsonl", "in")
    assert (status, told(out)) == (2, STATES)


@pytest.mark.parametrize(
    ("pattern", "places"),
    [("in/*.sse", [1]), ("in/**/*.sse", [1, 2, 3, 4]), ("in/d*", [2, 3, 4]), ("in/[ab].*", [0, 1]), ("in/b.ss?", [1])],
)
def test_a_pattern_stands_for_what_it_matches(pattern: str, places: list[int], folder: Path) -> None:
    assert told(run("--jsonl", pattern)[1]) == [STATES[place] for place in places]


def test_a_pattern_that_matches_folders_and_what_is_in_them_gives_each_once(folder: Path) -> None:
    assert [given.name for given in inputs_of(["in/deep*/**"])] == [
        "in/deep/cut.sse", "in/deep/failed.sse", "in/deep/html.sse"
    ]  # fmt: skip


def test_the_order_is_that_of_the_arguments(folder: Path) -> None:
    status, out, _ = run("--jsonl", "in/deep", "-", "in/b.sse", "in/b.sse", stdin=body("piped"))
    assert (status, told(out)) == (2, [*STATES[2:], ("-", "complete"), STATES[1], STATES[1]])
    assert lines(out)[3]["response"] == merged(*said("piped"))


def test_a_file_whose_name_is_a_pattern_is_that_file(folder: Path) -> None:
    (folder / "[ab].sse").write_bytes(body("x"))
    assert told(run("--jsonl", "[ab].sse")[1]) == [("[ab].sse", "complete")]


def test_options_may_stand_between_files(folder: Path) -> None:
    assert run("in/b.sse", "--text", "in/a.sse.gz") == (0, "second\nfirst\n", "")


def test_nothing_to_read_is_one_line_each(folder: Path) -> None:
    (folder / "empty").mkdir()
    status, out, err = run("empty", "none*", "none.sse")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "streamagg: empty: no recordings in it (*.sse, *.sse.gz)",
        "streamagg: none*: no file matches",
        "streamagg: none.sse: No such file or directory",
    ]


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path == os.path.join("in", "deep"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = list(inputs_of(["in"]))
    assert [given.name for given in found] == ["in/a.sse.gz", "in/b.sse", "in/deep"]
    assert [type(given.problem) for given in found] == [type(None), type(None), PermissionError]


@pytest.mark.parametrize(
    ("content", "error", "response"),
    [
        (gzip.compress(sse(*[chunk({"content": f"{number}"}) for number in range(5000)]))[:-1000], "EOFError", True),
        (b"no gzip", "BadGzipFile", False),
        (gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 20, "error", False),
    ],
)
def test_broken_gzip_files_are_one_line(content: bytes, error: str, response: bool, folder: Path) -> None:
    (folder / "x.sse.gz").write_bytes(content)
    status, out, err = run("--jsonl", "x.sse.gz")
    line = json.loads(out)
    assert (status, line["state"], line["error"]["type"], err.count("\n")) == (2, "unreadable", error, 1)
    assert (line["response"] is not None) == response


def test_lines_of_jsonl(folder: Path) -> None:
    (folder / "odd.sse").write_bytes(sse(chunk({"content": None, "tool_calls": [None]}), *said("x"), chunk(index=None)))
    status, out, err = run("--jsonl", "odd.sse", "in/deep/failed.sse", "none.sse")
    odd, failed, missing = lines(out)
    assert [list(line) for line in (odd, failed, missing)] == [["file", "state", "response", "error", "repairs"]] * 3
    assert (odd["error"], odd["repairs"]) == (None, {"null_item": 1, "choice_index_missing": 1})
    assert odd["response"]["choices"][0]["message"]["content"] == "x"
    assert failed["error"] == {"type": "ProviderError", "message": "the server reported an error: no"}
    assert failed["response"] == merged(chunk({"content": "fourth"}))
    assert missing == {
        "file": "none.sse", "state": "unreadable", "response": None,
        "error": {"type": "FileNotFoundError", "message": "No such file or directory"}, "repairs": {},
    }  # fmt: skip
    assert (status, err.count("\n")) == (2, 2)


def test_a_file_name_that_is_no_text(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.sse")
    (folder / name).write_bytes(body("x"))
    assert told(run("--jsonl", ".")[1])[0] == ("./caf\N{REPLACEMENT CHARACTER}.sse", "complete")


@pytest.mark.parametrize(
    ("arguments", "status"), [(["a.sse.gz", "b.sse"], 0), (["b.sse", "deep/cut.sse"], 1), (["deep"], 2)]
)
def test_the_worst_status_wins(arguments: list[str], status: int, folder: Path) -> None:
    os.chdir(folder / "in")
    assert run(*arguments)[0] == status


SUMMARY = """\
streams  complete  cut  failed  unreadable  tokens  repairs
      5         2    1       1           1   1,200        0
"""


def test_a_summary(folder: Path) -> None:
    assert run("--summary", "in")[2].endswith(f"<html>'\n{SUMMARY}")
    assert "streams" not in run("in")[2]  # not unasked into a file
    assert "streams" in run("--summary", "in/b.sse")[2]
    (folder / "odd.sse").write_bytes(sse(*said("x", usage={"total_tokens": 7}), chunk(index=None)))
    assert run("--summary", "odd.sse")[2].split()[7:] == ["1", "1", "0", "0", "0", "7", "1"]


def test_a_terminal_gets_a_bar_and_a_summary(folder: Path) -> None:
    status, seen = on_a_terminal("in", streams="stderr")
    assert status == 2
    assert "5/5" in seen
    assert "\x1b[2Kstreamagg: in/deep/failed.sse: the server reported an error: no\n" in seen  # on a line of its own
    assert seen.endswith(SUMMARY)
    assert on_a_terminal("in/b.sse", streams="stderr") == (0, "")


def test_a_terminal_of_both_streams_gets_no_bar(folder: Path) -> None:
    status, seen = on_a_terminal("--text", "in", streams="both")
    assert (status, seen.split("streamagg: ")[0], seen.endswith(SUMMARY)) == (2, "first\nsecond\nthird\n", True)
    assert "\x1b" not in seen


def test_without_rich_there_are_plain_lines(folder: Path) -> None:
    (folder / "rich.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(folder)}
    status, seen = on_a_terminal(*["in/b.sse"] * 20, streams="stderr", env=without)
    assert status == 0
    assert seen.splitlines()[:-2] == [f"streamagg: {count} of 20 read" for count in range(2, 21, 2)]
    assert run("in/b.sse", "in/b.sse", env=without)[2] == ""


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--jobs", "x"], ["--usage", "--jsonl"], ["--text", "--jsonl"]])
def test_options_that_make_no_sense(arguments: list[str], folder: Path) -> None:
    status, out, err = run(*arguments, "in")
    assert (status, out) == (2, "")
    assert err.startswith("usage: streamagg ")


def test_what_is_not_needed_is_not_imported(folder: Path) -> None:
    if "coverage" in sys.modules:
        pytest.skip("coverage, which loads more, follows into child processes")
    code = "import sys; from streamagg._cli.main import main; main(['in/b.sse', 'in/a.sse.gz']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"multiprocessing", "rich", "asyncio", "anyio"} & set(done.stdout.split())


@pytest.mark.parametrize(("errors", "status"), [("2>&-", 2), ("2> /dev/full", 2), ("2>&1 > /dev/null | true", 0)])
def test_a_standard_error_that_takes_nothing(errors: str, status: int, folder: Path) -> None:
    """Nothing can be told, and nothing of it goes to standard output."""
    names = "none.sse " * 2000  # more than a pipe holds
    command = f"{sys.executable} -m streamagg --summary {names} in/b.sse {errors}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60)
    assert done.stderr == b""
    assert done.returncode == status
    assert b"streams" not in done.stdout


@pytest.mark.sampled(3)
@pytest.mark.parametrize("options", [[], ["--text"], ["--jsonl"], ["--usage"]])
def test_several_processes_print_the_same(options: list[str], folder: Path) -> None:
    arguments = [*options, "in", "-", "none.sse", "in", "in/b.sse"]
    alone = run(*arguments, stdin=body("piped"))
    assert run(*arguments, "-j3", stdin=body("piped")) == alone


def test_the_order_is_kept_whichever_is_read_first(folder: Path) -> None:
    """The first input is read last: it gets its data once the last one is being read."""
    os.mkfifo("slow")
    os.mkfifo("last")
    names = ["slow", "in/b.sse", "in/a.sse.gz", "in/deep/cut.sse", "last"]
    with subprocess.Popen(
        [*COMMAND, "--text", "-j2", *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        for name in ("last", "slow"):
            with open(name, "wb") as pipe:  # which waits for its reader
                pipe.write(body(name))
        out, _ = process.communicate(timeout=60)
    assert out.decode().split() == ["slow", "second", "first", "third", "last"]


def reader_of(path: Path) -> int:
    """The process that has a pipe open, but for us."""
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid():
            try:
                if any(os.path.realpath(link) == str(path) for link in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:  # it has ended
                continue
    raise AssertionError("nobody reads it")


def test_a_process_that_is_killed_costs_its_input_alone(folder: Path) -> None:
    os.mkfifo("slow")
    names = ["slow", *["in/b.sse"] * 5]
    with (
        subprocess.Popen(
            [*COMMAND, "--jsonl", "--jobs", "2", *names], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        open("slow", "wb"),
    ):
        os.kill(reader_of(folder / "slow"), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert told(out.decode()) == [("slow", "unreadable"), *[("in/b.sse", "complete")] * 5]
    message = "the process that read it was killed by SIGKILL"
    assert lines(out.decode())[0]["error"] == {"type": "ChildProcessError", "message": message}
    assert (process.returncode, err.decode()) == (2, f"streamagg: slow: {message}\n")


def deadly(given: Input) -> Report:
    """Reads nothing, and dies of some names."""
    if given.name.startswith("exit"):
        os._exit(3)
    return Report(given.name)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_any_number_may_die(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jobs, "_WINDOW", 1)
    names = ["exit", "a", "exit", "exit", "b", "c", "exit"]
    with closing(_jobs.read_in_processes([Input(name) for name in names], deadly, jobs)) as reports:
        came = [(report.file, report.error and report.error.message) for report in reports]
    died = "the process that read it ended with status 3"
    assert came == [(name, died if name == "exit" else None) for name in names]
    assert not multiprocessing.active_children()


def test_a_process_that_died_idle_costs_the_next_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jobs, "_AHEAD", 1)
    with closing(_jobs.read_in_processes([Input("a"), Input("b"), Input("c")], deadly, 1)) as reports:
        assert next(reports).file == "a"
        [worker] = multiprocessing.active_children()
        worker.kill()
        worker.join()
        message = "the process that read it was killed by SIGKILL"
        assert [(report.file, report.error and report.error.message) for report in reports] == [
            ("b", message),
            ("c", None),
        ]


def test_interrupted_processes_end_silently(folder: Path) -> None:
    """Ctrl-C goes to all processes of a terminal's group."""
    os.mkfifo("slow")
    with (
        subprocess.Popen(
            [*COMMAND, "--jobs", "2", "in/b.sse", "slow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process,
        open("slow", "wb"),
    ):
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)  # which end with the last process that holds the pipes
    assert (process.returncode, err) == (130, b"")
    assert out.count(b"\n") <= 1


def test_a_reader_that_leaves_ends_the_processes(folder: Path) -> None:
    (folder / "long.sse").write_bytes(body("x" * 1000))
    command = f"{sys.executable} -m streamagg --jobs 2 {' '.join(['long.sse'] * 300)} | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, b"", 10)


def test_processes_run_in_this_one_too(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["--text", "--jobs", "2", "in/b.sse", "in/a.sse.gz"]) == 0
    assert capfdbinary.readouterr().out == b"second\nfirst\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
