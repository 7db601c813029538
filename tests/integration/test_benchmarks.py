"""The inputs of the benchmarks: their known answers are those of the reference, and of the library."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamagg import accumulate_sync
from tests.support import reference
from tests.support.helpers import strip_nulls
from tests.support.places import ROOT

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs the benchmarks beside the tests", allow_module_level=True)

inputs = pytest.importorskip("benchmarks.streams.generated")
reads = pytest.importorskip("benchmarks.streams.reads")


@pytest.mark.parametrize("name", inputs.KINDS)
def test_answers_are_right(name: str) -> None:
    kind = inputs.KINDS[name]
    case = kind.case(120)
    chunks = [json.loads(payload) for payload in case.payloads]
    response, failed = reference.merge(chunks)
    assert (reference.strip_nulls(response), failed) == (case.answer, False)
    for delivery in reads.deliveries(kind):
        slices = reads.reads_of(case, delivery)
        assert b"".join(slices) == b"".join(case.events)
        assert strip_nulls(accumulate_sync(slices).to_dict()) == case.answer


@pytest.mark.parametrize("name", inputs.KINDS)
def test_the_same_seed_gives_the_same_stream(name: str) -> None:
    kind: Any = inputs.KINDS[name]
    assert kind.case(50) == kind.case(50)
    assert kind.case(50).events != kind.case(50, 1).events


@pytest.mark.full
def test_recordings_have_the_known_answers() -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `arrow`")
    from benchmarks.streams import batch_mix
    from streamagg.arrow import aggregate

    made, choice = batch_mix.templates(), batch_mix.chosen(1200)
    assert len({made[number].error for number in choice}) == 3
    bodies = batch_mix.bodies(range(1200), made, choice)
    assert bodies[:50] == batch_mix.bodies(range(50), batch_mix.templates(), batch_mix.chosen(50))
    rows = aggregate(pa.table({"body": pa.array(bodies)}))
    assert batch_mix.wrong_rows(rows, 1200) == 0
    assert batch_mix.wrong_rows(pa.concat_tables([rows.slice(7), rows.slice(0, 7)]), 1200) == 0
    assert batch_mix.wrong_rows(pa.concat_tables([rows, rows.slice(5, 2)]), 1200) == 2  # twice
    assert batch_mix.wrong_rows(rows.slice(3), 1200) == 3  # not at all
    assert batch_mix.wrong_rows(aggregate(pa.table({"body": pa.array([b"", *bodies[1:]])})), 1200) == 1


@pytest.mark.parametrize("name", inputs.KINDS)
def test_the_hand_written_loop_is_right(name: str) -> None:
    """Its time would mean little otherwise."""
    from benchmarks.libraries import loop_json
    from benchmarks.measure.answers import wrong_parts

    case = inputs.KINDS[name].case(60)
    for delivery in reads.deliveries(inputs.KINDS[name]):
        answer = loop_json.collect(reads.reads_of(case, delivery))
        assert wrong_parts(case.answer, loop_json.wire(answer), whole=False) == []


def test_real_streams_are_cut_after_each_event() -> None:
    from benchmarks.streams.recordings import one_chunk, recordings

    short = one_chunk()
    assert len(short.payloads) == 2
    assert strip_nulls(accumulate_sync(short.reads("event")).to_dict()) == short.answer
    for recording in recordings():
        assert b"".join(recording.events) == recording.body
        assert len(recording.payloads) >= recording.chunks > 0


@pytest.mark.parametrize("part", ["recordings", "cases"])
def test_a_wrong_answer_fails_the_run(part: str) -> None:
    from benchmarks.report.faults import faults

    row: dict[str, Any] = {"library": "streamagg", "case": "text", "delivery": "event", "state": "measured"}
    empty: dict[str, Any] = dict.fromkeys(
        ("recordings", "cases", "end_to_end", "growth", "crowd", "framing", "batch"), ()
    )
    right, wrong = ({}, {"some": "content"}) if part == "recordings" else ([], ["content"])
    assert list(faults({**empty, part: [{**row, "wrong": right}]})) == []
    assert len(list(faults({**empty, part: [{**row, "wrong": wrong}]}))) == 1
    assert list(faults({**empty, part: [{**row, "library": "litellm", "wrong": wrong}]})) == []
    assert list(faults({**empty, part: [{"library": "streamagg", "state": "absent", "reason": "none"}]})) == []
