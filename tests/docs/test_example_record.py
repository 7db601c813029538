"""The example that records streams, as a program, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.places import DATA, EXAMPLES
from tests.support.serving import serve

PROGRAM = EXAMPLES / "record.py"
WEATHER = (DATA / "weather.sse").read_bytes()


def test_recordings_are_what_came(tmp_path: Path) -> None:
    """A whole stream, one that ends early, and one whose connection breaks: each file has all that came."""
    cut = WEATHER[: len(WEATHER) // 2]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        question = json.loads((await receive())["body"])["messages"][0]["content"]
        assert dict(scope["headers"])[b"authorization"] == b"Bearer k"
        assert scope["path"] == "/v1/chat/completions"
        headers = [(b"content-type", b"text/event-stream")]
        if question == "broken":  # it announces more than it sends
            headers.append((b"content-length", str(len(WEATHER)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = WEATHER if question == "whole" else cut
        for place in range(0, len(body), 100):
            await send({"type": "http.response.body", "body": body[place : place + 100], "more_body": True})
        if question != "broken":
            await send({"type": "http.response.body", "body": b""})

    folder = tmp_path / "out"
    with serve(app) as url:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), f"{url}/v1", "m", str(folder), "whole", "cut", "broken"],
            env={**os.environ, "OPENAI_API_KEY": "k"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == [WEATHER, cut, cut]
    whole, ended, broken = done.stdout.splitlines()
    assert whole == f"{folder}/0001.sse: tool_calls, 139 tokens"
    for number, line in ((2, ended), (3, broken)):
        assert line.startswith(f"{folder}/000{number}.sse: the source ended inside an event after ")
    assert done.stderr.startswith(f"{folder}/0003.sse: peer closed connection")
