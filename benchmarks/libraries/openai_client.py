"""An openai client whose answers are replayed."""

from __future__ import annotations

from typing import Any

import httpx
from openai import OpenAI
from openai.types.chat import ChatCompletion

from ..streams.generated import Json
from .replay import Replay

replay = Replay()
client = OpenAI(api_key="none", base_url="http://replay/v1", http_client=httpx.Client(transport=replay))
request: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def wire(completion: ChatCompletion) -> Json:
    return completion.to_dict(mode="json")
