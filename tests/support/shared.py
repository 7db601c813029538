"""The recordings and vectors beside the repository: never copied into it, absent in a user's clone.

`STREAMAGG_SHARED` may name another place.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT as REPOSITORY

ROOT = Path(os.environ.get("STREAMAGG_SHARED") or REPOSITORY.parent / "shared")

needs_shared = pytest.mark.skipif(
    not ROOT.is_dir(), reason=f"needs the recordings at {ROOT} (STREAMAGG_SHARED names another place)"
)


def load(name: str, default: Any) -> Any:
    path = ROOT / name
    return json.loads(path.read_bytes()) if path.is_file() else default


SSE_VECTORS: list[dict[str, Any]] = load("vectors/sse.json", {"vectors": []})["vectors"]
MERGE_VECTORS: list[dict[str, Any]] = load("vectors/merge.json", {"streams": []})["streams"]
MANIFEST: list[dict[str, Any]] = load("corpus/manifest.json", [])


def body(name: str) -> bytes:
    return (ROOT / "corpus" / "streams" / f"{name}.sse").read_bytes()


def expected(name: str) -> Any:
    return json.loads((ROOT / "corpus" / "responses" / f"{name}.json").read_bytes())


def decoded(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector["input_b64"])


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]
