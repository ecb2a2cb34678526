"""Comparisons whose losses were chosen on validation classes; the class splits of one data set together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losscope.statistics import Interval, corrected_fold_difference
from losscope.summary.datasets import recorded
from losscope.summary.selection import VALIDATION
from losscope.summary.types import Comparison, Selection, Summary


@dataclass(frozen=True)
class ClassSplits:
    """One data set under one protocol, cut into training and test classes in one way or in several."""

    title: str
    comparisons: tuple[Comparison, ...]
    sizes: Mapping[str, int]  # classes of the training, the validation and the evaluation split
    uncounted: tuple[str, ...] = ()  # splits of which nothing says how many classes they have

    @property
    def several(self) -> bool:
        """Whether there is more than one class split."""
        return len(self.comparisons) > 1

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that every class split has chosen a variant of."""
        every = [{one.loss for one in part.selections} for part in self.comparisons]
        return tuple(one.loss for one in self.comparisons[0].selections if one.loss in set.intersection(*every))

    @property
    def test_share(self) -> float:
        """The share of classes that is tested on: what makes class splits overlap."""
        return self.sizes[self.comparisons[0].evaluation or ""] / sum(self.sizes.values())

    def selections(self, loss: str) -> list[Selection]:
        """The selection of a loss in every class split."""
        return [next(one for one in part.selections if one.loss == loss) for part in self.comparisons]


def class_splits(summary: Summary) -> list[ClassSplits]:
    """The comparisons whose losses were chosen on validation classes, those of one base data set together.

    Apart where neither rows nor the manifest count the classes: how far class splits overlap isn't known then.
    """
    places: dict[tuple[str, str], list[Comparison]] = {}
    for part in summary.given:
        if part.selections:
            places.setdefault((part.base_dataset, part.protocol), []).append(part)
    found = []
    for (base, protocol), parts in places.items():
        sizes = _sizes(summary, parts[0])
        uncounted = tuple(split for split in ("train", VALIDATION, parts[0].evaluation or "") if split not in sizes)
        if uncounted:
            found += [ClassSplits(part.title, (part,), _sizes(summary, part), uncounted) for part in parts]
        else:
            found.append(ClassSplits(f"{base}, protocol {protocol}", tuple(parts), sizes))
    return found


def _sizes(summary: Summary, part: Comparison) -> dict[str, int]:
    """Classes of the splits that were trained on, chosen by and tested on: as measured, else as the manifest says."""
    stated: Mapping[str, int] = recorded(summary.studies, part.dataset).get("classes", {})
    known = {**stated, **part.classes}
    return {split: known[split] for split in ("train", VALIDATION, part.evaluation) if split and known.get(split)}


def over_splits(part: ClassSplits, means: Sequence[float]) -> Interval:
    """Mean of one value for each class split, with the interval for other class splits."""
    return corrected_fold_difference(means, test_share=part.test_share).interval


def mean(values: Mapping[int, float]) -> float:
    """The mean over seeds."""
    return float(np.mean(list(values.values())))
