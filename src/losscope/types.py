"""What the stages hand to one another: terms, tuples, losses. Types carry data; none trains, measures or draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:  # types are shared with the torch-free side
    from torch import Tensor, nn

OUTLIER = -1
"""Label of a sample that belongs to no class: in no class statistic, and never half of a positive pair."""

TermKind = Literal["pair", "triplet", "positive_pair", "anchor", "sample"]
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


class Blocks(NamedTuple):
    """N-pair blocks: in a block every positive pair is of another class, and the positives of the others are its
    negatives. Terms (..., blocks, pairs)."""

    anchor: Tensor  # (..., blocks, pairs) int64 row of the batch
    positive: Tensor  # (..., blocks, pairs) int64 row of the batch
    valid: Tensor  # (..., blocks, pairs) bool; False for padding


class BatchBlocks(NamedTuple):
    """All N-pair blocks of a batch: block r holds the r-th sample of every class as positives, and every sample of
    another rank is an anchor. Terms (..., ranks, samples)."""

    positive: Tensor  # (..., ranks, classes) int64 row of the batch
    there: Tensor  # (..., ranks, classes) bool; False where a class has no such sample
    own: Tensor  # (..., samples) int64 place of a sample's class; any place for an outlier
    rank: Tensor  # (..., samples) int64 place of a sample within its class; -1 for an outlier


class Contrasts(NamedTuple):
    """Anchors, and which candidates each is drawn to and pushed from. A candidate may be neither (the anchor itself)."""

    anchor: Tensor  # (..., anchors) int64 row of the batch
    candidate: Tensor  # (..., candidates) int64 row of the batch
    positive: Tensor  # (..., anchors, candidates) bool
    negative: Tensor  # (..., anchors, candidates) bool


class Samples(NamedTuple):
    """Every row of a batch by itself, and the class vector that is its own. Terms (..., samples)."""

    target: Tensor  # (..., samples) int64 place of the class among the class vectors; any place where not valid
    valid: Tensor  # (..., samples) bool; False for an outlier


Tuples = Pairs | Triplets | BatchTriplets | Blocks | BatchBlocks | Contrasts | Samples


@dataclass(frozen=True)
class Loss:
    """One line of the table `losscope.losses.LOSSES`.

    terms      function `(embeddings (..., samples, dim), tuples, *, hyperparameters) -> LossTerms`; with class
               vectors it also takes the keyword `proxies` (..., classes, dim)
    kind       what one term is made of: pair -> Pairs, triplet -> Triplets, positive_pair and anchor -> Contrasts
               (Blocks and BatchBlocks with `blocks`), sample -> Samples
    saturates  whether a term can be exactly 0 with zero gradient
    stacking   "native" if `terms` takes leading run axes, also in hyper-parameters that are numbers, and returns 0
               with zero gradient for invalid terms; "vmap" if it is written for one run and can be vectorised;
               "loop" if it must be called run by run
    reference  authors, venue, year
    blocks     whether positive pairs come in N-pair blocks
    proxies    whether it trains class vectors
    training   hyper-parameters that the training loop reads rather than `terms`, with their defaults
    may_be_0   hyper-parameters whose default is positive and which may be 0 all the same
    residual   like `terms`, but each term's distance from its goal, 0 to 1: total variation between a softmax and
               its target; None where the indicator of a term above 0 says it (hinges)
    module     for a loss with state of its own: `(seed) -> module` makes one run's copy, whose
               `forward(embeddings, tuples)` returns the terms and whose parameters are trained as class vectors are;
               the number of terms may differ from batch to batch. `terms` is then the module as handed in
    classes, dim  for how many classes and embeddings of which length the module was made; None: for any
    fingerprint   what tells the loss from another where the source of its functions can't
    """

    terms: Callable[..., LossTerms]
    kind: TermKind
    saturates: bool
    reference: str
    stacking: Stacking = "vmap"
    blocks: bool = False
    proxies: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    may_be_0: tuple[str, ...] = ()
    residual: Callable[..., LossTerms] | None = None
    module: Callable[[int], nn.Module] | None = None
    classes: int | None = None
    dim: int | None = None
    fingerprint: str | None = None
