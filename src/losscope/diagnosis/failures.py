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
    first = found.each.get("recall_at_1", found.each[measure])
    worst = [place for place in np.argsort(found.each[measure], kind="stable").tolist() if first[place] < 1]
    taken: Counter[str] = Counter()
    listed = []
    for place in worst:
        own = _names(labels, classes, int(found.rows[place]))
        label = " | ".join(own)
        if taken[label] < OF_A_CLASS:
            taken[label] += 1
            listed.append(
                {
                    "row": int(found.rows[place]),
                    "label": label,
                    measure: float(found.each[measure][place]),
                    "neighbors": [
                        {
                            "row": row,
                            "label": " | ".join(theirs),
                            "distance": distance,
                            "relevant": bool({*own} & {*theirs}),
                        }
                        for row, distance in zip(*(part[place].tolist() for part in neighbors), strict=True)
                        for theirs in [_names(shown_labels, classes, row)]
                    ],
                }
            )
        if len(listed) == SHOWN:
            break
    return listed


def _names(labels: Labels, classes: Classes, row: int) -> list[str]:
    return [classes.names[place] for place in labels.places[labels.offsets[row] : labels.offsets[row + 1]].tolist()]
