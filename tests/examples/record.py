"""Record streams to `.sse` files, byte for byte, one for each question, and say what each came to.

OPENAI_API_KEY=k python tests/examples/record.py http://localhost:8000/v1 MODEL FOLDER QUESTION...
"""

import os
import sys
from pathlib import Path

import httpx

import streamagg


def record(client: httpx.Client, model: str, question: str, path: Path) -> None:
    """Write what comes, also of a stream that breaks: the file then holds the beginning."""
    request = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with client.stream("POST", "chat/completions", json=request) as response:
        response.raise_for_status()
        with path.open("wb") as file:
            try:
                for data in response.iter_bytes():
                    file.write(data)
            except httpx.TransportError as error:
                print(f"{path}: {error}", file=sys.stderr)


def told(path: Path) -> str:
    """What a recording came to."""
    try:
        response = streamagg.accumulate_sync(path)
    except streamagg.StreamAggError as error:
        return str(error)
    reasons = ", ".join(str(choice.finish_reason) for choice in response.choices)
    tokens = response.usage.total_tokens if response.usage else "unknown"
    return f"{reasons}, {tokens} tokens"


def main(base_url: str, model: str, folder: str, *questions: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as client:
        for number, question in enumerate(questions, 1):
            path = Path(folder) / f"{number:04}.sse"
            record(client, model, question, path)
            print(f"{path}: {told(path)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
