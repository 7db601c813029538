"""The page `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Iterator

from ..streams.generated import KINDS
from .sections import (
    LEGEND,
    SECTIONS,
    Results,
    case_summary,
    case_table,
    fast_path_table,
    recordings_section,
    target_table,
)

UNFAIR = """\
Each comparison is unfair to somebody, so that comes first.

- **The floor** is `msgspec.json.Decoder(ChatCompletionChunk).decode` in a loop over payloads that are already cut
  out of the stream; it keeps nothing. It does less than any library: no framing, no merging, no answer. In case 6,
  whose field the strict structs refuse, it reads the same payloads without that field.
- **The hand-written loops** are what one engineer writes, after the first outages: fields may be absent, line ends
  may be CRLF, reasoning has two names. They check nothing, report no error, and no limit bounds them.
- **Recordings** are bodies that real servers sent, from the tests of public projects. CPU time is summed over them,
  and long bodies weigh most: the tables by length show the short ones. The time of a way counts until it returns or
  raises. Where a stream holds an error or is cut, an exception is a right answer of a library other than streamagg.
  Text, reasoning, refusal, tool calls, finish reasons and token counts of the others are compared; log probabilities,
  ids and vendor fields are not. The response of streamagg must be equal to the known one, field by field, and its
  error must be the right one. The others read from a transport that answers at once. They make a request for each
  stream, and short streams feel that most. The bare decode reads a payload as plain data where the strict structs
  refuse it. Slow libraries have one round.
- **openai, litellm, langchain-openai and pydantic-ai** do more than streamagg: they make a request, validate or
  build an object for each chunk, and raise events. An in-process transport hands them the reads, so no socket
  counts; the making of one request does, spread over the stream. litellm is told not to log each chunk, and
  pydantic-ai that usage is a running total. Their answers need not hold ids, the model or vendor fields to be
  right; streamagg's must be equal to the known answer, field by field.
- **Those that are slow get a shorter stream**: the largest of 200, 1,000 and 5,000 chunks that they should read in
  0.6 seconds. Some grow with the square of the length, so this is in their favour.
- **httpx-sse** only cuts bytes into events and reads none of them.
- **Text repeats itself** more than a model does, and every stream comes from one seed.
- **Time** is CPU time of the process with garbage collection on. Where the floor is given, both ran in turns in the
  same process, and the figure is the median of the rounds' ratios. Absolute times are those of a shared machine.
- **Memory** is the growth of the peak of resident memory over a fork that has the input at hand and has read a very
  short stream. It counts in pages, and what fits into memory that was left free is not seen, so less than a tenth of
  a MiB means nothing. The streams differ in length, see the column.
- **Batches**: the ways that end in a Parquet file are timed by the clock, from the start of the command, with
  reading and writing; those in memory, and the loops and types of others, by CPU time, on recordings that are at
  hand. Every recording is one of 400 streams under an id of its own; what others get wrong is mostly streams that
  were cut or end with an error.
- **End to end** counts the client's CPU time alone, over loopback: no TLS, no real network.
"""


def markdown(results: Results) -> str:
    """The whole of `RESULTS.md`."""
    parts = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks` from the repository root, with the `bench` group installed; not edited by"
        " hand. `results/results.json` has the same figures and more.",
        "",
        *_environment(results),
        "",
        "## What is unfair",
        "",
        UNFAIR,
    ]
    if results["targets"]:
        parts += ["## Figures to reach", "", *target_table(results["targets"]), ""]
    if results["recordings"]:
        parts += ["## Recordings", "", "![Time to read real streams, and a long one](results/results.svg)", ""]
        parts += [*recordings_section(results), ""]
    if any(row["state"] == "measured" for row in results["cases"]):
        parts += ["## Long streams, one event a read", "", *case_summary(results), ""]
        if fast_path := list(fast_path_table(results)):
            parts += [*fast_path, ""]
        parts += ["## Every case", "", LEGEND, ""]
        for name in KINDS:
            parts += case_table(results, name)
    for name, (title, section) in SECTIONS.items():
        if results[name] and (lines := list(section(results))):
            parts += [f"## {title}", "", *lines, ""]
    return "\n".join(parts).rstrip() + "\n"


def _environment(results: Results) -> Iterator[str]:
    found = results["environment"]
    yield (
        f"{found['date']}, {found['python']}, {found['system']}, {found['cpu']} ({found['cores']} cores),"
        f" {found['seconds']} s in all."
    )
    yield ""
    yield ", ".join(f"{name} {version or '(absent)'}" for name, version in found["versions"].items()) + "."
