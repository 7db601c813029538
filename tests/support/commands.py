"""The command line as its users run it: in a process of its own, through pipes or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Literal

COMMAND = [sys.executable, "-m", "streamagg"]


def run(*arguments: object, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """The exit status, and what came out of both pipes."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=60,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def on_a_terminal(
    *arguments: object, streams: Literal["stdout", "stderr", "both"] = "stdout", env: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit status, and what a terminal gets to see of these streams; the other goes nowhere."""
    leader, follower = pty.openpty()
    outputs = {name: follower if streams in (name, "both") else subprocess.DEVNULL for name in ("stdout", "stderr")}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        **outputs,
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux says so that the other side was closed
                break
            if not piece:
                break
            seen += piece
        os.close(leader)
        status = process.wait(60)
    return status, seen.decode().replace("\r\n", "\n")


def clean() -> dict[str, str]:
    """The environment without what tools that watch the tests put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COV", "COVERAGE", "PYTEST"))}


LIVE = "\x00\x07\x08\x1b]0;t\x07\r\x7f\x85\x9b2J\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
"""Controls of both sets, line ends that are none of ours, and the marks that turn the direction of text."""


def live(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable()} - {"\t", "\n"}
