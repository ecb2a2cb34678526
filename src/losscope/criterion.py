"""The losses as `nn.Module`, for other people's training loops: embeddings and labels in, a scalar out.

    L = 1/|T| Σ_{t ∈ T} ℓ_t      over all valid terms T of the batch: all pairs, triplets, positive pairs or samples

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
from losscope.losses.centers import moved_centers
from losscope.losses.reductions import masked, mean_over_sides, mean_over_valid
from losscope.losses.tuples import all_samples, all_tuples, batch_hard, semi_hard
from losscope.types import OUTLIER, BatchTriplets, Loss, LossTerms, Pairs, Tuples

Mining = Literal["none", "semi_hard", "batch_hard"]
Balance = Literal["terms", "sides"]


class Criterion(nn.Module):
    """A loss over all terms of a batch: `criterion(embeddings, labels) -> scalar`.

    `loss` is the name of a loss of this package or a `Loss` of your own; its hyper-parameters are keywords. A loss
    with a module (`losscope.from_pml`) keeps it as `module`, the very one that was handed in.

    classes, dim  for losses with class vectors: how many, of which length. They are the parameter `proxies`, which
               wants a learning rate of its own, ten to a hundred times that of the encoder; labels are 0 to classes - 1
    momentum   for center_contrastive: centers follow the class means of each batch in training mode, instead of
               being trained: c <- norm(momentum c + (1 - momentum) mean)

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
        classes: int | None = None,
        dim: int | None = None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__()
        if isinstance(loss, str):
            if loss not in LOSSES:
                raise UnknownName.of("loss", loss, LOSSES)
            self.name, self.loss = loss, LOSSES[loss]
        else:
            self.name, self.loss = getattr(loss.terms, "__name__", "loss"), loss
        bound = bind(self.name, self.loss, hyperparameters)
        for key in {*self.loss.training} - {"momentum"} & {*hyperparameters}:
            raise InvalidStudy(
                f"loss '{self.name}': {key} = {hyperparameters[key]!r} is read by a study's training loop; leave it out: "
                + ("give class vectors a parameter group with that rate" if key == "proxy_lr" else "use `normalize`")
            )
        self.hyperparameters = {key: value for key, value in bound.items() if key not in self.loss.training}
        self.momentum = float(bound.get("momentum", 0.0))
        self.normalize, self.mining, self.balance = normalize, mining, balance
        self._check_options()
        self.proxies = self._class_vectors(classes, dim)
        self.module = self.loss.terms if isinstance(self.loss.terms, nn.Module) else None

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

    def _class_vectors(self, classes: int | None, dim: int | None) -> Tensor | None:
        if not self.loss.proxies:
            if classes is not None or dim is not None:
                raise InvalidStudy(
                    f"classes = {classes}, dim = {dim} with loss '{self.name}', which has no class vectors: leave them out"
                )
            return None
        if not classes or not dim or min(classes, dim) < 1:
            raise InvalidStudy(
                f"loss '{self.name}' has class vectors and got classes = {classes}, dim = {dim}; expected their number "
                "and length, such as classes=100, dim=128"
            )
        drawn = F.normalize(torch.randn(classes, dim), dim=-1)
        return nn.Parameter(drawn, requires_grad=not self.momentum)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean over the valid terms of a batch, with embeddings (samples, dim) and integer labels (samples,).

        A sample labelled -1 (an outlier) is never half of a positive pair. A batch without a valid term gives
        0 with zero gradient. Raises InvalidInput for wrong shapes or types.
        """
        terms, tuples = self.terms(embeddings, labels)
        if self.momentum and self.training and torch.is_grad_enabled():
            self._follow(embeddings.detach(), labels.to(embeddings.device, torch.int64))
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
            given = self.hyperparameters
            count = self.loss.classes if self.proxies is None else len(self.proxies)
            if self.loss.kind == "sample":
                _check_labels(labels, count)
            if self.proxies is not None:
                given = {**given, "proxies": self.proxies.to(points.dtype)}
            terms = self.loss.terms(points, tuples, **given)
            return (terms if self.loss.stacking == "native" else masked(terms)), tuples

    @torch.no_grad()
    def _follow(self, points: Tensor, labels: Tensor) -> None:
        assert self.proxies is not None
        moved = moved_centers(self.proxies, points.to(self.proxies.dtype), all_samples(labels), self.momentum)
        self.proxies.copy_(moved)

    def _tuples(self, points: Tensor, labels: Tensor) -> Tuples:
        if self.mining == "batch_hard":
            return batch_hard(points, labels)
        classes = len(torch.unique(labels)) if self.loss.blocks else 0
        tuples = all_tuples(self.loss, labels, classes)
        if self.mining == "semi_hard" and isinstance(tuples, BatchTriplets):
            margin, squared = self.hyperparameters["margin"], self.hyperparameters["squared"]
            return semi_hard(points, tuples, margin=margin, squared=squared)
        return tuples

    def extra_repr(self) -> str:
        options = {"normalize": self.normalize, "mining": self.mining, "balance": self.balance}
        changed = {
            key: value for key, value in options.items() if value not in (False, "none", "terms")
        } | self.hyperparameters
        return ", ".join([repr(self.name), *(f"{key}={value!r}" for key, value in changed.items())])


def _check_labels(labels: Tensor, classes: int | None) -> None:
    """Every label is -1 or a place of a class; on a GPU the check doesn't wait for the device."""
    known = (labels >= OUTLIER).all() if classes is None else ((labels >= OUTLIER) & (labels < classes)).all()
    expected = "0 or more" if classes is None else f"0 to {classes - 1}, one of the {classes} class vectors"
    if labels.device.type != "cpu":
        torch._assert_async(known, f"a label is not {expected}")
    elif not known:
        raise InvalidInput(
            f"labels go from {int(labels.min())} up to {int(labels.max())}; expected {expected}, or -1 for an outlier"
        )


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
