"""Rows of finer labels: how much of the variance within classes they explain, and whether they can be found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from losscope import diagnostics
from losscope.errors import InvalidInput
from losscope.evaluation import evaluate, recall_within
from losscope.evaluation.retrieval import RETRIEVAL

Value = tuple[str, int | None, float]
"""Diagnostic, item, value."""

SHARES = ("within_coarse_variance", "fine_explained_share", "fine_explained_share_corrected")


def fine_geometry(points: Tensor, labels: Tensor, fine: Tensor) -> Iterator[Value]:
    """What of the variance within the classes lies between fine ones; points (samples, dim)."""
    statistics = diagnostics.fine_statistics(points, labels, fine)
    for name in SHARES:
        yield name, None, getattr(diagnostics, name)(statistics).item()


def fine_retrieval(points: Tensor, labels: Tensor, fine: Tensor, ks: Sequence[int]) -> Iterator[Value]:
    """Retrieval by fine labels in the whole split and among samples of the query's own class."""
    try:
        whole = evaluate(points, fine, ks=ks, measures=RETRIEVAL).means
        within = recall_within(points, labels, fine, ks)
    except InvalidInput:
        return  # no fine class with two samples: a split too small to query
    for k, value in whole["recall_at_k"].items():
        yield "fine_recall_at_k", k, value
    for k, value in within.items():
        yield "fine_recall_at_k_within_coarse", k, value
    yield "fine_map_at_r", None, whole["map_at_r"]
