"""Writes the table of hypernyms of Tiny-ImageNet's classes from WordNet 3.0 (Debian: apt-get install wordnet-base).

python -m benchmarks.hypernyms WNIDS.txt [DATA.NOUN] > src/losscope/data/coarse/hypernyms.toml

WNIDS.txt has one class on a line, as wnids.txt of Tiny-ImageNet. The rule: go through all synsets above the classes
from the deepest up (depth: the longest way to the root; then by number); one that at least FEWEST classes not yet in a
group fall under becomes the group of these classes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NOUNS = Path("/usr/share/wordnet/data.noun")
FEWEST = 5
HEADER = f"""\
# Tiny-ImageNet's 200 classes by hypernym, derived from the nouns of WordNet 3.0 by benchmarks/hypernyms.py, unedited.
# A class is in the deepest synset that at least {FEWEST} classes not in a deeper group fall under: narrow groups where
# ImageNet is dense, wide ones ("device") for the rest, and the last one holds what is left.
# WordNet 3.0 Copyright 2006 by Princeton University.
"""


@dataclass(frozen=True)
class Synset:
    """A line of data.noun: its first word, and the numbers of its hypernyms."""

    word: str
    hypernyms: tuple[str, ...]


def synsets(path: Path = NOUNS) -> dict[str, Synset]:
    """All nouns by number. Format: wndb(5WN)."""
    found = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("  "):
            continue  # the license
        cells = line.split(" ")
        pointers = 4 + 2 * int(cells[3], 16)
        targets = [cells[pointers + 1 + 4 * nth :][:2] for nth in range(int(cells[pointers]))]
        found[cells[0]] = Synset(cells[4], tuple(number for kind, number in targets if kind in ("@", "@i")))
    return found


def grouped(classes: list[str], nouns: dict[str, Synset], fewest: int = FEWEST) -> dict[str, list[str]]:
    """Number of a group's synset -> numbers of its classes, by the rule above."""

    @cache
    def depth(number: str) -> int:
        return max((1 + depth(above) for above in nouns[number].hypernyms), default=0)

    @cache
    def upward(number: str) -> frozenset[str]:
        return frozenset({number}).union(*(upward(above) for above in nouns[number].hypernyms))

    left, groups = sorted(classes), {}
    for candidate in sorted(frozenset().union(*map(upward, left)), key=lambda number: (-depth(number), number)):
        under = [number for number in left if candidate in upward(number)]
        if len(under) >= fewest:
            groups[candidate] = under
            left = [number for number in left if number not in under]
    if left:
        raise SystemExit(f"no group for {', '.join(left)}; expected at least {fewest} classes in all")
    return groups


def document(classes: list[str], nouns: dict[str, Synset]) -> str:
    """The TOML file: a table for each group, its classes with their first words as comments."""
    parts = [HEADER]
    for number, members in grouped([name.removeprefix("n") for name in classes], nouns).items():
        lines = "".join(f'    "n{member}",  # {nouns[member].word}\n' for member in members)
        parts.append(f'[{nouns[number].word}]\nsynset = "n{number}"\nclasses = [\n{lines}]\n')
    return "\n".join(parts)


if __name__ == "__main__":
    listed = Path(sys.argv[1]).read_text(encoding="utf-8").split()
    print(document(listed, synsets(*map(Path, sys.argv[2:3]))), end="")
