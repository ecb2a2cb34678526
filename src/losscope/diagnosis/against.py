"""Two spaces over the same rows: what got better or worse, paired by query, with intervals over classes and queries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from losscope.diagnosis.describing import plain
from losscope.diagnosis.intervals import OVER_CLASSES, OVER_QUERIES, query_mean
from losscope.diagnosis.labels import Classes
from losscope.diagnosis.retrieving import Retrieved
from losscope.diagnosis.space import Similarity, Space, measured_by
from losscope.geometry import compare_spaces

MEASURE = "map_at_r"
"""What decides which queries and classes got better or worse."""
SHOWN = 20


def paired(
    this: Space,
    other: Space,
    found: Retrieved,
    others: Retrieved,
    classes: Classes,
    *,
    similarity: Similarity,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """The differences, this space minus the other, as plain JSON types."""
    labels = this.labels
    codes = None if labels.several else labels.single[found.rows]
    differences = {name: values - others.each[name] for name, values in found.each.items()}
    means = {name: query_mean(values, codes, least=-1.0, most=1.0) for name, values in differences.items()}
    gained = differences[MEASURE]
    order = np.argsort(-gained, kind="stable")
    document: dict[str, Any] = {
        "source": other.source,
        "population": {"low, high": OVER_CLASSES, "low_queries, high_queries": OVER_QUERIES},
        "differences": {name: asdict(mean) for name, mean in means.items()},
        "measure": MEASURE,
        "queries_better": int((gained > 0).sum()),
        "queries_worse": int((gained < 0).sum()),
        "queries_equal": int((gained == 0).sum()),
        "better": [_query(found, others, place) for place in order[:SHOWN].tolist() if gained[place] > 0],
        "worse": [_query(found, others, place) for place in order[::-1][:SHOWN].tolist() if gained[place] < 0],
        "per_class": [] if codes is None else _by_class(gained, codes, classes),
    }
    return document | _spaces(this, other, similarity, seed, device)


def _query(found: Retrieved, others: Retrieved, place: int) -> dict[str, Any]:
    return {
        "row": int(found.rows[place]),
        "this": float(found.each[MEASURE][place]),
        "other": float(others.each[MEASURE][place]),
    }


def _by_class(gained: np.ndarray, codes: np.ndarray, classes: Classes) -> list[dict[str, Any]]:
    """Mean gain of each class, with a t interval over its queries that is not adjusted for the number of classes."""
    rows = []
    for code in np.unique(codes).tolist():
        mean = query_mean(gained[codes == code], None, least=-1.0, most=1.0)
        rows.append({"label": classes.names[code], "difference": mean.mean, "low": mean.low, "high": mean.high,
                     "queries": mean.queries})  # fmt: skip
    return sorted(rows, key=lambda row: row["difference"])


def _spaces(this: Space, other: Space, similarity: Similarity, seed: int, device: str) -> dict[str, Any]:
    codes = np.zeros(len(this), np.int64) if this.labels.several else this.labels.single
    found = compare_spaces(
        this.embeddings, other.embeddings, codes, similarity=measured_by(similarity), seed=seed, device=device
    )
    return {name: plain(getattr(found, name)) for name in ("cka", "cka_unbiased", "neighborhood_overlap")}
