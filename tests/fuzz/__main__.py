"""The runner: `python -m tests.fuzz TARGET --runs N`; without atheris, inputs at random that nothing guides."""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import TARGETS

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000, help="how many executions (100,000)")
    parser.add_argument("--seconds", type=int, default=0, help="stop after so many seconds all the same")
    parser.add_argument("--longest", type=int, default=1024, help="bytes of an input (1,024)")
    parser.add_argument("--seed", type=int, default=0, help="0 takes another one each time")
    parser.add_argument(
        "--keep", type=Path, help="a directory for the inputs that reached something new, to go on from"
    )
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("atheris is not installed (pip install -e '.[fuzz]'): the inputs are random, and nothing guides them")
        unguided(target(options.target), options.runs, options.seconds, options.seed)
        return
    with atheris.instrument_imports(include=["streamagg"]):
        import streamagg  # noqa: F401 - imported here, its code is watched
    with tempfile.TemporaryDirectory() as made:
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
        arguments = [
            f"-runs={options.runs}",
            f"-max_total_time={options.seconds}",
            f"-max_len={options.longest}",
            "-print_final_stats=1",
            "-timeout=20",
        ]
        arguments += [f"-seed={options.seed}", f"-artifact_prefix=fuzz-{options.target}-"]
        atheris.Setup([sys.argv[0], *arguments, str(options.keep or made), str(CORPUS)], target(options.target))
        atheris.Fuzz()


def target(name: str) -> Any:
    return importlib.import_module(f"tests.fuzz.{name}").try_input


def unguided(try_input: Any, runs: int, seconds: int, seed: int) -> None:
    """Bodies of the corpus with some bytes changed, and rows of random choices."""
    seed = seed or random.randrange(2**32)
    dice = random.Random(seed)
    bodies = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    began = time.monotonic()
    done = 0
    for run in range(runs):
        if seconds and time.monotonic() - began > seconds:
            break
        data = random_input(dice, bodies)
        try:
            try_input(data)
        except Exception:  # whatever it is: the input that led to it is told, and it is raised
            print(f"seed {seed}, run {run}: {data!r}")
            raise
        done += 1
    print(f"{done} runs, seed {seed}: nothing found")


def random_input(dice: random.Random, bodies: list[bytes]) -> bytes:
    if dice.random() < 0.6:
        return bytes([dice.randrange(128, 256)]) + dice.randbytes(dice.randrange(120))
    body = bytearray(dice.choice(bodies))
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(body))
        body[place : place + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
    return bytes(body)


if __name__ == "__main__":
    main()
