"""An agent loop: the model calls tools, several at once, until it answers; usage is summed over all turns.

OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_API_KEY=k python tests/examples/agent_loop.py MODEL QUESTION
"""

import sys
from typing import Any, Literal

import anyio
import msgspec
import openai

import streamagg

MOST_TURNS = 10


class GetWeather(msgspec.Struct):
    """The weather in a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"] = "celsius"

    async def call(self) -> str:
        return f"{self.city}: 21 degrees {self.unit}"


TOOLS = {"get_weather": GetWeather}


def described(name: str, tool: type[msgspec.Struct]) -> dict[str, Any]:
    """A tool as the request describes it."""
    schema = msgspec.json.schema(tool)["$defs"][tool.__name__]
    return {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": schema}}


async def answer_call(call: streamagg.ToolCall, results: dict[int, dict[str, Any]], place: int) -> None:
    """Call one tool; what is wrong with the arguments is told to the model, which may try again."""
    assert call.function is not None
    try:
        result = await call.function.parse(TOOLS[call.function.name]).call()
    except (KeyError, streamagg.ParseError) as error:
        result = f"error: {error}"
    results[place] = {"role": "tool", "tool_call_id": call.id, "content": result}


async def run(client: openai.AsyncOpenAI, model: str, question: str) -> tuple[str, streamagg.CompletionUsage]:
    messages: list[Any] = [{"role": "user", "content": question}]
    request = {
        "model": model,
        "tools": [described(name, tool) for name, tool in TOOLS.items()],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    usage = streamagg.CompletionUsage()
    for _ in range(MOST_TURNS):
        create = client.chat.completions.with_streaming_response.create
        async with create(**request, messages=messages) as stream:
            response = await streamagg.accumulate(stream)
        usage += response.usage or streamagg.CompletionUsage()
        message = response.choices[0].message
        if not message.tool_calls:
            return message.text, usage
        results: dict[int, dict[str, Any]] = {}
        async with anyio.create_task_group() as tasks:
            for place, call in enumerate(message.tool_calls):
                tasks.start_soon(answer_call, call, results, place)
        messages += [message.to_dict(), *(results[place] for place in sorted(results))]
    raise SystemExit(f"no answer after {MOST_TURNS} turns")


async def main(model: str, question: str) -> None:
    async with openai.AsyncOpenAI() as client:
        text, usage = await run(client, model, question)
    print(text)
    print(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:3])
