"""Chat in a terminal: answers as they are written, reasoning dimmed. Ctrl-C stops an answer, Ctrl-D ends the chat.

OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_API_KEY=k python tests/examples/chat.py MODEL
"""

import sys
from typing import Any

import openai

import streamagg

DIM, BRIGHT = ("\x1b[2m", "\x1b[22m") if sys.stdout.isatty() else ("", "")


def show(text: str, *, dim: bool = False) -> None:
    """Print what a server sent, without what a terminal would act on."""
    text = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
    print(f"{DIM}{text}{BRIGHT}" if dim else text, end="", flush=True)


def answer(client: openai.OpenAI, model: str, messages: list[Any]) -> streamagg.ChatCompletionResponse | None:
    """Show an answer while it comes; what came of it, also if it was stopped or cut."""
    create = client.chat.completions.with_streaming_response.create
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with create(model=model, messages=messages, **options) as response, streamagg.stream_sync(response) as chunks:
        reasoned = False
        try:
            for event in chunks.events():
                match event:
                    case streamagg.ReasoningDelta(text, choice=0):
                        show(text, dim=True)
                        reasoned = True
                    case streamagg.TextDelta(text, choice=0):
                        show(f"\n{text}" if reasoned else text)
                        reasoned = False
        except KeyboardInterrupt:
            show(" (stopped)")
        except Exception as error:  # the stream's, or of the client's transport, which is httpx or httpx2
            show(f" ({error})")
    print()
    return chunks.snapshot()


def main(model: str) -> None:
    messages: list[Any] = []
    usage = streamagg.CompletionUsage()
    with openai.OpenAI() as client:
        while True:
            try:
                question = input("> ")
            except (EOFError, KeyboardInterrupt):
                break
            asked = [*messages, {"role": "user", "content": question}]
            try:
                response = answer(client, model, asked)
            except openai.OpenAIError as error:
                print(error)
                continue
            if response is not None and response.choices:
                messages = [*asked, {"role": "assistant", "content": response.text}]
                usage += response.usage or streamagg.CompletionUsage()
    print(f"\n{usage.prompt_tokens or 0} + {usage.completion_tokens or 0} tokens")


if __name__ == "__main__":
    main(sys.argv[1])
