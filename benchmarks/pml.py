"""The terms of the seven losses by pytorch-metric-learning, with losscope's hyper-parameters and class vectors.

They are read before the library's reducer, so that active ones can be counted.
"""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.distances import DotProductSimilarity, LpDistance
from pytorch_metric_learning.losses import (
    ArcFaceLoss,
    ContrastiveLoss,
    CosFaceLoss,
    NPairsLoss,
    NTXentLoss,
    SupConLoss,
    TripletMarginLoss,
)
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tasks import Task


class PmlTerms(nn.Module):
    """`(embeddings (samples, dim), labels (samples,)) -> values of the valid terms`, by side where there are sides."""

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        parts = self.criterion(embeddings, labels)
        return {name: part["losses"] for name, part in parts.items() if torch.is_tensor(part["losses"])}


class SquaredContrastiveLoss(ContrastiveLoss):
    """The library's contrastive loss with both hinges squared, as in losscope."""

    def get_per_pair_loss(self, pair_dists: Tensor, pos_or_neg: str) -> Tensor:
        hinge: Tensor = super().get_per_pair_loss(pair_dists, pos_or_neg)
        return hinge.square()


class ScaledDotProduct(DotProductSimilarity):
    """Logits κ z·z': the library's N-pair loss has no scale."""

    def __init__(self, scale: float) -> None:
        super().__init__(normalize_embeddings=False)
        self.scale = scale

    def forward(self, query: Tensor, reference: Tensor | None = None) -> Tensor:
        dots: Tensor = super().forward(query, reference)
        return self.scale * dots


class AnchorsWithPositives(PmlTerms):
    """Without the anchors that have no positive, whose loss is 0 and which the library's own reducer drops."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {name: values[values > 0] for name, values in super().forward(embeddings, labels).items()}


class WithPull(PmlTerms):
    """CosFace plus λ |z - c_y|² of unit vectors: the center contrastive loss."""

    def __init__(self, criterion: CosFaceLoss, center_weight: float) -> None:
        super().__init__(criterion)
        self.center_weight = center_weight

    def forward(self, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        distance = 2 - 2 * F.cosine_similarity(embeddings, self.criterion.W.t()[labels])
        return {
            name: values + self.center_weight * distance for name, values in super().forward(embeddings, labels).items()
        }


def pml_terms(loss: str, task: Task) -> PmlTerms:
    """The terms of a loss by its name in losscope; class vectors start where the task's start."""
    given = task.hyperparameters
    # The encoder normalizes already, so the library needn't do it a second time.
    settings = {"distance": LpDistance(normalize_embeddings=False), "reducer": DoNothingReducer()}
    cosine = {"distance": DotProductSimilarity(normalize_embeddings=False), "reducer": DoNothingReducer()}
    if loss == "contrastive":
        return PmlTerms(SquaredContrastiveLoss(pos_margin=0, neg_margin=given["margin"], **settings))
    if loss == "triplet":
        return PmlTerms(TripletMarginLoss(margin=given["margin"], **settings))
    if loss == "n_pair":
        return PmlTerms(NPairsLoss(distance=ScaledDotProduct(given["scale"]), reducer=DoNothingReducer()))
    if loss == "info_nce":
        return PmlTerms(NTXentLoss(given["temperature"], **cosine))
    if loss == "sup_con":
        return AnchorsWithPositives(SupConLoss(given["temperature"], **cosine))
    assert task.class_vectors is not None
    classes, dim = task.class_vectors.shape
    if loss == "arcface":
        terms = PmlTerms(
            ArcFaceLoss(
                classes, dim, margin=math.degrees(given["margin"]), scale=given["scale"], reducer=DoNothingReducer()
            )
        )
    else:
        cosface = CosFaceLoss(classes, dim, margin=given["margin"], scale=given["scale"], reducer=DoNothingReducer())
        terms = WithPull(cosface, given["center_weight"])
    with torch.no_grad():
        terms.criterion.W.copy_(task.class_vectors.t())
    return terms
