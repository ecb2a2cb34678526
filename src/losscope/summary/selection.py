"""Variant and epoch chosen on validation classes, and what choosing them on the test classes would have gained.

For each loss one procedure over the same candidates, variants x evaluated epochs (before training is none of them):

    last     the variant with the highest mean over seeds on `validation` after the last epoch, at that epoch
    chosen   every run's epoch by its own curve on `validation`, then the variant with the highest mean of these maxima
    peeked   as `chosen`, with the test split in the place of `validation`

    peeking gain = peeked - chosen, on the test split, paired by seed; its mean is never negative

Of equals the earlier epoch and the variant that the study lists first. Musgrave et al., "A Metric Learning Reality
Check", ECCV 2020, name the choice on test classes as a flaw of most published comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from losscope.summary.estimating import SeriesOf
from losscope.summary.measures import RECALL_1, Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Choice, Selection

VALIDATION = "validation"


class Seen(NamedTuple):
    """One evaluated epoch of one run."""

    validation: float
    test: float


Grid = Mapping[int, Mapping[int, Seen]]
"""Seed -> epoch -> what was measured after it."""


def selections(
    series: Mapping[Subject, SeriesOf], evaluation: str, last: int, measure: Measure = RECALL_1
) -> tuple[Selection, ...]:
    """One selection for each loss that was measured on `validation` and on the `evaluation` split after epoch `last`.

    A variant that lacks seeds which another variant of its loss has is no candidate: its mean would be over other seeds.
    """
    grids = {subject: _grid(of, evaluation, measure) for subject, of in series.items()}
    found = []
    for loss in dict.fromkeys(subject.loss for subject in series):
        own = {subject: grid for subject, grid in grids.items() if subject.loss == loss}
        ended = {subject: {seed for seed, seen in grid.items() if last in seen} for subject, grid in own.items()}
        seeds = sorted(set().union(*ended.values()))
        whole = {subject: grid for subject, grid in own.items() if len(ended[subject]) == len(seeds)}
        if not seeds or not whole:
            continue
        epochs = sorted(set.intersection(*(set(grid[seed]) for grid in whole.values() for seed in seeds)))
        found.append(
            Selection(
                loss=loss,
                measure=measure,
                variants=len(whole),
                epochs=tuple(epochs),
                left_out=tuple(subject for subject in own if subject not in whole),
                last=_choose(whole, seeds, [last], by="validation"),
                chosen=_choose(whole, seeds, epochs, by="validation"),
                peeked=_choose(whole, seeds, epochs, by="test"),
            )
        )
    return tuple(found)


def _grid(of: SeriesOf, evaluation: str, measure: Measure) -> Grid:
    """Epochs after which both splits were measured, the untrained network left out."""
    sides: list[dict[tuple[int, int], float]] = []
    for split in (VALIDATION, evaluation):
        series = of.get((split, measure.diagnostic, measure.item))
        if series is None:
            return {}
        rows = np.flatnonzero((series.epochs > 0) & np.isfinite(series.values))
        sides.append({(int(series.seeds[row]), int(series.epochs[row])): float(series.values[row]) for row in rows})
    validation, test = sides
    grid: dict[int, dict[int, Seen]] = {}
    for seed, epoch in sorted(validation.keys() & test.keys()):
        grid.setdefault(seed, {})[epoch] = Seen(validation[seed, epoch], test[seed, epoch])
    return grid


def _choose(grids: Mapping[Subject, Grid], seeds: Sequence[int], epochs: Sequence[int], *, by: str) -> Choice:
    """The choice that looks at one split alone."""
    best = {subject: {seed: _best_epoch(grid[seed], epochs, by) for seed in seeds} for subject, grid in grids.items()}

    def mean(subject: Subject) -> float:
        return float(np.mean([getattr(grids[subject][seed][best[subject][seed]], by) for seed in seeds]))

    chosen = max(grids, key=mean)  # the first of equals
    seen = {seed: grids[chosen][seed][epoch] for seed, epoch in best[chosen].items()}
    return Choice(
        subject=chosen,
        epochs=best[chosen],
        validation={seed: one.validation for seed, one in seen.items()},
        test={seed: one.test for seed, one in seen.items()},
    )


def _best_epoch(seen: Mapping[int, Seen], epochs: Sequence[int], by: str) -> int:
    """The epoch with the highest value on one split; the first of equals."""
    return max(epochs, key=lambda epoch: (getattr(seen[epoch], by), -epoch))
