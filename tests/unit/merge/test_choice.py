"""The choices of a response."""

from __future__ import annotations

from tests.support.helpers import chunk, merged


def test_unknown_fields_of_choices_on_the_plain_way() -> None:
    items = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({"content": "c"})]
    items[1]["choices"][0]["vendor"] = {"k": 1}
    items[2]["choices"][0]["vendor"] = {"l": 2}
    assert merged(*items)["choices"][0]["vendor"] == {"k": 1, "l": 2}
