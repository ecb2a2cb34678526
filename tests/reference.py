"""Naive twins in float64: loops over samples, pairs and triplets, written from the equations alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Term = tuple[float, Array]  # value, gradient with respect to all embeddings


# tuples --------------------------------------------------------------------------------


def pairs_of(labels: Sequence[int]) -> list[tuple[int, int, bool]]:
    """All pairs i < j that are a term, and whether they are positive."""
    return [
        (i, j, labels[i] == labels[j])
        for i in range(len(labels))
        for j in range(i + 1, len(labels))
        if not labels[i] == labels[j] == -1
    ]


def triplets_of(labels: Sequence[int]) -> list[tuple[int, int, int]]:
    """All (anchor, positive, negative)."""
    n = range(len(labels))
    return [
        (a, p, q) for a in n for p in n for q in n if a != p and labels[a] == labels[p] != -1 and labels[q] != labels[a]
    ]


def hardest_triplets(z: Array, labels: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Anchor -> its farthest positive and nearest negative."""
    found = {}
    for a in range(len(labels)):
        offered = [(p, q) for anchor, p, q in triplets_of(labels) if anchor == a]
        if offered:
            farthest = max({p for p, _ in offered}, key=lambda p: distance(z, a, p))
            nearest = min({q for _, q in offered}, key=lambda q: distance(z, a, q))
            found[a] = (farthest, nearest)
    return found


def semi_hard_triplets(z: Array, labels: Sequence[int], margin: float, squared: bool) -> dict[tuple[int, int], int]:
    """Positive pair -> the nearest negative farther than the positive, by less than the margin."""
    power = 2 if squared else 1
    found: dict[tuple[int, int], int] = {}
    for a, p, q in triplets_of(labels):
        gap = distance(z, a, q) ** power - distance(z, a, p) ** power
        if 0 < gap < margin and ((a, p) not in found or distance(z, a, q) < distance(z, a, found[a, p])):
            found[a, p] = q
    return found


# losses --------------------------------------------------------------------------------


def distance(z: Array, i: int, j: int) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(z[i], z[j], strict=True)))


def contrastive_term(z: Array, i: int, j: int, same: bool, margin: float) -> Term:
    gradient, d = np.zeros_like(z), distance(z, i, j)
    if same:
        gradient[i], gradient[j] = 2 * (z[i] - z[j]), 2 * (z[j] - z[i])
        return d**2, gradient
    if 0 < d < margin:
        gradient[i] = -2 * (margin - d) * (z[i] - z[j]) / d
        gradient[j] = -gradient[i]
    return max(margin - d, 0) ** 2, gradient


def triplet_term(z: Array, a: int, p: int, q: int, margin: float, squared: bool) -> Term:
    gradient = np.zeros_like(z)
    to_positive, to_negative = distance(z, a, p), distance(z, a, q)
    violation = to_positive**2 - to_negative**2 + margin if squared else to_positive - to_negative + margin
    if violation > 0 and squared:
        gradient[a] += 2 * (z[q] - z[p])
        gradient[p] += 2 * (z[p] - z[a])
        gradient[q] += 2 * (z[a] - z[q])
    elif violation > 0:
        pull = (z[p] - z[a]) / to_positive if to_positive else np.zeros(z.shape[1])
        push = (z[a] - z[q]) / to_negative if to_negative else np.zeros(z.shape[1])
        gradient[p] += pull
        gradient[q] += push
        gradient[a] -= pull + push
    return max(violation, 0), gradient


def mean_of(terms: Sequence[Term], z: Array) -> Term:
    """Mean value and its gradient; 0 without terms."""
    if not terms:
        return 0.0, np.zeros_like(z)
    return sum(value for value, _ in terms) / len(terms), sum(g for _, g in terms) / len(terms)


# diagnostics --------------------------------------------------------------------------------


def classes_of(labels: Sequence[int]) -> dict[int, list[int]]:
    """Class -> its rows, for classes with at least two samples; outliers are no class."""
    found: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        if label != -1:
            found.setdefault(int(label), []).append(row)
    return {label: found[label] for label in sorted(found) if len(found[label]) > 1}


