"""`from_pml`: a loss of pytorch-metric-learning as a loss of a study and of `Criterion`.

Its terms are read before its reducer, and reduced as every loss here is: by the mean over valid terms. A loss of
several parts (positive and negative pairs, a regularizer) is their sum, as in that package,

    L = Σ_k 1/|T_k| Σ_{t ∈ T_k} ℓ_t      with the valid terms T_k of part k,

so a term is handed on times Σ_k |T_k| / |T_k|, and the mean over all terms is L. That is the package's own loss with
MeanReducer wherever every term is valid. Its defaults differ: AvgNonZeroReducer (contrastive, triplet, Circle, SupCon)
leaves out terms of 0, so that its gradient grows as fewer terms are active; Proxy-Anchor's DivisorReducer gives the
same as here, that of MarginLoss counts what is above 0.

What a term is, by the package's reduction type, and when it is valid:

    element          a sample against its batch or its class vectors, or a class vector against its batch; valid, but
                     for Circle with a positive and a negative in the batch, for SupCon with a positive, for the
                     positive part of Proxy-Anchor with a sample of the class
    pos_pair, neg_pair, triplet   all of the batch, each order of a pair by itself
    already_reduced  the whole part is one term: its active ratio is 0 or 1

A term is active above 1e-8, so the losses that are sums of exponentials are always active.

Outliers (-1) belong to no class. Losses with class vectors don't see them. For the others each is a class by itself: a
negative, never a positive; terms whose anchor is an outlier, and pairs of two outliers, are not valid. (Losses that
reduce by themselves, such as PNPLoss, can't leave such pairs out.)

Reference: Musgrave, Belongie, Lim 2020, "PyTorch Metric Learning".
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from losscope.errors import InvalidInput, MissingDependency
from losscope.integrations.settings import described
from losscope.losses import PROXY_LR
from losscope.losses.reductions import masked, mean_over_valid
from losscope.losses.tuples import all_samples
from losscope.seeds import generator
from losscope.types import Loss, LossTerms, Samples

CLASS_VECTORS = {
    "ProxyAnchorLoss": ("proxies", 0),
    "ProxyNCALoss": ("proxies", 0),
    "LargeMarginSoftmaxLoss": ("W", 1),
    "NormalizedSoftmaxLoss": ("W", 1),
    "SoftTripleLoss": ("fc", 1),
    "P2SGradLoss": ("weight", 1),
}
"""Class -> the parameter that holds class vectors, and its axis of classes."""

PARTNERS = {"CircleLoss": ("positive", "negative"), "SupConLoss": ("positive",)}
"""Class -> what the batch must hold for an anchor, so that the anchor has a term."""

REFUSED = {
    "CrossBatchMemory": "it keeps earlier batches, which would have to be stored and left alone when a model is measured; "
    "hand in the loss inside it",
    "SelfSupervisedLoss": "it compares samples with other views of themselves (ref_emb), which a study doesn't make; hand in "
    "the loss inside it, to train on labels",
    "VICRegLoss": "it compares samples with other views of themselves (ref_emb) and takes no labels; choose a loss of labels",
    "ManifoldLoss": "it takes no labels; choose a loss of labels",
    "MultipleLosses": "it is a sum of losses, whose terms are of several kinds; hand in each as a loss of its own",
    "DynamicSoftMarginLoss": "it keeps a histogram of earlier batches, which would have to be stored and left alone when a "
    "model is measured; choose TripletMarginLoss",
    "SmoothAPLoss": "it reads classes from the order of the batch (class by class, all of one size) and not from labels; "
    "choose FastAPLoss",
}  # fmt: skip
"""Class -> why a study can't train it, and what to do."""


