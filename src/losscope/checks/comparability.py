"""Checks of whether numbers are on one scale and of the same data."""

from __future__ import annotations

import math
from itertools import chain

from losscope.summary.carded import batches_of, cards_of
from losscope.summary.formatting import number
from losscope.summary.measures import GRADIENT
from losscope.summary.types import Summary

SAME_SCALE = 1.1
"""Ratio of the bounds of two gradients up to which norms are compared without a word."""


def unequal_data(summary: Summary) -> list[str] | None:
    """Runs of one data set with other data at an equal seed."""
    prints: dict[tuple[str, int], dict[str, list[str]]] = {}
    for run in summary.runs:
        if run.status == "done":
            whose = f"{run.protocol} {run.loss} {run.variant}".strip()
            prints.setdefault((run.dataset, run.seed), {}).setdefault(run.data_fingerprint, []).append(whose)
    if not any(len(list(chain(*of.values()))) > 1 for of in prints.values()):
        return None
    said = []
    for (dataset, seed), of in prints.items():
        if len(of) > 1:
            fewest = min(of.values(), key=len)
            said.append(
                f"{dataset}, seed {seed}: {len(of)} fingerprints; {', '.join(fewest)} ran on other data than the others."
            )
    if not said:
        return []
    return [f"Runs of the same data set and seed were on different data at {len(said)} seeds; differences paired by seed "
            "are not the loss's alone.", *said]  # fmt: skip


def unreachable_margin(summary: Summary) -> list[str] | None:
    """Margins that no embedding can meet."""
    checked, said = 0, []
    for comparison in summary.given:
        for subject, card in cards_of(comparison).items():
            if not card.saturates:
                continue
            checked += 1
            batch = batches_of(summary, comparison, card)
            floor = card.floor(**batch.shape)
            if floor > 0:
                said.append(
                    f"{comparison.title}, {subject.label}: with {batch.classes} classes the loss can't fall below {number(floor)}."
                )
    if not checked:
        return None
    if not said:
        return []
    return ["Some margins ask for more than the unit sphere has room for: these losses never fall silent.", *said]


def gradient_scale(summary: Summary) -> list[str] | None:
    """Gradient norms of losses that are not on one scale."""
    compared, said = 0, []
    for comparison in summary.given:
        scales: dict[tuple[str, float], list[str]] = {}
        for subject, card in cards_of(comparison).items():
            if comparison.get(subject, GRADIENT):
                scales.setdefault((card.kind, card.bound()), []).append(subject.label)
        if sum(map(len, scales.values())) < 2:
            continue
        compared += 1
        bounds = [bound for _, bound in scales]
        if max(bounds) > SAME_SCALE * min(bounds) or len({kind for kind, _ in scales}) > 1:
            listed = [f"{', '.join(labels)} {_scale(*scale)}" for scale, labels in scales.items()]
            said.append(f"{comparison.title}: {'; '.join(listed)}.")
    if not compared:
        return None
    if not said:
        return []
    return ["Gradient norms of these losses are not on one scale: a term's gradient has another bound, or the mean is over "
            "terms of another kind.", *said]  # fmt: skip


def _scale(kind: str, bound: float) -> str:
    most = f"at most {number(bound)}" if math.isfinite(bound) else "without bound"
    return f"{most} for a {kind.replace('_', ' ')}"
