"""The diagnostics: VARIANCE (geometry of embeddings) and GREEDINESS (what training does), one function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from losscope.diagnostics.gradients import (
    gradient_norm,
    gradient_norm_embedding,
    gradient_norm_embedding_tangential,
    gradient_norm_tensor_mean,
    update_ratio,
)
from losscope.diagnostics.greediness import (
    active_ratio,
    active_ratio_negative,
    active_ratio_positive,
    compaction_area,
    compaction_epoch,
    loss_decay_epoch,
)
from losscope.diagnostics.spectrum import effective_rank
from losscope.diagnostics.variance import (
    inter_class_distance_mean,
    inter_class_distance_mean_corrected,
    inter_class_distance_variance,
    inter_class_squared_distance_mean,
    intra_class_variance,
    intra_class_variance_mean,
    intra_class_variance_over_classes,
    intra_class_variance_unbiased_mean,
    intra_inter_ratio,
)


@dataclass(frozen=True)
class Diagnostic:
    """One line of the table: what it computes, from what, in which unit; `higher` says what a larger value means."""

    function: Callable[..., Any]
    sees: Literal["embeddings", "terms", "gradients", "history"]
    unit: str
    higher: str


DIAGNOSTICS: dict[str, Diagnostic] = {
    "active_ratio": Diagnostic(active_ratio, "terms", "share of valid terms", "more terms still give a gradient"),
    "active_ratio_positive": Diagnostic(
        active_ratio_positive,
        "terms",
        "share of valid positive pairs",
        "1 by construction for contrastive loss",
    ),
    "active_ratio_negative": Diagnostic(
        active_ratio_negative,
        "terms",
        "share of valid negative pairs",
        "more negatives are nearer than the margin",
    ),
    "gradient_norm": Diagnostic(gradient_norm, "gradients", "loss per parameter", "larger gradients"),
    "gradient_norm_tensor_mean": Diagnostic(
        gradient_norm_tensor_mean, "gradients", "loss per parameter", "larger gradients"
    ),
    "gradient_norm_embedding": Diagnostic(
        gradient_norm_embedding, "gradients", "loss per embedding", "larger gradients"
    ),
    "gradient_norm_embedding_tangential": Diagnostic(
        gradient_norm_embedding_tangential,
        "gradients",
        "loss per embedding",
        "samples are moved more along the sphere",
    ),
    "update_ratio": Diagnostic(update_ratio, "gradients", "share of the parameters' norm", "larger steps"),
    "intra_class_variance": Diagnostic(intra_class_variance, "embeddings", "squared distance", "looser classes"),
    "intra_class_variance_mean": Diagnostic(
        intra_class_variance_mean, "embeddings", "squared distance", "looser classes"
    ),
    "intra_class_variance_unbiased_mean": Diagnostic(
        intra_class_variance_unbiased_mean, "embeddings", "squared distance", "looser classes"
    ),
    "intra_class_variance_over_classes": Diagnostic(
        intra_class_variance_over_classes,
        "embeddings",
        "squared distance, squared",
        "classes differ in looseness",
    ),
    "inter_class_distance_mean": Diagnostic(
        inter_class_distance_mean, "embeddings", "distance", "centroids lie farther apart"
    ),
    "inter_class_distance_mean_corrected": Diagnostic(
        inter_class_distance_mean_corrected, "embeddings", "distance", "centroids lie farther apart"
    ),
    "inter_class_distance_variance": Diagnostic(
        inter_class_distance_variance, "embeddings", "squared distance", "uneven spacing"
    ),
    "inter_class_squared_distance_mean": Diagnostic(
        inter_class_squared_distance_mean, "embeddings", "squared distance", "centroids lie farther apart"
    ),
    "intra_inter_ratio": Diagnostic(
        intra_inter_ratio, "embeddings", "ratio", "classes are loose compared with their separation"
    ),
    "effective_rank": Diagnostic(effective_rank, "embeddings", "dimensions", "more dimensions are used"),
    "loss_decay_epoch": Diagnostic(loss_decay_epoch, "history", "epochs", "slower decay; null: never"),
    "compaction_epoch": Diagnostic(compaction_epoch, "history", "epochs", "slower compaction"),
    "compaction_area": Diagnostic(compaction_area, "history", "share of training", "slower compaction"),
}

__all__ = [
    "DIAGNOSTICS",
    "Diagnostic",
    "active_ratio",
    "active_ratio_negative",
    "active_ratio_positive",
    "compaction_area",
    "compaction_epoch",
    "effective_rank",
    "gradient_norm",
    "gradient_norm_embedding",
    "gradient_norm_embedding_tangential",
    "gradient_norm_tensor_mean",
    "inter_class_distance_mean",
    "inter_class_distance_mean_corrected",
    "inter_class_distance_variance",
    "inter_class_squared_distance_mean",
    "intra_class_variance",
    "intra_class_variance_mean",
    "intra_class_variance_over_classes",
    "intra_class_variance_unbiased_mean",
    "intra_inter_ratio",
    "loss_decay_epoch",
    "update_ratio",
]
