"""Any number of recorded streams in Parquet files, in the shapes of several servers, each with its known answer.

A few hundred streams are made in full; a recording is one of these under an id of its own, so that making
it costs less than reading it, and every row can be told from every other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .generated import KINDS, SEED, Case, Json

PER_FILE = 2000
_PER_GROUP = 500
_TEMPLATES = 400
_MEDIAN_CHUNKS = 40
_ERROR = b'data: {"error":{"message":"The server is overloaded.","type":"overloaded_error","code":529}}\n\n'

SHARES = {
    "text": 30,
    "text-obfuscated": 10,
    "tool-arguments": 12,
    "reasoning": 12,
    "running-usage": 12,
    "atoma": 7,
    "vendor-field": 6,
    "four-choices": 3,
    "logprobs": 2,
    "refusal": 1,
    "cut": 3,
    "error": 2,
}
"""How many of a hundred recordings are of which kind; the last two are of text, and end too early."""

COLUMNS = (
    "id",
    "model",
    "text",
    "finish_reasons",
    "tool_calls",
    "reasoning",
    "refusal",
    "prompt_tokens",
    "completion_tokens",
    "complete",
    "error",
)
"""What of a row is compared with the known answer."""


@dataclass(frozen=True)
class Template:
    """A stream, and the id that a recording of it has instead of `id`."""

    body: bytes
    id: bytes
    payloads: list[bytes]
    answer: Json
    error: str | None


def templates() -> list[Template]:
    """The same every time."""
    rng = Random(SEED)
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=_TEMPLATES)
    return [_template(kind, _chunks(rng), number) for number, kind in enumerate(kinds)]


def _chunks(rng: Random) -> int:
    """Answers are short, and some are long."""
    return max(4, min(600, round(rng.lognormvariate(math.log(_MEDIAN_CHUNKS), 0.9))))


def _template(kind: str, chunks: int, seed: int) -> Template:
    if kind in KINDS:
        case = KINDS[kind].case(chunks, seed)
        return Template(b"".join(case.events), _id(case), case.payloads, case.answer, None)
    case = KINDS["text"].case(chunks, seed)
    events, answer = case.events[:-3], {**case.answer, "usage": {}}  # without the finish, the usage, [DONE]
    answer["choices"] = [{**answer["choices"][0], "finish_reason": None}]
    if kind == "error":
        return Template(b"".join([*events, _ERROR]), _id(case), case.payloads[:-2], answer, "ProviderError")
    return Template(b"".join(events), _id(case), case.payloads[:-2], answer, "IncompleteStreamError")


def _id(case: Case) -> bytes:
    return str(case.answer["id"]).encode()


def id_of(number: int) -> str:
    """The id of a recording: as long as those of the templates."""
    return f"chatcmpl-{number:029}"


def chosen(count: int) -> list[int]:
    """Which template each of `count` recordings is of: of more recordings, the first ones are the same."""
    rng = Random(SEED)
    return [rng.randrange(_TEMPLATES) for _ in range(count)]


def bodies(numbers: range, made: list[Template], choice: list[int]) -> list[bytes]:
    """Some recordings by their numbers."""
    of = [(made[choice[number]], number) for number in numbers]
    return [template.body.replace(template.id, id_of(number).encode()) for template, number in of]


def write(folder: Path, count: int) -> int:
    """`count` recordings as Parquet files of `n` and `body`; returns the bytes of the bodies."""
    made, choice = templates(), chosen(count)
    total = 0
    for start in range(0, count, PER_FILE):
        numbers = range(start, min(count, start + PER_FILE))
        found = bodies(numbers, made, choice)
        total += sum(map(len, found))
        table = pa.table({"n": numbers, "body": pa.array(found, pa.large_binary())})
        path = folder / f"{start // PER_FILE:05}.parquet"
        pq.write_table(table, path, row_group_size=_PER_GROUP, compression="zstd", use_dictionary=False)
    return total


def wrong_rows(rows: pa.Table, count: int) -> int:
    """How many of `count` recordings have no row with the known answer, or more than one row.

    `rows` in any order, with the columns of `streamagg.arrow.SCHEMA`.
    """
    rows = rows.select(list(COLUMNS)).sort_by("id")
    wanted = expected(count)
    if rows.num_rows == count and rows.equals(wanted):
        return 0
    found: dict[str, list[Any]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["id"], []).append(row)
    return sum(found.get(row["id"]) != [row] for row in wanted.to_pylist())


def expected(count: int) -> pa.Table:
    """The known answers, in order of id."""
    from streamagg.arrow import SCHEMA

    schema = pa.schema([SCHEMA.field(name) for name in COLUMNS])
    made = pa.Table.from_pylist([_row(template) for template in templates()], schema=schema)
    table = made.take(pa.array(chosen(count)))
    return table.set_column(0, schema.field("id"), pa.array(map(id_of, range(count)), schema.field("id").type))


def _row(template: Template) -> Json:
    answer = template.answer
    message: Json = answer["choices"][0]["message"]
    usage: Json = answer["usage"]
    return {
        "model": answer["model"],
        "text": message.get("content"),
        "finish_reasons": [choice.get("finish_reason") for choice in answer["choices"]],
        "tool_calls": [_call(call, choice) for choice in answer["choices"] for call in _calls(choice)],
        "reasoning": message.get("reasoning_content"),
        "refusal": message.get("refusal"),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "complete": template.error is None,
        "error": template.error,
    }


def _calls(choice: Json) -> list[Json]:
    calls: list[Json] = choice["message"].get("tool_calls") or []
    return calls


def _call(call: Json, choice: Json) -> Json:
    return {"choice": choice["index"], "id": call["id"], "type": call["type"], **call["function"]}