def from_pml(loss: Any) -> Loss:
    """A loss of pytorch-metric-learning, such as `ProxyAnchorLoss(num_classes=10, embedding_size=32)`, as a `Loss`.

    In a study, `losscope.run(study, out, losses={"proxy_anchor": losscope.from_pml(loss)})`, each run trains a copy of
    its own; class vectors are drawn from the run's seed as `loss` drew its own, all else starts as in `loss`. They
    have the learning rate `proxy_lr` of the study. `Criterion(from_pml(loss))` trains `loss` itself. Distance and
    regularizers are the loss's own; its reducer is not used (see the module's text).

    Labels of a loss with class vectors are 0 to num_classes - 1, as a study makes them; more class vectors than
    classes are allowed, and the ones left over are negatives to all.

    Raises InvalidInput for what a study can't train: an object that is no such loss, one that needs more than
    embeddings and labels (other views, weights, a miner), that draws random numbers, that keeps state beside its
    parameters, or whose reducer weighs terms. Raises MissingDependency without the package.

    >>> from pytorch_metric_learning.losses import CosFaceLoss
    >>> loss = from_pml(CosFaceLoss(num_classes=10, embedding_size=32))
    >>> loss.classes, loss.dim, loss.training
    (10, 32, {'proxy_lr': 0.01})
    """
    version = _check(loss)
    name = type(loss).__name__
    template = deepcopy(loss).to("cpu", torch.float32)
    saturates = _check_on_batches(template)
    classes, dim = made_for(template)
    trained = any(parameter.requires_grad for parameter in template.parameters())
    drawn = {id(parameter) for parameter in _drawn(template)}
    return Loss(
        PmlTerms(loss),
        kind="sample",
        saturates=saturates,
        reference=f"{name} of pytorch-metric-learning {version}",
        stacking="loop",
        training={"proxy_lr": PROXY_LR} if trained else {},
        module=partial(of_run, template),
        classes=classes,
        dim=dim,
        fingerprint=f"pytorch-metric-learning {version}: {described(template, drawn=drawn)}",
    )


class PmlTerms(nn.Module):
    """The terms of a batch, by the package's loss `loss`: `(embeddings (samples, dim), samples) -> LossTerms`."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.__name__ = type(loss).__name__
        self.loss = loss
        self.by_class = made_for(loss)[0] is not None

    def forward(self, embeddings: Tensor, samples: Samples) -> LossTerms:
        """Flat terms, as many as the batch offers; a batch that offers none gives an invalid one."""
        if self.by_class:
            embeddings, samples = embeddings[samples.valid], Samples(*(part[samples.valid] for part in samples))
        # Empty sums tie the batch and every parameter to the graph, so that what has no term has a gradient of 0.
        nothing = sum((one.flatten()[:0].sum() for one in self.parameters()), start=embeddings[:0].sum()).view(1)
        yes = torch.ones(1, dtype=torch.bool, device=embeddings.device)
        if not bool(embeddings.isfinite().all()):
            # A run that diverged: the package's index arithmetic could raise, and would end the other runs as well.
            return LossTerms(embeddings.sum() + nothing, yes)
        parts = self._parts(embeddings, samples) if len(embeddings) else []
        if not parts:
            return LossTerms(nothing, ~yes)
        counts = torch.stack([part.valid.sum() for part in parts]).to(embeddings.dtype)
        shares = counts.sum() / counts.clamp_min(1) if len(parts) > 1 else counts.new_ones(1)
        values = [part.values * share for part, share in zip(map(masked, parts), shares, strict=True)]
        return LossTerms(torch.cat(values) + nothing, torch.cat([part.valid for part in parts]))

    def _parts(self, embeddings: Tensor, samples: Samples) -> list[LossTerms]:
        """The terms of each part of the loss that the batch offers any of."""
        outlier = ~samples.valid
        own = samples.target.max() + 1 + torch.arange(len(outlier), device=outlier.device)
        labels = torch.where(outlier, own, samples.target)
        self.loss.reset_stats()
        found = self.loss.compute_loss(embeddings, labels, None, embeddings, labels)
        self.loss.add_embedding_regularization_to_loss_dict(found, embeddings)
        parts = []
        for name, part in found.items():
            if isinstance(part["losses"], Tensor):  # else the number 0: the batch offers nothing
                values = part["losses"].flatten()
                parts.append(LossTerms(values, self._valid(name, part, values, labels, outlier)))
        return parts

    def _valid(self, name: str, part: dict[str, Any], values: Tensor, labels: Tensor, outlier: Tensor) -> Tensor:
        valid = torch.ones_like(values, dtype=torch.bool)
        indices = part["indices"]
        if part["reduction_type"] == "neg_pair":
            first, second = indices
            return ~(outlier[first] & outlier[second])
        if part["reduction_type"] != "element":
            return valid
        if self.by_class:
            proxy_anchor = "ProxyAnchorLoss" in _kin(self.loss) and name == "pos_loss"
            return torch.isin(indices, labels) if proxy_anchor else valid
        same = labels.unsqueeze(0) == labels.unsqueeze(1)
        has = {"positive": same.sum(1) > 1, "negative": ~same.all(1)}
        for kind, partners in PARTNERS.items():
            if kind in _kin(self.loss):
                for partner in partners:
                    valid = valid & has[partner][indices]
        return valid & ~outlier[indices]


def of_run(template: Any, seed: int) -> PmlTerms:
    """One run's copy of a loss, on the CPU: what it draws at random is drawn from the seed alone."""
    copy = deepcopy(template)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(generator(seed, "class vectors").integers(2**63)))
        for parameter in _drawn(copy):
            if hasattr(copy, "weight_init_func"):
                copy.weight_init_func(parameter)
            else:  # P2SGradLoss draws columns of unit length without such a function
                parameter.data.uniform_(-1, 1).renorm_(2, 1, 1e-5).mul_(1e5)
    return PmlTerms(copy)


