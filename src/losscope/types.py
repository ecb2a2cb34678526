"""What the stages hand to one another: terms, tuples, losses. Types carry data; none trains, measures or draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:  # types are shared with the torch-free side
    from torch import Tensor

OUTLIER = -1
"""Label of a sample that belongs to no class: in no class statistic, and never half of a positive pair."""

TermKind = Literal["pair", "triplet"]
Stacking = Literal["native", "vmap", "loop"]


class LossTerms(NamedTuple):
    """The terms of a loss before any reduction. A NamedTuple of fixed-shape tensors passes `torch.func.vmap`."""

    values: Tensor  # (..., *terms) the loss of each term
    valid: Tensor  # (..., *terms) bool; False where the batch offers no such term; losses of this package
    #                return value 0 with gradient 0 there, a user's own loss may return anything


class Pairs(NamedTuple):
    """Pairs of rows of a batch; the four tensors broadcast to the shape of the terms."""

    first: Tensor  # (..., pairs) int64 row of the batch
    second: Tensor  # (..., pairs) int64 row of the batch
    same: Tensor  # (..., pairs) bool; True for a positive pair
    valid: Tensor  # (..., pairs) bool


class Triplets(NamedTuple):
    """A list of triplets of rows of a batch; the four tensors have one shape, that of the terms."""

    anchor: Tensor  # (..., triplets) int64 row of the batch
    positive: Tensor  # (..., triplets) int64 row of the batch
    negative: Tensor  # (..., triplets) int64 row of the batch
    valid: Tensor  # (..., triplets) bool


class BatchTriplets(NamedTuple):
    """All triplets of a batch: each positive pair with every row of another class. Terms (..., pairs, samples)."""

    anchor: Tensor  # (..., pairs) int64 row of the batch
    positive: Tensor  # (..., pairs) int64 row of the batch
    paired: Tensor  # (..., pairs) bool; False for padding
    differs: Tensor  # (..., samples, samples) bool; True where the two rows are of different classes


Tuples = Pairs | Triplets | BatchTriplets


@dataclass(frozen=True)
class Loss:
    """One line of the table `losscope.losses.LOSSES`.

    terms      function `(embeddings (..., samples, dim), tuples, *, hyperparameters) -> LossTerms`
    kind       what one term is made of
    saturates  whether a term can be exactly 0 with zero gradient
    stacking   "native" if `terms` takes leading run axes and returns 0 with zero gradient for invalid terms;
               "vmap" if it is written for one run and can be vectorised; "loop" if it must be called run by run
    reference  authors, venue, year
    """

    terms: Callable[..., LossTerms]
    kind: TermKind
    saturates: bool
    reference: str
    stacking: Stacking = "vmap"
