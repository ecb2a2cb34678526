"""Checks of the results: did training help at all, and is a number what it seems?"""

from __future__ import annotations

import math

from losscope.summary.carded import batches_of, cards_of
from losscope.summary.formatting import number
from losscope.summary.measures import INTER_TRAIN, INTRA, INTRA_CLEAN, INTRA_TRAIN, KNN, LOSS, RECALL_1
from losscope.summary.reading import protocols
from losscope.summary.subjects import Kind, Subject
from losscope.summary.types import Comparison, Summary

NEAR = 0.02
"""Relative distance at which a value counts as being at its bound."""

MEMORIZED = 2.0
"""Evaluation over training intra-class variance above which the training numbers are about memorized samples."""


def below_input(summary: Summary) -> list[str] | None:
    """Losses that retrieve or classify no better than the raw input."""
    return _below(summary, "input", "The input itself, without any training,")


def below_untrained(summary: Summary) -> list[str] | None:
    """Losses that retrieve or classify no better than the untrained network."""
    return _below(summary, "untrained", "The untrained network")


def _below(summary: Summary, reference: Kind, whose: str) -> list[str] | None:
    compared, beaten, said = 0, 0, []
    for comparison in summary.given:
        for measure in (RECALL_1, KNN):
            level = comparison.mean(comparison.reference(reference), measure)
            means = {subject: mean for subject in comparison.shown
                     if (mean := comparison.mean(subject, measure)) is not None}  # fmt: skip
            if level is None or not means:
                continue
            compared += 1
            worse = [f"{subject.label} {number(mean)}" for subject, mean in means.items() if mean <= level]
            beaten += len(worse) == len(means)
            if worse:
                said.append(
                    f"{comparison.title}: {measure.label} {number(level)}, at least as high as {', '.join(worse)}."
                )
    if not compared:
        return None
    if not said:
        return []
    how_many = "every loss" if beaten else "some losses"
    return [f"{whose} does at least as well as {how_many} in {beaten or len(said)} of {compared} rankings (Recall@1 and k-NN accuracy "
            "of each comparison, means over seeds).", *said]  # fmt: skip


def memorized(summary: Summary) -> list[str] | None:
    """Training numbers that are about memorized samples."""
    checked, worst, said = 0, 0.0, []
    for comparison, subject, mean in summary.trained_means(INTRA_TRAIN):
        other = comparison.mean(subject, INTRA)
        if other is None:
            continue
        checked += 1
        if other > MEMORIZED * mean:
            ratio = other / mean if mean > 0 else math.inf  # training samples of a class can all be one point
            worst = max(worst, ratio)
            times = f"{ratio:.1f} times" if math.isfinite(ratio) else "each class is one point"
            said.append(
                f"{comparison.title}, {subject.label}: {number(other)} on {comparison.evaluation}, {number(mean)} on "
                f"train ({times})."
            )
    if not checked:
        return None
    if not said:
        return []
    most = f"up to {worst:.0f} times as loose" if math.isfinite(worst) else "one point in training, and not so"
    return [f"Numbers of the training split, as in the paper's Table 1, say little about new samples: classes are {most} on "
            "the evaluation split.", *said]  # fmt: skip


def memorized_noise(summary: Summary) -> list[str] | None:
    """Classes that are tighter under noisy labels than under the true ones."""
    told = {name for name, protocol in protocols(summary.studies).items() if protocol.labels == "given"}
    checked, said = 0, []
    for comparison, subject, noisy in summary.trained_means(INTRA_TRAIN):
        clean = comparison.mean(subject, INTRA_CLEAN)
        if clean is None or comparison.protocol not in told:
            continue
        checked += 1
        if noisy < clean:
            said.append(
                f"{comparison.title}, {subject.label}: {number(noisy)} under the labels as given, {number(clean)} under the true "
                "ones."
            )
    if not checked:
        return None
    if not said:
        return []
    return ["The label noise was learned: classes of the training split are tighter under the wrong labels than under the true "
            "ones.", *said]  # fmt: skip


def near_simplex(summary: Summary) -> list[str] | None:
    """Class centroids as far apart as the unit sphere allows for classes this loose."""
    checked, said = 0, []
    for comparison, subject, mean in summary.trained_means(INTER_TRAIN):
        classes, loose = comparison.classes.get("train", 0), comparison.mean(subject, INTRA_TRAIN)
        if classes < 2 or loose is None or loose >= 1:
            continue
        checked += 1
        # For unit-length embeddings and equal classes: mean d² = 2C/(C-1) · (1 - v - |mean centroid|²).
        bound = math.sqrt(2 * classes / (classes - 1) * (1 - loose))
        if mean > (1 - NEAR) * bound:
            said.append(
                f"{comparison.title}, {subject.label}: {number(mean)} is {mean / bound:.1%} of {number(bound)}, the most "
                f"for {classes} classes with variance {number(loose)}."
            )
    if not checked:
        return None
    if not said:
        return []
    return ["Some inter-class distances on the training split are at their ceiling, √(2C/(C-1)·(1-v)) on the unit sphere: "
            "no loss could separate classes further there.", *said]  # fmt: skip


def collapsed(summary: Summary) -> list[str] | None:
    """Losses that end at the value of total collapse."""
    checked, said = 0, []
    for comparison in summary.given:
        for subject, card in cards_of(comparison).items():
            mean = comparison.mean(subject, LOSS)
            if mean is None:
                continue
            checked += 1
            batch = batches_of(summary, comparison, card)
            value = card.collapse_value(**batch.shape)
            if abs(mean - value) < NEAR * value and not _separates(comparison, subject):
                said.append(
                    f"{comparison.title}, {subject.label}: ends at {number(mean)}; {number(value)} is its value when all "
                    f"embeddings are one point ({batch})."
                )
    if not checked:
        return None
    if not said:
        return []
    return ["Some losses end where all embeddings are one point, or know nothing of the labels.", *said]


def _separates(comparison: Comparison, subject: Subject) -> bool:
    """Whether training has put classes no nearer, and twice as far apart for their size: then a loss may come by its
    value at collapse on its way down, as those do that start far above it."""
    untrained = comparison.reference("untrained")
    found = [comparison.mean(one, measure) for one in (untrained, subject) for measure in (INTRA_TRAIN, INTER_TRAIN)]
    loose, near, tight, far = (math.nan if value is None else value for value in found)
    return far >= near and 2 * tight * near**2 < loose * far**2


def label_blind(summary: Summary) -> list[str] | None:
    """A contrastive loss that stalls where it ends if it can't see the labels.

    With a share p of positive pairs, p·d² + (1 - p)(m - d)² is least at d = (1 - p)m, and p(1 - p)m² there.
    """
    found = [part for part in summary.trained_means(LOSS) if part[1].loss == "contrastive"]
    if not found:
        return None
    said = []
    for comparison, subject, mean in found:
        margin = float(comparison.hyperparameters[subject].get("margin", 1.0))
        share = batches_of(summary, comparison, cards_of(comparison)[subject]).negative_share
        floor = share * (1 - share) * margin**2
        if abs(mean - floor) < NEAR * floor:
            said.append(
                f"{comparison.title}, {subject.label}: the loss ends at {number(mean)}, the p(1-p)m² = {number(floor)} of a "
                f"loss that doesn't see the labels, with a share p = {number(1 - share)} of positive pairs. Look for labels "
                "broadcast against distances of another shape."
            )
    return said
