"""Every loss as a loop over its terms, written from the equations: (z, labels, class vectors) -> one value for each term."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Array = np.ndarray
Labels = Sequence[int]


def contrastive(z: Array, labels: Labels, w: Array, *, margin: float) -> Iterator[float]:
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            d = float(np.linalg.norm(z[i] - z[j]))
            yield d**2 if labels[i] == labels[j] else max(0.0, margin - d) ** 2


def triplet(z: Array, labels: Labels, w: Array, *, margin: float, squared: bool) -> Iterator[float]:
    power = 2 if squared else 1
    for a, p in positives(labels):
        for n in negatives(labels, a):
            d_p, d_n = np.linalg.norm(z[a] - z[p]), np.linalg.norm(z[a] - z[n])
            yield max(0.0, float(d_p**power - d_n**power + margin))


def n_pair(
    z: Array, labels: Labels, w: Array, *, scale: float, penalty: float, unit_length: bool = True
) -> Iterator[float]:
    members = {c: [i for i, label in enumerate(labels) if label == c] for c in sorted(set(labels))}
    ranks = len(next(iter(members.values())))
    for a in range(ranks):
        for p in range(ranks):
            if a != p:
                for c, rows in members.items():
                    own = z[rows[a]] @ z[rows[p]]
                    others = [z[rows[a]] @ z[members[k][p]] for k in members if k != c]
                    lengths = (z[rows[a]] @ z[rows[a]] + z[rows[p]] @ z[rows[p]]) / 2
                    yield math.log1p(sum(math.exp(scale * (other - own)) for other in others)) + penalty * lengths


def info_nce(z: Array, labels: Labels, w: Array, *, temperature: float) -> Iterator[float]:
    for i, p in positives(labels):
        own = z[i] @ z[p]
        yield math.log1p(sum(math.exp((z[i] @ z[n] - own) / temperature) for n in negatives(labels, i)))


def sup_con(z: Array, labels: Labels, w: Array, *, temperature: float, sum_outside: bool) -> Iterator[float]:
    for i in range(len(labels)):
        own = [p for a, p in positives(labels) if a == i]
        every = sum(math.exp(z[i] @ z[a] / temperature) for a in range(len(labels)) if a != i)
        shares = [math.exp(z[i] @ z[p] / temperature) / every for p in own]
        yield -sum(map(math.log, shares)) / len(own) if sum_outside else -math.log(sum(shares) / len(own))


def arcface(z: Array, labels: Labels, w: Array, *, margin: float, scale: float, proxy_lr: float = 0) -> Iterator[float]:
    for i, y in enumerate(labels):
        angle = math.acos(max(-1.0, min(1.0, float(z[i] @ w[y]))))
        turned = math.cos(angle + margin) if angle <= math.pi - margin else math.cos(angle) - margin * math.sin(margin)
        yield math.log1p(sum(math.exp(scale * (z[i] @ w[j] - turned)) for j in range(len(w)) if j != y))


def center_contrastive(
    z: Array, labels: Labels, w: Array, *, margin: float, scale: float, center_weight: float,
    proxy_lr: float = 0, momentum: float = 0,
) -> Iterator[float]:  # fmt: skip
    for i, y in enumerate(labels):
        own = z[i] @ w[y] - margin
        entropy = math.log1p(sum(math.exp(scale * (z[i] @ w[j] - own)) for j in range(len(w)) if j != y))
        yield entropy + center_weight * float((z[i] - w[y]) @ (z[i] - w[y]))


def positives(labels: Labels) -> list[tuple[int, int]]:
    """(anchor, positive)"""
    n = range(len(labels))
    return [(i, j) for i in n for j in n if i != j and labels[i] == labels[j]]


def negatives(labels: Labels, i: int) -> list[int]:
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


TERMS: dict[str, Callable[..., Iterator[float]]] = {
    "contrastive": contrastive,
    "triplet": triplet,
    "n_pair": n_pair,
    "info_nce": info_nce,
    "sup_con": sup_con,
    "arcface": arcface,
    "center_contrastive": center_contrastive,
}


def mean(name: str, z: Array, labels: Labels, w: Array, **hyperparameters: float) -> float:
    """The mean over all terms of a batch."""
    return float(np.mean(list(TERMS[name](z, labels, w, **hyperparameters))))
