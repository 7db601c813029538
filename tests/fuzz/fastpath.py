"""With the fast path and without, handing chunks out or not: nothing can be told apart, in any slicing."""

from __future__ import annotations

from tests.unit.fastpath.test_fastpath import by_event, push

from .shapes import body_of, slices_of


def try_input(data: bytes) -> None:
    body = body_of(data)
    strict = bool(data[:1] and data[0] & 64)
    for hand_out in (False, True):
        wanted, _ = push([body], fast=False, hand_out=hand_out, strict=strict)
        for slices in ([body], by_event(body), slices_of(body, data)):
            got, _ = push(slices, fast=True, hand_out=hand_out, strict=strict)
            assert got == wanted or repr(got) == repr(wanted)  # NaN is not equal to itself