def made_for(loss: Any) -> tuple[int | None, int | None]:
    """For how many classes and embeddings of which length a loss was made; None: for any.

    Read off its class vectors: the attributes `num_classes` and `embedding_size` of some losses are 0.
    """
    for kind, (attribute, axis) in CLASS_VECTORS.items():
        if kind in _kin(loss):
            shape = getattr(loss, attribute).shape
            each = getattr(loss, "sub_centers", getattr(loss, "centers_per_class", 1))
            return shape[axis] // each, shape[1 - axis]
    beta = getattr(loss, "beta", None)
    if "MarginLoss" in _kin(loss) and isinstance(beta, Tensor) and beta.numel() > 1:  # a boundary for each class
        return beta.numel(), None
    return getattr(loss, "num_classes", None) or None, getattr(loss, "embedding_size", None) or None


def _kin(loss: Any) -> set[str]:
    """The names of a loss's class and of those above it."""
    return {one.__name__ for one in type(loss).__mro__}


def _drawn(loss: Any) -> list[nn.Parameter]:
    """The parameters that a loss draws at random when it is made; frozen ones are kept as they are."""
    draws = hasattr(loss, "weight_init_func") or "P2SGradLoss" in _kin(loss)
    return [one for one in loss.parameters(recurse=False) if draws and one.requires_grad and one.ndim > 1]


