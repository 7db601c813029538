"""`streamagg batch` as its users run it: what it writes and says, and that nothing stops it for good."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streamagg._cli.main import main
from tests.support.helpers import chunk, sse

pa = pytest.importorskip("pyarrow", reason="needs the extra `batch`")
pytest.importorskip("rich", reason="needs the extra `batch`")

import pyarrow.parquet as pq  # noqa: E402 - not without the extra

from streamagg._cli.batch import main as batch  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch import parts as _batch_parts  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch import plan as _batch_plan  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.engines import run_local  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.totals import Totals  # noqa: E402 - not without what is asked for above
from streamagg._cli.batch.work import work  # noqa: E402 - not without what is asked for above
from streamagg.arrow import SCHEMA, aggregate  # noqa: E402 - not without what is asked for above

COUNT = 60


def body_of(number: int) -> bytes:
    """A recording; every fifth is cut, every seventh ends with an error."""
    first = chunk({"content": f"text {number} "}, id=f"id-{number}", model=f"model-{number % 3}")
    if number % 7 == 6:
        return sse(first, {"error": {"message": "overloaded"}})
    usage = {"prompt_tokens": number, "completion_tokens": 1}
    last = chunk({"content": "end"}, finish="stop", id=f"id-{number}", usage=usage)
    return sse(first, done=False) if number % 5 == 4 else sse(first, last)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty recordings in files of every kind."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(20):
        (place / f"a{number:02}.sse").write_bytes(body_of(number))
    lines = [json.dumps({"body": body_of(number).decode(), "user": f"u{number}"}) + "\n" for number in range(20, 40)]
    (place / "b.jsonl").write_text("".join(lines))
    table = pa.table({"body": [body_of(number) for number in range(40, 60)], "user": range(40, 60)})
    pq.write_table(table, place / "c.parquet", row_group_size=4)
    return place


@pytest.fixture
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch_plan, "TASK_BYTES", 1500)


def written(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    return pq.read_table(path).to_pylist()


def run(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "streamagg", "batch", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.sampled(3)
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_a_row_for_each_recording(
    name: str, jobs: int, folder: Path, tmp_path: Path, small_tasks: None, capsys: Any
) -> None:
    out = tmp_path / name
    assert main(["batch", str(folder), "-o", str(out), "--keep", "user", "--jobs", str(jobs)]) == 0
    rows = written(out)
    wanted = aggregate(pa.table({"body": [body_of(number) for number in range(COUNT)]})).to_pylist()
    for number, (row, want) in enumerate(zip(rows, wanted, strict=True)):
        kind = "a" if number < 20 else "b" if number < 40 else "c"
        assert Path(row.pop("source")).name.startswith(kind)
        row.pop("position")
        assert row.pop("user") == {"a": None, "b": f"u{number}", "c": str(number)}[kind]
        if name == "out.jsonl":
            want["response"] = json.loads(want["response"])
        assert row == want
    if name == "out.parquet":
        assert pq.read_schema(out).names == ["source", "position", "user", *SCHEMA.names]
        assert pq.read_schema(out).field("tool_calls").type == SCHEMA.field("tool_calls").type
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", name]
    printed, said = capsys.readouterr()
    assert said == ""
    assert f"60 streams in 0.0 s, 19 of them with an error: {out}" in re.sub(r"in \d+\.\d s", "in 0.0 s", printed)


def test_the_summary(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(body_of(number).decode()) + "\n" for number in range(3000)))
    bad = sse(chunk({}, model="m\x1b[31m\u202e", finish="stop"))
    (tmp_path / "b.sse").write_bytes(bad)
    (tmp_path / "c.sse").write_bytes(b"")
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out.parquet")]) == 0
    answered = [[n for n in range(r, 3000, 3) if n % 7 != 6 and n % 5 != 4] for r in range(3)]
    rows = [(f"model-{r}", 1000, 1000 - len(good), sum(good), len(good)) for r, good in enumerate(answered)]
    table = [
        "",
        "model    streams  errors  prompt tokens  completion tokens",
        *(f"{name}{n:>9,}{bad:>8,}{prompt:>15,}{answer:>19,}" for name, n, bad, prompt, answer in rows),
        "(none)         1       1              0                  0",
        "m?[31m?        1       0              0                  0",
        "",
        "error                  streams",
        "IncompleteStreamError      516",
        "ProviderError              428",
    ]
    assert capsys.readouterr().out.splitlines()[1:] == table


def test_the_summary_of_many_models_is_not_as_long(tmp_path: Path, capsys: Any) -> None:
    models = (sse(chunk({}, finish="stop", model=f"m{number:04}")).decode() for number in range(1033))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(body) + "\n" for body in models))
    assert main(["batch", str(tmp_path), "-o", str(tmp_path / "out.parquet")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[3][:5], lines[-1]) == (34, "m0000", "and 1,003 more")


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_no_recordings_in_what_is_there(name: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n")
    assert main(["batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / name)]) == 0
    assert written(tmp_path / name) == []
    assert capsys.readouterr().out.startswith("0 streams in")


def test_row_groups_are_put_together(
    folder: Path, tmp_path: Path, small_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    for rows, size, groups in ((25, 2**30, 3), (10**6, 1, 17), (10**6, 2**30, 1)):
        monkeypatch.setattr(_batch_parts, "_GROUP_ROWS", rows)
        monkeypatch.setattr(_batch_parts, "_GROUP_BYTES", size)
        assert main(["batch", str(folder), "-o", str(out), "--jobs", "1"]) == 0
        found = pq.ParquetFile(out)
        assert found.metadata.num_rows == COUNT
        assert abs(found.metadata.num_row_groups - groups) <= (4 if size == 1 else 0)


def test_usage_modes(tmp_path: Path) -> None:
    report = {"usage": {"prompt_tokens": 5}}
    (tmp_path / "a.sse").write_bytes(sse(chunk(**report), chunk(finish="stop", **report)))
    for mode, count in (("auto", 5), ("sum", 10), ("last", 5)):
        assert main(["batch", str(tmp_path / "a.sse"), "-o", str(tmp_path / "o.jsonl"), "--usage", mode]) == 0
        assert written(tmp_path / "o.jsonl")[0]["prompt_tokens"] == count


def test_an_output_among_the_inputs_is_left_out(folder: Path) -> None:
    out = folder / "out.jsonl"
    for _ in range(2):
        assert main(["batch", str(folder), "-o", str(out)]) == 0
        assert len(written(out)) == COUNT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in", "-o", "out.csv"], "out.csv: the output is .parquet or .jsonl"),
        (["in", "-o", "folder.jsonl"], "folder.jsonl is a directory"),
        (["in", "-o", "in/b.jsonl", "in/b.jsonl"], "in/b.jsonl is an input"),
        (["in", "-o", "o.jsonl", "--jobs", "0"], "'0' is no whole number above 0"),
        (["in", "-o", "o.jsonl", "--address", "auto"], "--address is for --engine ray"),
        (["in", "-o", "o.jsonl", "--keep", "model"], "the output has another column 'model': write --keep NAME=AS"),
        (["in", "-o", "o.jsonl", "--keep", "a=x", "--keep", "b=x"], "another column 'x'"),
        (["in", "-o", "o.jsonl", "--column", "said"], "in/c.parquet has no column 'said': it has body, user"),
        (["in", "-o", "o.jsonl", "--column", "user"], "column 'user' holds int64"),
        (["absent", "-o", "o.jsonl"], "[Errno 2] No such file or directory: 'absent'"),
        (["folder.jsonl", "-o", "o.jsonl"], "no recordings in folder.jsonl"),
        (["in", "-o", "absent/o.jsonl"], "No such file or directory: 'absent/o.jsonl.streamagg-parts'"),
    ],
)
def test_refusals(
    arguments: list[str], words: str, folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    try:
        status = main(["batch", *arguments])
    except SystemExit as refused:
        status = refused.code
    assert status == 2
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_help_has_examples() -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert "streamagg batch recordings/ -o responses.parquet" in out


@pytest.mark.parametrize("absent", ["pyarrow", "rich"])
def test_without_the_extra_it_says_what_to_install(absent: str) -> None:
    code = f"import sys; sys.modules['{absent}'] = None; from streamagg._cli.main import main; sys.exit(main(['batch', '--help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'streamagg[batch]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_progress_on_a_terminal(folder: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "streamagg",
        "batch",
        str(folder),
        "-o",
        str(tmp_path / "out.parquet"),
        "--jobs",
        "1",
    ]
    with subprocess.Popen(
        command, stderr=follower, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "150", "TERM": "xterm"}
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            seen += piece
        os.close(leader)
        assert process.wait(60) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(r"100 %  60 streams, [\d,]+ a second, [\d.]+ MB/s, to go 0:00:00", shown), shown


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks that were worked on, in this process."""
    tasks: list[Any] = []

    def counted(task: Any, *rest: Any) -> Totals:
        tasks.append(task)
        return work(task, *rest)

    monkeypatch.setattr(batch, "work", counted)
    return tasks


