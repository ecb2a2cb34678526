"""Coarse labels: several classes made one, to train on the coarse class and look for the fine one.

Each rule takes the name of a class to the name of its coarse class. What variance a loss keeps within the classes it
is trained on can then be held against a label that it never saw. A coarse class of a single fine class tells nothing:
its fine label is the one trained on, and is replaced by -1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from losscope.errors import InvalidInput
from losscope.types import OUTLIER

Rule = Callable[[str], str]

MAKES_OF_TWO_WORDS = ("AM General", "Aston Martin", "Land Rover")


class Coarsened(NamedTuple):
    """The two labels of each sample."""

    coarse: np.ndarray  # (samples,) int64
    fine: np.ndarray  # (samples,) int64, -1 where the coarse class holds no other fine class
    names: tuple[str, ...]  # of the coarse classes


def by_name(labels: np.ndarray, class_names: tuple[str, ...], rule: Rule) -> Coarsened:
    """Coarse classes from the names of the classes that labels (samples,) count, numbered in the order of their names.

    Raises InvalidInput without a name for every class, or if no two classes of the samples become one.

    >>> found = by_name(np.array([2, 1, 0, -1]), ("0", "1", "2"), parity)
    >>> found.coarse.tolist(), found.fine.tolist(), found.names
    ([0, 1, 0, -1], [2, -1, 0, -1], ('even', 'odd'))
    """
    if labels.max(initial=OUTLIER) >= len(class_names):
        raise InvalidInput(
            f"labels reach {labels.max()} and {len(class_names)} classes have names; coarse labels are made from the "
            "names: read the images, whose classes have names, or leave the option 'coarse' out"
        )
    names, of = np.unique([rule(name) for name in class_names], return_inverse=True)
    coarse = np.where(labels == OUTLIER, OUTLIER, of[labels]).astype(np.int64)
    return Coarsened(coarse, several_only(coarse, labels), tuple(str(name) for name in names))


def several_only(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Fine labels (samples,), -1 for samples of a coarse class that holds a single fine class.

    Raises InvalidInput if this leaves none.
    """
    known = (coarse != OUTLIER) & (fine != OUTLIER)
    parents = np.unique(np.stack([coarse[known], fine[known]]), axis=1)[0]
    groups, sizes = np.unique(parents, return_counts=True)
    kept = known & np.isin(coarse, groups[sizes > 1])
    if not kept.any():
        raise InvalidInput(
            f"each of the {len(groups)} coarse classes holds a single class of its own; expected one with at least two, "
            "else there is nothing finer to look for"
        )
    return np.where(kept, fine, OUTLIER)


def parity(name: str) -> str:
    """Of a digit: "even" or "odd"."""
    return "odd" if int(name) % 2 else "even"


def last_word(name: str) -> str:
    """Of a bird: what its species is called without its epithets, which is often a family, not always.

    >>> last_word("Black_footed_Albatross")
    'Albatross'
    """
    return re.split(r"[\s_.]+", name)[-1]


def make(name: str) -> str:
    """Of a car: its maker, the first word or two of the model's name.

    >>> make("Aston Martin V8 Vantage Coupe 2012"), make("BMW M3 Coupe 2012")
    ('Aston Martin', 'BMW')
    """
    return next((two for two in MAKES_OF_TWO_WORDS if name.startswith(two)), name.split()[0])


def hypernym(name: str) -> str:
    """Of a class of Tiny-ImageNet, by its WordNet number: the more general noun it is grouped under.

    Raises InvalidInput for a class that `hypernyms.toml` does not list.
    """
    table = _hypernyms()
    if name not in table:
        raise InvalidInput(
            f"class '{name}' is none of the {len(table)} of Tiny-ImageNet; expected classes named by WordNet numbers, "
            "such as n01443537"
        )
    return table[name]


@cache
def _hypernyms() -> dict[str, str]:
    text = (files("losscope.data.coarse") / "hypernyms.toml").read_text(encoding="utf-8")
    groups: dict[str, list[str]] = {name: group["classes"] for name, group in tomllib.loads(text).items()}
    return {wnid: name for name, wnids in groups.items() for wnid in wnids}