def _check(loss: Any) -> str:
    """Raise InvalidInput for what can't be a loss of a study, as far as its class and settings tell.

    The version of pytorch-metric-learning.
    """
    try:
        import pytorch_metric_learning as package
        from pytorch_metric_learning import losses, miners, reducers
    except ImportError:
        raise MissingDependency.of("pytorch-metric-learning", "pml", "from_pml") from None
    if isinstance(loss, type):
        raise InvalidInput(f"{loss.__name__} is a class; hand in a loss made from it: {loss.__name__}(...)")
    name = type(loss).__name__
    for kind, reason in REFUSED.items():
        if kind in _kin(loss):
            raise InvalidInput(f"{name} can't be a loss of a study: {reason}")
    if not isinstance(loss, losses.BaseMetricLossFunction):
        raise InvalidInput(
            f"{name} is no loss of pytorch-metric-learning: expected an instance of BaseMetricLossFunction; write another "
            "loss as a losscope.Loss"
        )
    if type(loss).forward is not losses.BaseMetricLossFunction.forward:
        raise InvalidInput(
            f"{name} has a forward() of its own, so its terms can't be read before its reducer; move what it does into "
            "compute_loss(), or write it as a losscope.Loss"
        )
    if any(isinstance(module, miners.BaseMiner) for module in loss.modules()):
        raise InvalidInput(
            f"{name} has a miner inside, which a study would use beside its own batches; hand in the loss without it, and set "
            "batch.mining where the protocol should mine"
        )
    plain = {
        reducers.MeanReducer, reducers.AvgNonZeroReducer, reducers.DivisorReducer, reducers.DoNothingReducer,
        reducers.MultipleReducers, type(loss.get_default_reducer()),
    }  # fmt: skip
    for module in loss.reducer.modules():
        if isinstance(module, reducers.BaseReducer) and type(module) not in plain:
            raise InvalidInput(
                f"{name} has the reducer {type(module).__name__}, which a study doesn't use: every loss is the mean over its "
                "valid terms; make it without reducer="
            )
    return str(package.__version__)


def _check_on_batches(template: Any) -> bool:
    """Raise InvalidInput unless the terms of a batch are a function of embeddings, labels and parameters alone.

    Returns whether the loss saturates: whether a term is exactly 0 once the classes have collapsed and lie apart.
    """
    name, loss = type(template).__name__, deepcopy(template)
    classes, dim = made_for(loss)
    labels = torch.arange(4).repeat_interleave(3) % (classes or 4)
    random = torch.Generator().manual_seed(0)
    points = [F.normalize(torch.randn(12, dim or 4, generator=random), dim=-1) for _ in range(2)]
    drawing = torch.get_rng_state()
    _tried(loss, points[0], labels, "random")
    before = _state(loss)  # after a first batch, which may fill a cache
    _tried(loss, points[1], labels, "random")
    after = _state(loss)
    if not torch.equal(torch.get_rng_state(), drawing):
        torch.set_rng_state(drawing)
        raise InvalidInput(
            f"{name} draws random numbers of its own, so that a run couldn't be repeated; make it without that "
            "(triplets_per_anchor='all')"
        )
    if before.keys() != after.keys() or not all(torch.equal(before[key], after[key]) for key in before):
        raise InvalidInput(
            f"{name} keeps state from batch to batch beside its parameters, which would have to be stored and left alone "
            "when a model is measured; choose a loss without"
        )
    if dim is not None:  # class vectors lie anywhere: no term is exactly 0
        return False
    collapsed = F.one_hot(labels, 4).float()
    terms = _tried(loss, collapsed, labels, "collapsed")
    return bool(((terms.values == 0) & terms.valid).any())


def _tried(loss: Any, points: Tensor, labels: Tensor, what: str) -> LossTerms:
    """The masked terms of a batch. Raises InvalidInput with the reason if the loss can't give them or their gradient."""
    leaf = points.requires_grad_()
    try:
        terms = masked(PmlTerms(loss)(leaf, all_samples(labels)))
        torch.autograd.grad(mean_over_valid(terms), leaf)
    except Exception as error:
        raise InvalidInput(
            f"{type(loss).__name__} fails on a batch of {len(points)} {what} embeddings and their labels "
            f"({type(error).__name__}: {error}); expected a loss of embeddings and labels, without ref_emb, weights or tuples"
        ) from error
    return terms


def _state(loss: Any) -> dict[str, Tensor]:
    """Copies of all tensors that a loss holds, but for its parameters."""
    return {
        f"{place}.{key}": value.detach().clone()
        for place, module in loss.named_modules()
        for key, value in {**vars(module), **module._buffers}.items()
        if isinstance(value, Tensor)
    }
