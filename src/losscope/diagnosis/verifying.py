"""One threshold for all pairs of rows: how often it errs, where the space is small enough to look at all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from losscope.diagnosis.describing import plain
from losscope.diagnosis.retrieving import Progress
from losscope.diagnosis.space import Similarity, Space
from losscope.diagnosis.tensors import as_tensor
from losscope.evaluation.verification import verification


def verified(
    space: Space, similarity: Similarity, *, exact_up_to: int, device: str, progress: Progress | None = None
) -> dict[str, Any] | None:
    """Error rates as plain JSON types; None for sets, inner products, and more rows than `exact_up_to`."""
    if space.labels.several or similarity == "inner_product" or len(space) > exact_up_to:
        return None
    labels = space.labels.single
    classed = np.unique(labels[labels >= 0], return_counts=True)[1]
    if len(classed) < 2 or classed.max() < 2:
        return None
    points = as_tensor(space.embeddings).to(device)
    report = None if progress is None else lambda done, total: progress("threshold", done, total)
    places = torch.from_numpy(labels).to(device)
    found: dict[str, Any] = plain(verification(points, places, similarity=similarity, progress=report))
    return found
