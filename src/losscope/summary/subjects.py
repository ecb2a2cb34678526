"""Whose numbers a row shows: the raw input, the untrained network, or a variant of a loss. One order and one color each.

The colors are those of Okabe and Ito ("Color Universal Design", 2008), which stay apart for color-blind readers;
variants of a loss share its hue and symbol and differ in lightness, dash and filling. Gray is for what no loss has
trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["input", "whitened", "untrained", "trained"]

HUES = {
    "contrastive": "#0072B2",
    "triplet": "#D55E00",
    "n_pair": "#009E73",
    "info_nce": "#CC79A7",
    "arcface": "#E69F00",
    "sup_con": "#56B4E9",
    "center_contrastive": "#8A5A44",  # the palette's yellow can't be read on white, its black not on black
}
OTHER_HUES = ("#7A6FC2", "#4C8C2B", "#B23A48", "#2F8F9D")  # a user's own losses, in order of their names
GRAYS = {"input": "#8A8A8A", "whitened": "#6E7681", "untrained": "#B4B4B4"}
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = {
    "contrastive": "circle",
    "triplet": "triangle-up",
    "n_pair": "diamond",
    "info_nce": "square",
    "arcface": "pentagon",
    "sup_con": "star",
    "center_contrastive": "triangle-down",
}
OTHER_SYMBOLS = ("hexagon", "octagon", "hexagram", "star-square")
FILLINGS = ("", "-open", "-dot", "-open-dot")
PALEST = 0.55
"""Share of white in the last variant's color: beyond, it can't be seen on white."""


@dataclass(frozen=True)
class Subject:
    """One row's name and look. `loss` and `variant` as in the table; untrained rows have the loss "untrained"."""

    kind: Kind
    loss: str
    variant: str
    color: str
    dash: str
    symbol: str
    name: str = ""  # stands for loss and variant

    @property
    def label(self) -> str:
        """What a reader sees."""
        return self.name or f"{self.loss} {self.variant.replace(',', ', ')}".strip()


INPUT = Subject("input", "none", "input", GRAYS["input"], "dot", "x", "raw input")
FEATURES = Subject("input", "none", "input", GRAYS["input"], "dot", "x", "frozen features")
WHITENED = Subject("whitened", "none", "whitened", GRAYS["whitened"], "dashdot", "x-open", "whitened features")
UNTRAINED = Subject("untrained", "untrained", "", GRAYS["untrained"], "dot", "cross", "untrained network")


def subjects(trained: Iterable[tuple[str, str]]) -> list[Subject]:
    """Subjects of the (loss, variant) pairs of a report, in the one order that every table and figure keeps."""
    pairs = sorted(set(trained), key=lambda pair: (_place(pair[0]), pair))
    own = sorted({loss for loss, _ in pairs} - HUES.keys())
    found = []
    for loss, variant in pairs:
        variants = [other for name, other in pairs if name == loss]
        nth = variants.index(variant)
        hue = HUES.get(loss) or OTHER_HUES[own.index(loss) % len(OTHER_HUES)]
        symbol = SYMBOLS.get(loss) or OTHER_SYMBOLS[own.index(loss) % len(OTHER_SYMBOLS)]
        color = lighter(hue, PALEST * nth / max(len(variants) - 1, 2))
        dash, filling = DASHES[nth % len(DASHES)], FILLINGS[nth % len(FILLINGS)]
        found.append(Subject("trained", loss, variant, color, dash, symbol + filling))
    return found


def _place(loss: str) -> int:
    names = list(HUES)
    return names.index(loss) if loss in HUES else len(names)


def lighter(color: str, share: float) -> str:
    """`color` mixed with white.

    >>> lighter("#0072B2", 0.5)
    '#80B8D8'
    """
    parts = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02X}" for part in parts)
