"""The example of a chat, on a terminal, against a real server."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from typing import Any

from tests.support.helpers import chunk, sse
from tests.support.places import EXAMPLES
from tests.support.serving import serve

PROGRAM = EXAMPLES / "chat.py"
USAGE = {"prompt_tokens": 10, "completion_tokens": 3}


def test_a_chat() -> None:
    """An answer with reasoning, one that is stopped, some that are cut, one refused, and one that knows what was said."""
    asked: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        messages = json.loads((await receive())["body"])["messages"]
        asked.append([message["content"] for message in messages])
        question = messages[-1]["content"]
        status = 400 if question == "refused" else 200
        headers = [(b"content-type", b"text/event-stream" if status == 200 else b"application/json")]
        if question == "broken":  # it announces more than it sends
            headers.append((b"content-length", b"1000"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = {
            "whole": sse(
                chunk({"reasoning_content": "Hm\x1b[31m."}), chunk({"content": "Hel"}), chunk({"content": "lo\u202e!"}),
                chunk(finish="stop", usage=USAGE),
            ),
            "stopped": sse(chunk({"content": "Once upon"}), done=False),
            "cut": sse(chunk({"content": "Half"}), done=False),
            "broken": sse(chunk({"content": "Bro"}), done=False),
            "refused": b'{"error": {"message": "not so"}}',
            "last": sse(chunk({"content": "Bye"}), chunk(finish="stop", usage=USAGE)),
        }[question]  # fmt: skip
        await send({"type": "http.response.body", "body": body, "more_body": question == "stopped"})
        if question == "stopped":
            assert (await receive())["type"] == "http.disconnect"

    leader, follower = pty.openpty()
    with serve(app) as url:
        environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k"}
        with subprocess.Popen(
            [sys.executable, str(PROGRAM), "m"], stdin=follower, stdout=follower, stderr=follower, env=environment
        ) as process:
            os.close(follower)
            seen = ""

            def wait_for(end: str) -> str:
                nonlocal seen
                seen = ""
                while not seen.endswith(end):
                    seen += os.read(leader, 65536).decode().replace("\r\n", "\n")
                return seen

            wait_for("> ")
            os.write(leader, b"whole\n")
            assert wait_for("> ") == "whole\n\x1b[2mHm[31m.\x1b[22m\nHello!\n> "
            os.write(leader, b"stopped\n")
            wait_for("Once upon")
            process.send_signal(signal.SIGINT)
            assert wait_for("> ") == " (stopped)\n> "
            os.write(leader, b"cut\n")
            reason = "the source ended without [DONE] after 1 event, with no finish_reason for choice 0"
            assert wait_for("> ") == f"cut\nHalf ({reason})\n> "
            os.write(leader, b"broken\n")
            assert wait_for("> ").startswith("broken\nBro (peer closed connection")
            os.write(leader, b"refused\n")
            assert "not so" in wait_for("> ")
            os.write(leader, b"last\n")
            wait_for("> ")
            os.write(leader, b"\x04")
            assert wait_for("tokens\n") == "\n20 + 6 tokens\n"
            assert process.wait(60) == 0
        os.close(leader)
    said = ["whole", "Hello\u202e!", "stopped", "Once upon", "cut", "Half", "broken", "Bro"]
    assert asked[-2:] == [[*said, "refused"], [*said, "last"]]
