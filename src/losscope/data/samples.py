"""Labeled samples whose inputs are made for the rows that are kept only, and their way into splits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from losscope.data.coarse import Coarsened
from losscope.data.dataset import Dataset, Split, class_labels
from losscope.data.notes import joined_notes, limited
from losscope.data.splits import Parts, rows_of


class Taken(NamedTuple):
    """Inputs (rows, ...) of some rows and what is to be said of them."""

    inputs: np.ndarray
    source: Mapping[str, str]
    note: str = ""
    recipe: str = ""  # canonical JSON, see Dataset.recipe


@dataclass(frozen=True, eq=False)
class Samples:
    """All samples of a source: labels (samples,), and `take(rows)` for the inputs of some of them.

    `is_train` (samples,) bool is the split that came with the data, or None.
    """

    labels: np.ndarray
    take: Callable[[np.ndarray], Taken]
    is_train: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", class_labels(self.labels))


def split_samples(
    name: str,
    samples: Samples,
    parts: Parts,
    *,
    split_protocol: str,
    class_split: int = 0,
    limit: int | None = None,
    note: str = "",
    coarse: Coarsened | None = None,
) -> Dataset:
    """The data set with these parts as its splits, `train` among them; `limit` as in `rows_of`.

    With `coarse`, its classes are the labels; parts and limits go by the samples' own. The source tells a drawn
    `class_split`.
    """
    drawn = {"class_split": str(class_split)} if class_split else {}
    labels, fine, names = coarse or (samples.labels, None, samples.class_names)
    rows = rows_of(samples.labels, parts, limit)
    kept = np.sort(np.concatenate([*rows.values()]))
    taken = samples.take(kept)
    classes = {part: set(labels[chosen]) for part, chosen in rows.items()}
    return Dataset(
        name=name,
        splits={
            part: Split(
                taken.inputs[np.searchsorted(kept, chosen)], labels[chosen], None if fine is None else fine[chosen]
            )
            for part, chosen in rows.items()
        },
        split_protocol=split_protocol,
        class_names=names,
        note=joined_notes(note, taken.note, limited(limit)),
        shares_classes=all(part <= classes["train"] for part in classes.values()),
        source={**taken.source, **drawn},
        recipe=taken.recipe and json.dumps({"inputs": json.loads(taken.recipe), "split": split_protocol, **drawn}),
    )
