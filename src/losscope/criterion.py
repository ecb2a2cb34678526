"""The losses as `nn.Module`, for other people's training loops: embeddings and labels in, a scalar out.

    L = 1/|T| Σ_{t ∈ T} ℓ_t      over all valid terms T of the batch: all pairs, or all triplets

The plain mean, not the mean over non-zero terms: a gradient norm then means the same for every loss.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losscope.errors import InvalidInput, InvalidStudy, UnknownName
from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.losses.reductions import masked, mean_over_sides, mean_over_valid
from losscope.losses.tuples import all_pairs, all_triplets, batch_hard, semi_hard
from losscope.types import Loss, LossTerms, Pairs, Tuples

Mining = Literal["none", "semi_hard", "batch_hard"]
Balance = Literal["terms", "sides"]


class Criterion(nn.Module):
    """A loss over all pairs or triplets of a batch: `criterion(embeddings, labels) -> scalar`.

    `loss` is the name of a loss of this package or a `Loss` of your own; its hyper-parameters are keywords.

    normalize  scale embeddings to unit length first; without it they are used as given, so normalize them
               yourself if your margins are meant for the unit sphere (as all margins of this package are)
    mining     for triplet losses: which of the batch's triplets count, by the loss's own distance
    balance    for pair losses: "sides" averages positive and negative pairs apart, for equal weight of both

    Raises UnknownName for a loss or hyper-parameter that doesn't exist, InvalidStudy for an impossible value.
    Relations: pytorch-metric-learning normalizes by default and averages the non-zero terms only.

    >>> criterion = Criterion("contrastive", margin=0.5)
    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> round(criterion(z, torch.tensor([0, 0, 1])).item(), 6)  # (d² + 0 + 0)/3 with d² = 0.4
    0.133333
    """

    def __init__(
        self,
        loss: str | Loss,
        *,
        normalize: bool = False,
        mining: Mining = "none",
        balance: Balance = "terms",
        **hyperparameters: Any,
    ) -> None:
        super().__init__()
        if isinstance(loss, str):
            if loss not in LOSSES:
                raise UnknownName.of("loss", loss, LOSSES)
            self.name, self.loss = loss, LOSSES[loss]
        else:
            self.name, self.loss = getattr(loss.terms, "__name__", "loss"), loss
        self.hyperparameters = bind(self.name, self.loss, hyperparameters)
        self.normalize, self.mining, self.balance = normalize, mining, balance
        self._check_options()

    def _check_options(self) -> None:
        for option, value, known in (
            ("mining", self.mining, ("none", "semi_hard", "batch_hard")),
            ("balance", self.balance, ("terms", "sides")),
        ):
            if value not in known:
                raise UnknownName.of(option, str(value), known)
        if self.mining != "none" and self.loss.kind != "triplet":
            raise InvalidStudy(
                f"mining = '{self.mining}' with loss '{self.name}', whose terms are {self.loss.kind}s; "
                "mining chooses triplets: leave it out"
            )
        if self.mining == "semi_hard" and not {"margin", "squared"} <= self.hyperparameters.keys():
            raise InvalidStudy(
                f"mining = 'semi_hard' reads the hyper-parameters 'margin' and 'squared'; loss '{self.name}' "
                f"has {sorted(self.hyperparameters)}; use 'batch_hard' or 'none'"
            )
        if self.balance == "sides" and self.loss.kind != "pair":
            raise InvalidStudy(
                f"balance = 'sides' with loss '{self.name}', whose terms are {self.loss.kind}s; "
                "only pairs have two sides: leave it out"
            )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the valid terms of a batch, with embeddings (samples, dim) and integer labels (samples,).

        A sample labelled -1 (an outlier) is never half of a positive pair. A batch without a valid term gives
        0 with zero gradient. Raises InvalidInput for wrong shapes or types.
        """
        terms, tuples = self.terms(embeddings, labels)
        if self.balance == "sides":
            assert isinstance(tuples, Pairs)
            return mean_over_sides(terms, tuples.same)
        return mean_over_valid(terms)

    def terms(self, embeddings: Tensor, labels: Tensor) -> tuple[LossTerms, Tuples]:
        """The terms before the mean, and the tuples of rows that they are made of; arguments as in `forward`.

        Computed in float32 at least, whatever autocast says: distances of near points need it.
        """
        _check_batch(embeddings, labels)
        labels = labels.to(embeddings.device, torch.int64)
        with torch.autocast(embeddings.device.type, enabled=False):
            points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            if self.normalize:
                points = F.normalize(points, dim=-1)
            tuples = self._tuples(points, labels)
            terms = self.loss.terms(points, tuples, **self.hyperparameters)
            return (terms if self.loss.stacking == "native" else masked(terms)), tuples

    def _tuples(self, points: Tensor, labels: Tensor) -> Tuples:
        if self.loss.kind == "pair":
            return all_pairs(labels)
        if self.mining == "batch_hard":
            return batch_hard(points, labels)
        triplets = all_triplets(labels)
        if self.mining == "semi_hard":
            margin, squared = self.hyperparameters["margin"], self.hyperparameters["squared"]
            return semi_hard(points, triplets, margin=margin, squared=squared)
        return triplets

    def extra_repr(self) -> str:
        options = {"normalize": self.normalize, "mining": self.mining, "balance": self.balance}
        changed = {
            key: value for key, value in options.items() if value not in (False, "none", "terms")
        } | self.hyperparameters
        return ", ".join([repr(self.name), *(f"{key}={value!r}" for key, value in changed.items())])


def _check_batch(embeddings: Tensor, labels: Tensor) -> None:
    """Shapes and types only: reading values would make every step wait for the device."""
    for name, given in (("embeddings", embeddings), ("labels", labels)):
        if not isinstance(given, Tensor):
            raise InvalidInput(f"{name} are of type {type(given).__name__}; expected a torch.Tensor")
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1] or not embeddings.numel():
        raise InvalidInput(
            f"embeddings have the shape {tuple(embeddings.shape)} and labels {tuple(labels.shape)}; expected "
            "(samples, dim) and (samples,), one label for each of at least one sample"
        )
    if not embeddings.dtype.is_floating_point:
        raise InvalidInput(f"embeddings have the type {embeddings.dtype}; expected real numbers, such as float32")
    if labels.dtype.is_floating_point or labels.dtype.is_complex or labels.dtype == torch.bool:
        raise InvalidInput(f"labels have the type {labels.dtype}; expected integers, one for each class: labels.long()")
