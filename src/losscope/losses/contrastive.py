"""Contrastive loss on pairs.

    ℓ(i, j) = d²              for a positive pair
            = [m - d]₊²       for a negative pair,       d = |zᵢ - zⱼ|

Active: a positive pair whenever d > 0, so always in practice; a negative pair while d < m. Saturates: negative
terms are exactly 0 beyond the margin, positive terms never stop pulling. Paper A, eq. (1), after Hadsell, Chopra and
LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006, who put ½ before each term.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from losscope.distances import distances, pair_squared_distances
from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.types import LossTerms, Pairs


def contrastive(embeddings: Tensor, pairs: Pairs, *, margin: float | Tensor = 1.0) -> LossTerms:
    """Terms (..., pairs) for `embeddings` (..., samples, dim); `margin` > 0 in units of distance.

    Relations: pytorch-metric-learning's ContrastiveLoss squares neither hinge by default and averages the non-zero
    terms of each side apart; with `power=2` it squares the distance inside the negative hinge, [m - d²]₊.

    >>> from torch import tensor
    >>> z = tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    >>> pairs = Pairs(*map(tensor, ([0, 0], [1, 2], [True, False], [True, True])))
    >>> [round(value, 4) for value in contrastive(z, pairs, margin=1.0).values.tolist()]
    [0.0, 0.0111]
    """
    squared = pair_squared_distances(embeddings, pairs.first, pairs.second)
    # Each side as a factor 0 or 1: a choice by mask costs ten times as much on a CPU, forward and backward.
    positive = indicator(pairs.valid & pairs.same, squared.dtype)
    negative = indicator(pairs.valid & ~pairs.same, squared.dtype)
    gap = relu(along(margin, negative.ndim) * negative - distances(squared))
    return LossTerms(positive * squared + gap.square(), pairs.valid)
