"""Queries that fail, with what they found instead: a few of each class, the worst first."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from losscope.diagnosis.labels import Classes, Labels
from losscope.diagnosis.retrieving import Retrieved

SHOWN, OF_A_CLASS = 24, 2


def failures(
    found: Retrieved,
    labels: Labels,
    shown_labels: Labels,
    classes: Classes,
    neighbors: tuple[np.ndarray, np.ndarray],
    measure: str = "map_at_r",
) -> list[dict[str, Any]]:
    """Queries whose first neighbor is not relevant: row, label, measure, neighbors with labels and whether relevant."""
    first = found.each["recall_at_1"]
    worst = [place for place in np.argsort(found.each[measure], kind="stable").tolist() if first[place] < 1]
    taken: Counter[tuple[int, ...]] = Counter()
    listed = []
    for place in worst:
        own = _places(labels, int(found.rows[place]))
        if taken[own] < OF_A_CLASS:
            taken[own] += 1
            listed.append(
                {
                    "row": int(found.rows[place]),
                    "label": _shown(own, classes),
                    measure: float(found.each[measure][place]),
                    "neighbors": [
                        {
                            "row": row,
                            "label": _shown(theirs, classes),
                            "distance": distance,
                            "relevant": bool({*own} & {*theirs}),
                        }
                        for row, distance in zip(*(part[place].tolist() for part in neighbors), strict=True)
                        for theirs in [_places(shown_labels, row)]
                    ],
                }
            )
        if len(listed) == SHOWN:
            break
    return listed


def _places(labels: Labels, row: int) -> tuple[int, ...]:
    """The classes of a row; two of them may be shown by one name."""
    return tuple(labels.places[labels.offsets[row] : labels.offsets[row + 1]].tolist())


def _shown(places: tuple[int, ...], classes: Classes) -> str:
    return " | ".join(classes.names[place] for place in places)
