"""The diagnostics: VARIANCE (geometry of embeddings) and GREEDINESS (what training does), one function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from losscope.diagnostics.allocation import (
    active_rows,
    gradient_by_class,
    gradient_by_hardness,
    gradient_pull,
    gradient_push,
)
from losscope.diagnostics.composition import batch_classes, batch_negative_share, batch_positive_share
from losscope.diagnostics.concentration import (
    gradient_effective_share,
    gradient_participation,
    gradient_share,
    gradient_share_90,
    gradient_share_curve,
)
from losscope.diagnostics.explained import (
    fine_explained_share,
    fine_explained_share_corrected,
    fine_statistics,
    within_coarse_variance,
)
from losscope.diagnostics.gradients import (
    gradient_norm,
    gradient_norm_embedding,
    gradient_norm_embedding_tangential,
    gradient_norm_tensor_mean,
    gradient_signal_fraction,
    proxy_gradient_norm,
    tangential_norms,
    update_norm,
    update_ratio,
)
from losscope.diagnostics.greediness import (
    active_ratio,
    active_ratio_negative,
    active_ratio_positive,
    compaction_area,
    compaction_epoch,
    loss_decay_epoch,
    loss_decay_epoch_excess,
    relative_activity,
    residual_mass,
)
from losscope.diagnostics.greedy import greedy_fraction, greedy_ratio, satisfied, satisfied_share
from losscope.diagnostics.pair_weights import pair_weight, pair_weight_mean, pair_weight_positive
from losscope.diagnostics.separation import (
    centroid_cosine_max,
    centroid_cosine_mean,
    inter_class_distance_cv,
    inter_class_distance_mean,
    inter_class_distance_mean_corrected,
    inter_class_distance_min,
    inter_class_distance_q05,
    inter_class_distance_variance,
    inter_class_squared_distance_mean,
    intra_inter_ratio,
)
from losscope.diagnostics.spectrum import effective_rank, within_class_effective_rank
from losscope.diagnostics.variance import (
    between_variance,
    fisher_ratio,
    intra_class_variance,
    intra_class_variance_cv,
    intra_class_variance_mean,
    intra_class_variance_over_classes,
    intra_class_variance_unbiased_mean,
    mean_resultant_squared,
    within_variance,
)


@dataclass(frozen=True)
class Diagnostic:
    """One line of the table: what it computes, from what, in which unit; `higher` says what a larger value means.

    sees   batch: labels of a batch, or its embeddings, ∂L/∂Z and labels
           norms: gradient norms of samples or terms; weights: pair weights; hierarchy: embeddings, labels and finer labels
    """

    function: Callable[..., Any]
    sees: Literal["embeddings", "hierarchy", "terms", "gradients", "norms", "weights", "history", "batch"]
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
    "residual_mass": Diagnostic(
        residual_mass,
        "terms",
        "share of a term's goal",
        "terms are farther from their goals; the active ratio of a hinge",
    ),
    "relative_activity": Diagnostic(
        relative_activity,
        "norms",
        "share of valid terms",
        "more terms have a gradient above 10^-item of the largest possible",
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
    "proxy_gradient_norm": Diagnostic(
        proxy_gradient_norm, "gradients", "loss per parameter", "larger gradients of the class vectors"
    ),
    "gradient_signal_fraction": Diagnostic(
        gradient_signal_fraction,
        "gradients",
        "share of the squared norm",
        "steps pull alike; 1/steps where all is noise",
    ),
    "update_norm": Diagnostic(update_norm, "gradients", "parameter", "larger steps"),
    "update_ratio": Diagnostic(update_ratio, "gradients", "share of the parameters' norm", "larger steps"),
    "gradient_share_90": Diagnostic(
        gradient_share_90, "norms", "share of samples", "more samples carry the gradient; nobody stands out at 0.9"
    ),
    "gradient_share_curve": Diagnostic(
        gradient_share_curve, "norms", "share of samples", "more samples carry item percent of the gradient"
    ),
    "gradient_participation": Diagnostic(
        gradient_participation, "norms", "share of samples", "samples are moved alike; 1 if equally"
    ),
    "gradient_effective_share": Diagnostic(
        gradient_effective_share, "norms", "share of samples", "samples are moved alike; 1 if equally"
    ),
    "active_rows": Diagnostic(
        active_rows, "batch", "share of samples", "more samples have any gradient; near 1 with all pairs of a batch"
    ),
    "gradient_pull": Diagnostic(
        gradient_pull, "batch", "share of the gradient norm", "more effort to move samples to their own class"
    ),
    "gradient_push": Diagnostic(
        gradient_push, "batch", "share of the gradient norm", "more effort to move samples off a wrong neighbor"
    ),
    "gradient_by_hardness": Diagnostic(
        gradient_by_hardness, "batch", "share of the gradient norm", "decile item, 1 the hardest, gets more"
    ),
    "gradient_by_class": Diagnostic(gradient_by_class, "batch", "share of the gradient norm", "class item gets more"),
    "batch_classes": Diagnostic(batch_classes, "batch", "classes", "batches of more classes"),
    "batch_positive_share": Diagnostic(
        batch_positive_share, "batch", "share of samples", "more samples have a positive; 0: nothing to pull"
    ),
    "batch_negative_share": Diagnostic(
        batch_negative_share, "batch", "share of samples", "more samples have a negative; 0: nothing to push"
    ),
    "greedy_fraction": Diagnostic(
        greedy_fraction, "norms", "share of the gradient norm", "more effort on satisfied samples"
    ),
    "satisfied_share": Diagnostic(
        satisfied_share, "norms", "share of samples", "more samples have their own class nearest"
    ),
    "greedy_ratio": Diagnostic(
        greedy_ratio, "norms", "ratio", "satisfied samples get more than others; 1 is blind to satisfaction"
    ),
    "pair_weight_mean": Diagnostic(
        pair_weight_mean, "weights", "loss per cosine", "pairs are pulled and pushed harder"
    ),
    "pair_weight": Diagnostic(pair_weight, "weights", "share of pairs", "more weights of 10^item times the mean"),
    "pair_weight_positive": Diagnostic(
        pair_weight_positive, "weights", "share of the weight", "more pull relative to push"
    ),
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
    "intra_class_variance_cv": Diagnostic(
        intra_class_variance_cv, "embeddings", "share of the mean", "classes differ in looseness"
    ),
    "within_variance": Diagnostic(within_variance, "embeddings", "squared distance", "looser classes"),
    "between_variance": Diagnostic(
        between_variance, "embeddings", "squared distance", "centroids lie farther from the center of all samples"
    ),
    "mean_resultant_squared": Diagnostic(
        mean_resultant_squared, "embeddings", "squared distance", "samples share more, which separates nothing"
    ),
    "fisher_ratio": Diagnostic(
        fisher_ratio, "embeddings", "ratio", "classes are separated compared with their looseness"
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
    "inter_class_distance_cv": Diagnostic(inter_class_distance_cv, "embeddings", "share of the mean", "uneven spacing"),
    "inter_class_distance_min": Diagnostic(
        inter_class_distance_min, "embeddings", "distance", "the two nearest centroids lie farther apart"
    ),
    "inter_class_distance_q05": Diagnostic(
        inter_class_distance_q05, "embeddings", "distance", "near centroids lie farther apart"
    ),
    "centroid_cosine_mean": Diagnostic(
        centroid_cosine_mean, "embeddings", "cosine", "centroids point the same way; at least -1/(C - 1)"
    ),
    "centroid_cosine_max": Diagnostic(
        centroid_cosine_max, "embeddings", "cosine", "the two nearest centroids point the same way"
    ),
    "intra_inter_ratio": Diagnostic(
        intra_inter_ratio, "embeddings", "ratio", "classes are loose compared with their separation"
    ),
    "effective_rank": Diagnostic(effective_rank, "embeddings", "dimensions", "more dimensions are used"),
    "within_class_effective_rank": Diagnostic(
        within_class_effective_rank, "embeddings", "dimensions", "classes vary in more dimensions"
    ),
    "within_coarse_variance": Diagnostic(
        within_coarse_variance, "hierarchy", "squared distance", "looser classes, of those that hold finer ones"
    ),
    "fine_explained_share": Diagnostic(
        fine_explained_share, "hierarchy", "share of the variance within classes", "a finer label explains more of it"
    ),
    "fine_explained_share_corrected": Diagnostic(
        fine_explained_share_corrected,
        "hierarchy",
        "share of the variance within classes",
        "a finer label explains more of it; 0 for one at random",
    ),
    "loss_decay_epoch": Diagnostic(loss_decay_epoch, "history", "epochs", "slower decay; null: never"),
    "loss_decay_epoch_excess": Diagnostic(
        loss_decay_epoch_excess, "history", "epochs", "slower decay of the loss above its floor; null: never"
    ),
    "compaction_epoch": Diagnostic(compaction_epoch, "history", "epochs", "slower compaction"),
    "compaction_area": Diagnostic(compaction_area, "history", "share of training", "slower compaction"),
}

__all__ = [
    "DIAGNOSTICS",
    "Diagnostic",
    "active_ratio",
    "active_ratio_negative",
    "active_ratio_positive",
    "active_rows",
    "batch_classes",
    "batch_negative_share",
    "batch_positive_share",
    "between_variance",
    "centroid_cosine_max",
    "centroid_cosine_mean",
    "compaction_area",
    "compaction_epoch",
    "effective_rank",
    "fine_explained_share",
    "fine_explained_share_corrected",
    "fine_statistics",
    "fisher_ratio",
    "gradient_by_class",
    "gradient_by_hardness",
    "gradient_effective_share",
    "gradient_norm",
    "gradient_norm_embedding",
    "gradient_norm_embedding_tangential",
    "gradient_norm_tensor_mean",
    "gradient_participation",
    "gradient_pull",
    "gradient_push",
    "gradient_share",
    "gradient_share_90",
    "gradient_share_curve",
    "gradient_signal_fraction",
    "greedy_fraction",
    "greedy_ratio",
    "inter_class_distance_cv",
    "inter_class_distance_mean",
    "inter_class_distance_mean_corrected",
    "inter_class_distance_min",
    "inter_class_distance_q05",
    "inter_class_distance_variance",
    "inter_class_squared_distance_mean",
    "intra_class_variance",
    "intra_class_variance_cv",
    "intra_class_variance_mean",
    "intra_class_variance_over_classes",
    "intra_class_variance_unbiased_mean",
    "intra_inter_ratio",
    "loss_decay_epoch",
    "loss_decay_epoch_excess",
    "mean_resultant_squared",
    "pair_weight",
    "pair_weight_mean",
    "pair_weight_positive",
    "proxy_gradient_norm",
    "relative_activity",
    "residual_mass",
    "satisfied",
    "satisfied_share",
    "tangential_norms",
    "update_norm",
    "update_ratio",
    "within_class_effective_rank",
    "within_coarse_variance",
    "within_variance",
]