def centroid(z: Array, rows: Sequence[int]) -> Array:
    total = np.zeros(z.shape[1])
    for row in rows:
        total += z[row]
    return total / len(rows)


def class_variances(z: Array, labels: Sequence[int]) -> dict[int, float]:
    found = {}
    for label, rows in classes_of(labels).items():
        center = centroid(z, rows)
        found[label] = sum(float(np.sum((z[row] - center) ** 2)) for row in rows) / len(rows)
    return found


def unbiased_variances(z: Array, labels: Sequence[int]) -> dict[int, float]:
    sizes = {label: len(rows) for label, rows in classes_of(labels).items()}
    return {label: v * sizes[label] / (sizes[label] - 1) for label, v in class_variances(z, labels).items()}


def centroid_distances(z: Array, labels: Sequence[int]) -> list[float]:
    centers = [centroid(z, rows) for rows in classes_of(labels).values()]
    return [float(np.linalg.norm(one - other)) for i, one in enumerate(centers) for other in centers[i + 1 :]]


def corrected_distances(z: Array, labels: Sequence[int]) -> list[float]:
    classes = classes_of(labels)
    excess = [v / len(classes[label]) for label, v in unbiased_variances(z, labels).items()]
    both = [one + other for i, one in enumerate(excess) for other in excess[i + 1 :]]
    return [math.sqrt(max(d * d - extra, 0)) for d, extra in zip(centroid_distances(z, labels), both, strict=True)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def variance(values: Sequence[float], lost: int) -> float:
    center = mean(values)
    return sum((value - center) ** 2 for value in values) / (len(values) - lost)


def center(z: Array, labels: Sequence[int]) -> Array:
    return centroid(z, [row for rows in classes_of(labels).values() for row in rows])


def within(z: Array, labels: Sequence[int]) -> float:
    classes, variances = classes_of(labels), class_variances(z, labels)
    return sum(len(classes[c]) * variances[c] for c in classes) / sum(map(len, classes.values()))


def between(z: Array, labels: Sequence[int]) -> float:
    classes, middle = classes_of(labels), center(z, labels)
    squares = [len(rows) * float(np.sum((centroid(z, rows) - middle) ** 2)) for rows in classes.values()]
    return sum(squares) / sum(map(len, classes.values()))


def centroid_cosines(z: Array, labels: Sequence[int]) -> list[float]:
    centers = [centroid(z, rows) for rows in classes_of(labels).values()]
    lengths = [float(np.linalg.norm(one)) for one in centers]
    return [
        float(centers[i] @ centers[j]) / (lengths[i] * lengths[j])
        for i in range(len(centers))
        for j in range(i + 1, len(centers))
    ]


def deviations(z: Array, labels: Sequence[int]) -> Array:
    return np.array([z[row] - centroid(z, rows) for rows in classes_of(labels).values() for row in rows])


def effective_rank(z: Array) -> float:
    singular = np.linalg.svd(z, compute_uv=False)
    shares = [value / singular.sum() for value in singular if value > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


# retrieval --------------------------------------------------------------------------------


def neighbors_of(z: Array, query: int) -> list[int]:
    """All other rows from near to far by cosine; only for data without ties."""
    units = [row / np.linalg.norm(row) for row in z]
    others = [row for row in range(len(z)) if row != query]
    return sorted(others, key=lambda row: -float(units[query] @ units[row]))


def hit_at(ranking: Sequence[int], relevant: set[int], k: int) -> float:
    return float(any(row in relevant for row in ranking[:k]))


def r_precision(ranking: Sequence[int], relevant: set[int]) -> float:
    return len(relevant & set(ranking[: len(relevant)])) / len(relevant)


def average_precision_at_r(ranking: Sequence[int], relevant: set[int]) -> float:
    found, total = 0, 0.0
    for place, row in enumerate(ranking[: len(relevant)], start=1):
        if row in relevant:
            found += 1
            total += found / place
    return total / len(relevant)
