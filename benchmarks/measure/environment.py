"""What the figures were measured with."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..libraries import version_of

DISTRIBUTIONS = (
    "streamagg",
    "msgspec",
    "anyio",
    "orjson",
    "openai",
    "litellm",
    "langchain-openai",
    "langchain-core",
    "pydantic-ai-slim",
    "pydantic",
    "httpx",
    "httpx2",
    "aiohttp",
    "httpx-sse",
    "launchdarkly-eventsource",
    "pyarrow",
    "ray",
    "matplotlib",
)


def environment() -> dict[str, Any]:
    """Date, Python, CPU and versions; None where a distribution is not installed."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "versions": {name: version_of(name) for name in DISTRIBUTIONS},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
