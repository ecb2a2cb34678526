"""Triplet loss.

    ℓ(a, p, n) = [d(a, p) - d(a, n) + m]₊           squared=False: d = |zₐ - z|     (what paper A's numbers come from)
               = [d²(a, p) - d²(a, n) + m]₊         squared=True                    (paper A, eq. 2; FaceNet)

Active while the negative is not farther than the positive by the margin. Saturates: 0 with zero gradient beyond.
On the unit sphere the squared form demands a cosine gap of m/2; the unsquared one demands d(a, n) >= m + d(a, p):
different tasks at the same m. Schroff, Kalenichenko and Philbin, "FaceNet", 2015 (squared, m = 0.2).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu

from losscope.distances import distances, entries, gram_squared_distances, rows
from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.types import BatchTriplets, LossTerms, Triplets


def triplet(
    embeddings: Tensor,
    triplets: Triplets | BatchTriplets,
    *,
    margin: float | Tensor = 1.0,
    squared: bool = False,
) -> LossTerms:
    """Terms of `embeddings` (..., samples, dim): (..., triplets), or (..., pairs, samples) for all of a batch.

    `margin` > 0 in the unit of the distance used.

    Relations: pytorch-metric-learning's TripletMarginLoss is this with `power=2 if squared else 1`, margin 0.05 and a
    mean over non-zero terms by default; torch.nn.TripletMarginLoss is the unsquared form, adding 1e-6 to differences.

    >>> z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> one = Triplets(*map(torch.tensor, ([0], [1], [2], [True])))
    >>> round(triplet(z, one, squared=True).values.item(), 4), round(triplet(z, one).values.item(), 4)
    (0.0, 0.4802)
    """
    anchor, positive = triplets.anchor, triplets.positive
    if isinstance(triplets, BatchTriplets):
        matrix = gram_squared_distances(embeddings)
        matrix = matrix if squared else distances(matrix)
        # An infinite distance where there is no triplet makes the hinge 0 there: no mask over all triplets.
        to_positive = entries(matrix, anchor, positive).masked_fill(~triplets.paired, -torch.inf)
        infinite_if_same = indicator(triplets.differs, matrix.dtype).reciprocal() - 1  # else 0
        nearness = rows(-(matrix + infinite_if_same), anchor)
        values = relu((to_positive + along(margin, to_positive.ndim)).unsqueeze(-1) + nearness)
        # As bytes: an `and` of booleans that broadcasts takes longer on a CPU than all distances.
        valid = rows(triplets.differs.view(torch.uint8), anchor) & triplets.paired.view(torch.uint8).unsqueeze(-1)
        return LossTerms(values, valid.view(torch.bool))
    # Always the direct form: a run must not meet another rounding because a longer list shares its stack.
    anchors = rows(embeddings, anchor)
    to_positive = (anchors - rows(embeddings, positive)).square().sum(-1)
    to_negative = (anchors - rows(embeddings, triplets.negative)).square().sum(-1)
    if not squared:
        to_positive, to_negative = distances(to_positive), distances(to_negative)
    violation = relu(to_positive - to_negative + along(margin, to_positive.ndim))
    return LossTerms(torch.where(triplets.valid, violation, 0.0), triplets.valid)