def stop_after(count: int, reason: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    before = batch.work
    left = count

    def some(*arguments: Any) -> Totals:
        nonlocal left
        left -= 1
        if left < 0:
            raise reason
        return before(*arguments)

    monkeypatch.setattr(batch, "work", some)


@pytest.mark.parametrize(
    ("reason", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted. The same command goes on where it stopped."),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
    ],
)
def test_what_was_done_is_not_done_again(
    reason: BaseException,
    status: int,
    words: str,
    folder: Path,
    tmp_path: Path,
    small_tasks: None,
    worked: Any,
    capsys: Any,
) -> None:
    out = tmp_path / "out.parquet"
    command = ["batch", str(folder), "-o", str(out), "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        stop_after(5, reason, patch)
        assert main(command) == status
    assert words in capsys.readouterr().err
    assert not out.exists()
    assert len(worked) == 5
    assert main(command) == 0
    assert len(worked) == len(set(worked)) > 10
    assert f"5 of {len(worked)} parts are done already" in capsys.readouterr().err
    assert [row["text"] and row["text"].split()[1] for row in written(out)] == list(map(str, range(COUNT)))


def test_a_full_disk_leaves_nothing_half_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(file: int) -> None:
        raise OSError(28, "No space left on device")

    command = ["batch", str(folder), "-o", str(tmp_path / "out.parquet")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert main(command) == 2
    assert capsys.readouterr().err == "streamagg batch: [Errno 28] No space left on device\n"
    assert list((tmp_path / "out.parquet.streamagg-parts").iterdir()) == []
    assert main(command) == 0


@pytest.mark.sampled(3)
@pytest.mark.parametrize("what", ["touched", "grown", "options", "torn", "garbled", "lost", "cut", "version"])
def test_what_is_not_as_it_was_is_done_again(
    what: str, folder: Path, tmp_path: Path, small_tasks: None, worked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.streamagg-parts"
    command = ["batch", str(folder), "-o", str(out), "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        stop_after(5, KeyboardInterrupt(), patch)
        main(command)
    manifest = parts / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    (parts / "left.tmp").write_bytes(b"of a run that was killed")
    assert len(lines) == 5
    again = 1
    if what == "touched":
        os.utime(worked[0][0].path, ns=(1, 1))
    elif what == "grown":
        with open(worked[0][0].path, "ab") as file:
            file.write(b": a comment\n\n")
    elif what == "options":
        command += ["--usage", "last"]
        again = 5
    elif what == "torn":
        manifest.write_bytes(b"".join(lines)[:-7])
    elif what == "garbled":
        manifest.write_bytes(b"".join([*lines[:4], b"\0" * 50, b"\n"]))
    elif what == "lost":
        (parts / json.loads(lines[2])["part"]).unlink()
    elif what == "cut":
        path = parts / json.loads(lines[2])["part"]
        path.write_bytes(path.read_bytes()[:-1])
    elif what == "version":
        monkeypatch.setattr(_batch_parts, "version", lambda name: "9.9")
        again = 5
    assert main(command) == 0
    planned = len(_batch_plan.plan([str(folder)], "body"))
    assert len(worked) == planned + again
    texts = [row["text"] and row["text"].split()[1] for row in written(out)]
    assert texts == list(map(str, range(COUNT)))
    assert not parts.exists()


def test_a_crash_between_the_output_and_the_tidying(
    folder: Path, tmp_path: Path, worked: Any, small_tasks: None
) -> None:
    out = tmp_path / "out.jsonl"
    command = ["batch", str(folder), "-o", str(out), "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(command) == 130
    first, count = out.read_bytes(), len(worked)
    assert main(command) == 0
    assert (out.read_bytes(), len(worked)) == (first, count)


KILLED = """
import os, signal, sys
from streamagg._cli.batch import main as batch
from streamagg._cli.batch import plan as _batch_plan

_batch_plan.TASK_BYTES = 1500
left = int(sys.argv[1])
folder = os.path.dirname(sys.argv[2])

def count(event, details):
    global left
    ours = event == "open" and str(details[0]).startswith(folder)
    if ours or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    sys.addaudithook(count)
    sys.exit(batch.main(sys.argv[2:]))
"""


def texts_of(out: Path) -> list[Any]:
    return [(row["position"], row["id"], row["text"], row["error"]) for row in written(out)]


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_it_goes_on(seed: int, folder: Path, tmp_path: Path) -> None:
    """Each time after some more files were opened, renamed or removed, which is all it does to the disk."""
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert main(["batch", str(folder), "-o", str(whole), "--jobs", "1"]) == 0
    dice = random.Random(seed)
    kills = 0
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    while True:
        command = [sys.executable, script, str(dice.randint(10, 60)), folder, "-o", out, "--jobs", "1"]
        status = subprocess.run(command, capture_output=True, timeout=120).returncode
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
        assert kills < 40
    assert kills >= 2
    assert out.read_bytes() == whole.read_bytes()
    assert not out.with_name("out.jsonl.streamagg-parts").exists()


@pytest.mark.full
def test_killed_with_workers_it_goes_on_and_they_end(folder: Path, tmp_path: Path) -> None:
    """Each time once some more parts are done. What is counted is what the manifest says."""
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    assert main(["batch", str(folder), "-o", str(whole), "--jobs", "1"]) == 0
    manifest = tmp_path / "out.parquet.streamagg-parts" / "manifest.jsonl"
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    dice = random.Random(4)
    command = [sys.executable, script, "0", folder, "-o", out, "--jobs", "2"]
    for _ in range(2):
        before = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
        enough = before + dice.randint(1, 4)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not (manifest.exists() and manifest.read_bytes().count(b"\n") >= enough):
                time.sleep(0.001)
            workers = children(process.pid)
            process.kill()
        wait_for_end_of(workers)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert texts_of(out) == texts_of(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "killed.py", "out.parquet", "whole.parquet"]


def children(pid: int) -> list[int]:
    """The processes that a process started, where the system says so."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return list(map(int, path.read_text().split()))
    except OSError:
        return []


def wait_for_end_of(pids: list[int]) -> None:
    for _ in range(1000):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.02)
    raise AssertionError(f"these still run: {pids}")


def die(*arguments: Any) -> Totals:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def refuse(*arguments: Any) -> Totals:
    raise PermissionError(13, "Permission denied", "part")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("does", "words"), [(die, "a worker process died"), (refuse, "Permission denied")])
def test_a_worker_that_fails(
    does: Any, words: str, folder: Path, tmp_path: Path, small_tasks: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    command = ["batch", str(folder), "-o", str(tmp_path / "out.jsonl"), "--jobs", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(batch, "work", does)
        assert main(command) == 2
    assert words in capsys.readouterr().err
    assert main(command) == 0
    assert len(written(tmp_path / "out.jsonl")) == COUNT


def test_interrupted_with_workers(folder: Path, tmp_path: Path) -> None:
    """As Ctrl-C does: the signal goes to every process of the terminal."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    manifest = tmp_path / "out.jsonl.streamagg-parts" / "manifest.jsonl"
    command = [sys.executable, script, "0", folder, "-o", tmp_path / "out.jsonl", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while process.poll() is None and not (manifest.exists() and manifest.read_bytes()):
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode in (130, 0)  # it may have been done by then
    if process.returncode:  # a worker that had hardly begun may have said something before
        assert said.endswith(b"streamagg batch: interrupted. The same command goes on where it stopped.\n")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="sees processes in /proc")
def test_workers_that_are_left_alone_end() -> None:
    """Who reads on no more does not wait for them."""
    tasks = [(number,) for number in range(50)]
    done = run_local(nothing, tasks, lambda task: task, 2)
    next(done)
    workers = [pid for pid in children(os.getpid()) if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert workers
    done.close()
    wait_for_end_of(workers)


def nothing(number: int) -> Totals:
    return Totals()
