"""Checks of the classes: are they all measured, and are they of a size that lets centroids be compared?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from losscope.summary.datasets import recorded
from losscope.summary.measures import INTER, INTER_TRAIN, INTRA, INTRA_TRAIN
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

MOVED = 0.02
"""Share of a centroid distance by which class sizes alone may move it before a comparison of splits is warned of."""


OTHER_SIZE = 1.1
"""Ratio of the sizes of classes from which they count as different."""


def sizes(summary: Summary) -> list[str] | None:
    """Centroid distances of the training and the evaluation split, at class sizes that inflate them differently."""
    compared, said = 0, []
    for comparison in summary.given:
        per_class = _samples_per_class(summary, comparison)
        if not {"train", comparison.evaluation} <= per_class.keys() or comparison.evaluation is None:
            continue
        train, evaluation = per_class["train"], per_class[comparison.evaluation]
        worst = max((abs(ours - theirs) for ours, theirs in _inflations(comparison, train, evaluation)), default=None)
        if worst is None:
            continue
        compared += 1
        if worst > MOVED and max(train, evaluation) > OTHER_SIZE * min(train, evaluation):
            said.append(
                f"{comparison.title}: about {train:.0f} samples of a class in train, {evaluation:.0f} in {comparison.evaluation}; "
                f"that alone makes a difference of up to {worst:.1%} between their centroid distances."
            )
    if not compared:
        return None
    if not said:
        return []
    return ["Centroid distances of the training and the evaluation split are not comparable as they are, because their classes "
            "differ in size; the corrected distance is.", *said]  # fmt: skip


def _inflations(comparison: Comparison, train: float, evaluation: float) -> Iterator[tuple[float, float]]:
    """By what share class sizes inflate the centroid distance of each loss, on train and on evaluation."""
    for subject in comparison.trained:
        means = (comparison.mean(subject, measure) for measure in (INTRA_TRAIN, INTER_TRAIN, INTRA, INTER))
        known = [mean for mean in means if mean is not None]
        if len(known) < 4:
            continue
        loose, apart, other_loose, corrected = known
        # E d² = true d² + v_u (1/N + 1/N'), with the unbiased variance v_u = v N/(N - 1).
        bias, other_bias = 2 * loose / max(train - 1, 1), 2 * other_loose / max(evaluation - 1, 1)
        if apart**2 > bias and corrected > 0:
            yield apart / math.sqrt(apart**2 - bias) - 1, math.sqrt(1 + other_bias / corrected**2) - 1


def _samples_per_class(summary: Summary, comparison: Comparison) -> Mapping[str, float]:
    samples = recorded(summary.studies, comparison.dataset).get("samples", {})
    return {
        split: samples[split] / count for split, count in comparison.classes.items() if samples.get(split) and count
    }


def dropped(summary: Summary) -> list[str] | None:
    """Classes of a split without a row of their own, or that only some runs of a seed measure."""
    known, said, lacking = 0, [], []
    for comparison in summary.given:
        known += len(comparison.class_variances) > 1
        lacking += [f"{comparison.title}, {text}" for text in _lacking(comparison)]
        there: Mapping[str, int] = recorded(summary.studies, comparison.dataset).get("classes", {})
        for split, measured in comparison.classes.items():
            if split in there:
                known += 1
                if measured < there[split]:
                    said.append(f"{comparison.title}: {there[split] - measured} of {there[split]} classes of {split}.")
    if not known:
        return None
    if said:
        said.insert(0, "Some classes are in no measure of VARIANCE, because they have a single sample in the split; a query of "
                       "such a class has nothing to find and is left out, too.")  # fmt: skip
    if lacking:
        said += ["Some runs measure fewer classes than other runs of their seed, so that their means are over other classes.",
                 *lacking]  # fmt: skip
    return said


def _lacking(comparison: Comparison) -> Iterator[str]:
    """The losses whose runs measure fewer classes of train than other runs of the same seed do, after the last epoch."""
    measured: dict[int, dict[Subject, set[int]]] = {}
    for subject, classes in comparison.class_variances.items():
        for item, of in classes.items():
            for seed in of:
                measured.setdefault(seed, {}).setdefault(subject, set()).add(item)
    for subject in comparison.shown:
        ran = measured.keys() & {run.seed for run in comparison.runs_of(subject)}
        every = {seed: set().union(*measured[seed].values()) for seed in sorted(ran)}
        short = {seed: len(of - measured[seed].get(subject, set())) for seed, of in every.items()}
        seeds = [seed for seed, count in short.items() if count]
        if seeds:
            most = max(seeds, key=lambda seed: short[seed])
            yield f"{subject.label}: up to {short[most]} of {len(every[most])} classes of train, in {len(seeds)} seeds."
