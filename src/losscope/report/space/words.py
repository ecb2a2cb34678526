"""Names and numbers of a diagnosis as a reader sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.statistics import Interval
from losscope.summary.formatting import ABSENT, interval_text, number

BY_K = ("recall_at_k", "retrieved_share_at_k", "precision_at_k", "ndcg_at_k", "knn_accuracy")
"""Measures that have a value for each k."""
FIXED = {"map_at_r": "MAP@R", "r_precision": "R-precision", "mrr": "MRR"}
STEMS = {
    "recall_at": "Recall@", "precision_at": "Precision@", "ndcg_at": "nDCG@", "knn_accuracy": "k-NN accuracy, k = ",
    "retrieved_share_at": "share retrieved@",
}  # fmt: skip


def flat(measure: str, k: int | None = None) -> str:
    """The name of one number: of a measure, at one k.

    >>> flat("recall_at_k", 5), flat("knn_accuracy", 5), flat("map_at_r")
    ('recall_at_5', 'knn_accuracy_5', 'map_at_r')
    """
    return measure if k is None else f"{measure.removesuffix('_k')}_{k}"


def title(name: str) -> str:
    """A measure as a reader knows it.

    >>> title("recall_at_5"), title("map_at_r"), title("mrr")
    ('Recall@5', 'MAP@R', 'MRR')
    """
    stem, _, k = name.rpartition("_")
    return FIXED.get(name) or (f"{STEMS[stem]}{k}" if stem in STEMS else name.replace("_", " "))


def term(name: str) -> str:
    """The entry of the glossary that explains a measure.

    >>> term("recall_at_5"), term("map_at_r")
    ('recall_at_k', 'map_at_r')
    """
    stem, _, _ = name.rpartition("_")
    return name if name in FIXED else stem if stem == "knn_accuracy" else f"{stem}_k"


def matters(name: str) -> bool:
    """Whether a measure is among the few for a first look."""
    return name.startswith("recall_at_") or name in FIXED


def estimate(found: Mapping[str, Any], low: str = "low", high: str = "high", *, signed: bool = False) -> str:
    """Mean and interval of an estimate; `low` and `high` name its bounds."""
    count = int(found.get("queries") or found.get("n") or 1)
    mean = found.get("mean", found.get("value"))
    if mean is None:
        return ABSENT
    return interval_text(Interval(count, float(mean), found[low], found[high]), signed=signed)


def shown(value: Any) -> str:
    """A number, a flag or a text for a cell."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else ""
    return number(float(value)) if isinstance(value, int | float) else str(value)


def percent(share: float) -> str:
    """A share in percent with the digits it needs.

    >>> percent(0.123), percent(0.00123)
    ('12 %', '0.12 %')
    """
    return f"{share:.0%}".replace("%", " %") if share == 0 or share >= 0.095 else f"{100 * share:.2g} %"
