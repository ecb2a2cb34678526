"""Naive twins of the softmax losses in float64: each term and its gradient as the equations say, sample by sample.

A loss with class vectors gives its gradient with respect to the embeddings and, in the rows after them, the class
vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reference import Array, Term


def shares(logits: Sequence[float]) -> list[float]:
    """The softmax."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    return [power / sum(powers) for power in powers]


def minus_log_share(logits: Sequence[float], own: int) -> float:
    """-log of the softmax at `own`, as log(1 + sum over the others of e^difference)."""
    return math.log1p(sum(math.exp(logit - logits[own]) for at, logit in enumerate(logits) if at != own))


# among the samples of a batch ---------------------------------------------------------------------------------


def n_pair_term(
    f: Array, anchor: int, positive: int, others: Sequence[int], *, scale: float, penalty: float = 0.0
) -> Term:
    """`others` are the positives of the other pairs of the block."""
    candidates = [positive, *others]
    logits = [scale * float(f[anchor] @ f[row]) for row in candidates]
    gradient = np.zeros_like(f)
    for at, (row, share) in enumerate(zip(candidates, shares(logits), strict=True)):
        weight = scale * (share - (at == 0))
        gradient[anchor] += weight * f[row]
        gradient[row] += weight * f[anchor]
    gradient[anchor] += penalty * f[anchor]
    gradient[positive] += penalty * f[positive]
    squares = float(f[anchor] @ f[anchor] + f[positive] @ f[positive])
    return minus_log_share(logits, 0) + penalty * squares / 2, gradient


def info_nce_term(z: Array, anchor: int, positive: int, negatives: Sequence[int], *, temperature: float) -> Term:
    return n_pair_term(z, anchor, positive, negatives, scale=1 / temperature)


def sup_con_term(
    z: Array, anchor: int, positives: Sequence[int], negatives: Sequence[int], *, temperature: float, sum_outside: bool
) -> Term:
    candidates = [*positives, *negatives]
    share = shares([float(z[anchor] @ z[row]) / temperature for row in candidates])
    drawn = share[: len(positives)]
    if sum_outside:
        value = -sum(math.log(q) for q in drawn) / len(drawn)
        targets = [1 / len(drawn)] * len(drawn)
    else:
        value = -math.log(sum(drawn) / len(drawn))
        targets = [q / sum(drawn) for q in drawn]
    gradient = np.zeros_like(z)
    for row, q, target in zip(candidates, share, targets + [0.0] * len(negatives), strict=True):
        gradient[anchor] += (q - target) / temperature * z[row]
        gradient[row] += (q - target) / temperature * z[anchor]
    return value, gradient


# against class vectors ----------------------------------------------------------------------------------------


def cosine(z: Array, w: Array) -> float:
    return float(z @ w) / math.sqrt(float(z @ z) * float(w @ w))


def by_cosines(z: Array, w: Array, row: int, weights: Sequence[float]) -> Array:
    """Gradient (samples + classes, dim), given the derivatives by the cosines of sample `row` with all classes."""
    gradient = np.zeros((len(z) + len(w), z.shape[1]))
    length = math.sqrt(float(z[row] @ z[row]))
    for label, weight in enumerate(weights):
        norm, c = math.sqrt(float(w[label] @ w[label])), cosine(z[row], w[label])
        gradient[row] += weight * (w[label] / norm - c * z[row] / length) / length
        gradient[len(z) + label] += weight * (z[row] / length - c * w[label] / norm) / norm
    return gradient


def arcface_term(z: Array, w: Array, row: int, label: int, *, margin: float, scale: float) -> Term:
    cosines = [cosine(z[row], vector) for vector in w]
    angle = math.acos(cosines[label])
    if angle < math.pi - margin:
        shifted, slope = math.cos(angle + margin), math.sin(angle + margin) / math.sin(angle)
    else:
        shifted, slope = math.cos(angle) - margin * math.sin(margin), 1.0
    logits = [scale * (shifted if at == label else c) for at, c in enumerate(cosines)]
    weights = [scale * (share - 1) * slope if at == label else scale * share for at, share in enumerate(shares(logits))]
    return minus_log_share(logits, label), by_cosines(z, w, row, weights)


def center_contrastive_term(
    z: Array, w: Array, row: int, label: int, *, margin: float, scale: float, center_weight: float
) -> Term:
    cosines = [cosine(z[row], vector) for vector in w]
    logits = [scale * (c - margin * (at == label)) for at, c in enumerate(cosines)]
    weights = [
        scale * (share - (at == label)) - 2 * center_weight * (at == label) for at, share in enumerate(shares(logits))
    ]
    units = z[row] / math.sqrt(float(z[row] @ z[row])), w[label] / math.sqrt(float(w[label] @ w[label]))
    pull = float(np.sum((units[0] - units[1]) ** 2))
    return minus_log_share(logits, label) + center_weight * pull, by_cosines(z, w, row, weights)


# all terms of a batch -----------------------------------------------------------------------------------------


def classes_of_all(labels: Sequence[int]) -> list[list[int]]:
    """The rows of each class, in the order of labels; outliers are no class."""
    return [[row for row, own in enumerate(labels) if own == label] for label in sorted(set(labels) - {-1})]


def blocks_of(labels: Sequence[int]) -> list[tuple[int, int, list[int]]]:
    """(anchor, positive, positives of the others): block r holds the r-th sample of every class that has one as
    positives, and all of its classes' other samples are anchors."""
    classes = classes_of_all(labels)
    found = []
    for rank in range(max(map(len, classes), default=0)):
        block = [rows for rows in classes if len(rows) > rank]
        for anchor in range(len(labels)):
            for own in block:
                if anchor in own and own[rank] != anchor and len(block) > 1:
                    found.append((anchor, own[rank], [rows[rank] for rows in block if rows is not own]))
    return found


def contrasts_of(labels: Sequence[int]) -> list[tuple[int, list[int], list[int]]]:
    """(anchor, its positives, all others) of each sample that has a positive."""
    every = range(len(labels))
    found = []
    for anchor in every:
        positives = [row for row in every if row != anchor and labels[row] == labels[anchor] != -1]
        negatives = [row for row in every if labels[row] != labels[anchor]]
        if positives:
            found.append((anchor, positives, negatives))
    return found
