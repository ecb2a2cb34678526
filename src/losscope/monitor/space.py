"""Epoch rows of one split's embeddings: VARIANCE and retrieval."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from losscope import diagnostics
from losscope.diagnostics.variance import class_statistics
from losscope.errors import LosscopeError
from losscope.evaluation import retrieval
from losscope.training.measure import GEOMETRY, KS
from losscope.training.records import Row


@torch.no_grad()
def space(split: str, epoch: int, embeddings: Tensor, labels: Tensor) -> Iterator[Row]:
    """Rows of embeddings (samples, dim) with labels (samples,)."""
    points = torch.nn.functional.normalize(embeddings.float(), dim=-1)
    labels = labels.to(points.device, torch.int64)
    statistics = class_statistics(points, labels)
    if len(statistics.classes) >= 2:
        for label, value in zip(statistics.classes.tolist(), statistics.variances.tolist(), strict=True):
            yield 0, split, epoch, "intra_class_variance", label, value
        for name in GEOMETRY:
            yield 0, split, epoch, name, None, getattr(diagnostics, name)(statistics).item()
    yield 0, split, epoch, "effective_rank", None, diagnostics.effective_rank(points).item()
    try:
        found = retrieval(points, labels, KS)
    except LosscopeError:
        return  # nobody has a partner: nothing to retrieve
    for k, value in found.recall_at_k.items():
        yield 0, split, epoch, "recall_at_k", k, value
    yield 0, split, epoch, "r_precision", None, found.r_precision
    yield 0, split, epoch, "map_at_r", None, found.map_at_r
