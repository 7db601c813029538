"""Text as models write it: prose with quotes and dashes, code with escapes, several scripts, emoji; in pieces."""

# ruff: noqa: RUF001 - other scripts are the point

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

ENGLISH = (
    'The word "cache" hides two ideas: what is kept, and how long it is worth keeping. Most bugs are in the latter.\n',
    "It's tempting to retry at once. Don't: wait, double the wait, and add some chance so that clients spread out. ",
    "1. **Measure first.** Guesses about speed are often wrong.\n2. **Change one thing.**\n3. Repeat.\n\n",
    "A lighthouse keeper counts ships the way others count sheep; by midnight he had reached forty-one, and slept. ",
    "If the queue is empty, the worker sleeps; if it is full, the producer waits. Nothing is lost, nobody spins.\n",
    "Start with the smallest program that could work, then make it fail in every way you can think of. ",
)
CODE = (
    '```python\ndef read(path: str) -> str:\n    """Return the text of `path`."""\n    with open(path) as file:\n'
    '        return file.read().replace("\\r\\n", "\\n")\n```\n\n',
    "```js\nconst rows = text.split('\\n').map((row) => row.split('\\t'));\nconsole.log(`${rows.length} rows`);\n```\n",
    '```sh\ngrep -rn "TODO\\b" src/ | awk -F: \'{ print $1 ":" $2 }\' | sort -u\n```\n',
    'Set `PATH_PATTERN = r"C:\\\\Users\\\\(\\w+)\\\\"` and match it against `"C:\\\\Users\\\\ada\\\\notes.txt"`. ',
)
SCRIPTS = (
    "The bakery’s sign said “fresh since 1912” — nobody asked what had been fresh since then. ",
    "Die Prüfung läuft über Nacht; am Morgen steht fest, ob die Größe stimmt. ",
    "Après l’été, le café était fermé : « à bientôt », disait l’affiche. ",
    "Сначала измерь, потом меняй: догадки о скорости чаще всего неверны. ",
    "先测量，再优化。猜测通常是错的，数字不会骗人。\n",
    "短いプログラムから始めて、少しずつ大きくしましょう。",
    "∑ᵢ xᵢ² ≤ n·max(x)², so the bound holds ✅ — and it is tight 🎯.\n\n",
    "Done! 🎉 Tests pass on 3.10 → 3.13, and the wheel is 40 % smaller 👍🏽.\n",
)
_PIECE = re.compile(r" ?\w{1,7}|\n+|[ \t]+|[^\w\s]|\s")


def pieces(rng: Random, *, ascii_only: bool = False) -> Iterator[str]:
    """Endless text in pieces of about a token each."""
    others = CODE if ascii_only else CODE + SCRIPTS
    while True:
        yield from _PIECE.findall(rng.choice(ENGLISH if rng.random() < 0.6 else others))
