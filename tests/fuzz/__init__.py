"""Coverage-guided fuzzing: `python -m tests.fuzz TARGET --runs N`.

A target is a module with a function `try_input(data)`, which raises where something is wrong with what the
library makes of these bytes. The first byte of an input says how it is cut, by its lowest bits, and whether the
rest is a body as it stands (below 128) or a row of choices from which `shapes` builds one (above): raw bytes
rarely get past the JSON parser. `corpus` has the bodies to begin with; what once failed is in `tests/fuzz/test_fuzz.py`.
"""

TARGETS = ("framing", "reader", "accumulator", "fastpath")
