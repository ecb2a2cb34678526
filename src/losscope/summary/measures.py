"""What a report shows of a record: one line for each measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Where = Literal["train", "train_clean", "evaluation", "validation", "training", "probe"]
"""`train` labels as given; `train_clean` the same samples under their true labels; `evaluation` the split that is not
trained on; `validation` classes of their own to choose a hyper-parameter on; `training` the steps themselves; `probe` one
batch that is the same for every loss of a seed."""

When = Literal["last", "start", "mean over epochs"]


@dataclass(frozen=True)
class Measure:
    """One measure. `term` is its entry in the glossary, `better` the direction that a user of embeddings wants."""

    diagnostic: str
    where: Where
    label: str
    term: str
    item: int | None = None
    when: When = "last"
    better: Literal["higher", "lower"] | None = None

    @property
    def key(self) -> str:
        """Name in JSON and CSV, such as `recall_at_k/1/evaluation/last`."""
        item = "" if self.item is None else f"/{self.item}"
        return f"{self.diagnostic}{item}/{self.where}/{self.when.replace(' ', '_')}"


def _measure(diagnostic: str, where: Where, label: str, **settings: object) -> Measure:
    return Measure(diagnostic, where, label, **{"term": diagnostic, **settings})  # type: ignore[arg-type]


RECALL_1 = _measure("recall_at_k", "evaluation", "Recall@1", item=1, better="higher")
RECALL_5 = _measure("recall_at_k", "evaluation", "Recall@5", item=5, better="higher")
RECALL_10 = _measure("recall_at_k", "evaluation", "Recall@10", item=10, better="higher")
MAP_AT_R = _measure("map_at_r", "evaluation", "MAP@R", better="higher")
KNN = _measure("knn_accuracy", "evaluation", "k-NN accuracy", better="higher")
PROBE = _measure("linear_probe_accuracy", "evaluation", "linear probe", better="higher")
RANK = _measure("effective_rank", "evaluation", "effective rank")

INTRA = _measure("intra_class_variance_mean", "evaluation", "intra-class variance")
INTER = _measure("inter_class_distance_mean_corrected", "evaluation", "inter-class distance, corrected",
                 term="inter_class_distance_mean")  # fmt: skip
RATIO = _measure("intra_inter_ratio", "evaluation", "intra/inter ratio", better="lower")

INTRA_TRAIN = _measure("intra_class_variance_mean", "train", "intra-class variance: mean")
INTRA_TRAIN_SPREAD = _measure(
    "intra_class_variance_over_classes", "train", "intra-class variance: variance over classes"
)
INTER_TRAIN = _measure("inter_class_distance_mean", "train", "inter-class distance: mean")
INTER_TRAIN_SPREAD = _measure("inter_class_distance_variance", "train", "inter-class distance: variance over pairs")
RATIO_TRAIN = _measure("intra_inter_ratio", "train", "intra/inter ratio")

LOSS = _measure("loss", "training", "loss")
ACTIVE = _measure("active_ratio", "training", "active ratio, last epoch")
ACTIVE_START = _measure("active_ratio", "training", "active ratio, untrained", when="start")
ACTIVE_MEAN = _measure("active_ratio", "training", "active ratio, mean over epochs", when="mean over epochs")
ACTIVE_POSITIVE = _measure("active_ratio_positive", "training", "active ratio, positive pairs", term="active_ratio")
ACTIVE_NEGATIVE = _measure("active_ratio_negative", "training", "active ratio, negative pairs", term="active_ratio")
GRADIENT = _measure("gradient_norm", "training", "gradient norm, all parameters")
GRADIENT_TENSOR = _measure("gradient_norm_tensor_mean", "training", "gradient norm, mean over tensors",
                           term="gradient_norm")  # fmt: skip
UPDATE = _measure("update_ratio", "training", "update ratio")
DECAY = _measure("loss_decay_epoch", "training", "loss-decay epoch")

RECALL_1_VALIDATION = _measure("recall_at_k", "validation", "Recall@1, validation", item=1, better="higher")

# Beyond paper A: what a comparison of many losses needs.
INTRA_CV = _measure("intra_class_variance_cv", "evaluation", "intra-class variance: CV")
INTER_CV = _measure("inter_class_distance_cv", "evaluation", "inter-class distance: CV")
INTER_MIN = _measure("inter_class_distance_min", "evaluation", "smallest inter-class distance")
INTER_Q05 = _measure("inter_class_distance_q05", "evaluation", "inter-class distance: 5 % quantile")
COSINE = _measure("centroid_cosine_mean", "evaluation", "cosine of centroids: mean")
COSINE_MAX = _measure("centroid_cosine_max", "evaluation", "cosine of centroids: largest", term="centroid_cosine_mean")
WITHIN = _measure("within_variance", "evaluation", "within classes", term="variance_budget")
BETWEEN = _measure("between_variance", "evaluation", "between classes", term="variance_budget")
RESULTANT = _measure("mean_resultant_squared", "evaluation", "common to all", term="variance_budget")
WITHIN_RANK = _measure("within_class_effective_rank", "evaluation", "effective rank within classes")
FISHER = _measure("fisher_ratio", "evaluation", "Fisher ratio", better="higher")

# For claims: the same geometry under true labels and on what is not trained on, and where training began.
INTRA_CLEAN = _measure("intra_class_variance_mean", "train_clean", "intra-class variance: mean")
INTER_CLEAN = _measure("inter_class_distance_mean", "train_clean", "inter-class distance: mean")
INTER_CLEAN_SPREAD = _measure(
    "inter_class_distance_variance", "train_clean", "inter-class distance: variance over pairs"
)
INTER_SPREAD = _measure("inter_class_distance_variance", "evaluation", "inter-class distance: variance over pairs")
RATIO_CLEAN = _measure("intra_inter_ratio", "train_clean", "intra/inter ratio")
RANK_TRAIN = _measure("effective_rank", "train", "effective rank")
RANK_START = _measure("effective_rank", "evaluation", "effective rank, untrained", when="start")
RANK_TRAIN_START = _measure("effective_rank", "train", "effective rank, untrained", when="start")
WITHIN_RANK_TRAIN = _measure("within_class_effective_rank", "train", "effective rank within classes")

# Trained on coarse classes, asked for finer ones.
FINE_RECALL_1 = _measure("fine_recall_at_k", "evaluation", "fine Recall@1", item=1, better="higher")
FINE_WITHIN_1 = _measure(
    "fine_recall_at_k_within_coarse", "evaluation", "fine Recall@1 within the class", item=1, better="higher"
)
FINE_MAP = _measure("fine_map_at_r", "evaluation", "fine MAP@R", better="higher")
WITHIN_COARSE = _measure("within_coarse_variance", "evaluation", "variance within coarse classes")
FINE_SHARE = _measure("fine_explained_share", "evaluation", "share that fine labels explain, as measured")
FINE_SHARE_CORRECTED = _measure("fine_explained_share_corrected", "evaluation", "share that fine labels explain",
                                term="fine_explained_share")  # fmt: skip

COMPACTION = _measure("compaction_epoch", "evaluation", "compaction epoch")
COMPACTION_AREA = _measure("compaction_area", "evaluation", "compaction area", term="compaction_epoch")
DECAY_EXCESS = _measure("loss_decay_epoch_excess", "training", "loss-decay epoch, above the floor")
FLOOR = _measure("loss_floor", "training", "floor of the loss", when="start")
UPDATE_MEAN = _measure("update_ratio", "training", "update ratio, mean over epochs", when="mean over epochs")
UPDATE_NORM = _measure("update_norm", "training", "update norm", term="update_ratio")
SIGNAL = _measure("gradient_signal_fraction", "training", "signal fraction of the gradient")
PROXY_GRADIENT = _measure("proxy_gradient_norm", "training", "gradient norm, class vectors")

SHARE_90 = _measure("gradient_share_90", "probe", "samples that carry 90 % of the gradient")
SHARE_90_MEAN = _measure("gradient_share_90", "probe", "samples that carry 90 % of the gradient, mean over epochs",
                         when="mean over epochs")  # fmt: skip
TANGENTIAL = _measure("gradient_norm_embedding_tangential", "probe", "tangential gradient of a sample")
TANGENTIAL_MEAN = _measure("gradient_norm_embedding_tangential", "probe",
                           "tangential gradient of a sample, mean over epochs", when="mean over epochs")  # fmt: skip
PARTICIPATION = _measure("gradient_participation", "probe", "participation of samples", term="gradient_participation")
EFFECTIVE_SHARE = _measure(
    "gradient_effective_share", "probe", "effective share of samples", term="gradient_participation"
)
ACTIVE_PROBE = _measure("active_ratio", "probe", "active ratio")
RESIDUAL = _measure("residual_mass", "probe", "residual mass")
PAIR_WEIGHT = _measure("pair_weight_mean", "probe", "mean pair weight", term="pair_weight")
GREEDY = _measure("greedy_fraction", "probe", "greedy fraction")
SATISFIED = _measure("satisfied_share", "probe", "satisfied samples", term="greedy_fraction")
GREEDY_RATIO = _measure("greedy_ratio", "probe", "greedy fraction / base rate", term="greedy_fraction")

MEASURES = (
    RECALL_1, RECALL_5, RECALL_10, MAP_AT_R, KNN, PROBE, RANK, INTRA, INTER, RATIO,
    INTRA_TRAIN, INTRA_TRAIN_SPREAD, INTER_TRAIN, INTER_TRAIN_SPREAD, RATIO_TRAIN,
    LOSS, ACTIVE, ACTIVE_START, ACTIVE_MEAN, ACTIVE_POSITIVE, ACTIVE_NEGATIVE, GRADIENT, GRADIENT_TENSOR, UPDATE, DECAY,
    RECALL_1_VALIDATION, INTRA_CV, INTER_CV, INTER_MIN, INTER_Q05, COSINE, COSINE_MAX, WITHIN, BETWEEN, RESULTANT,
    WITHIN_RANK, FISHER, COMPACTION, COMPACTION_AREA, DECAY_EXCESS, FLOOR, UPDATE_MEAN, UPDATE_NORM, SIGNAL, PROXY_GRADIENT,
    SHARE_90, SHARE_90_MEAN, TANGENTIAL, TANGENTIAL_MEAN, PARTICIPATION, EFFECTIVE_SHARE, ACTIVE_PROBE, RESIDUAL,
    PAIR_WEIGHT, GREEDY, SATISFIED, GREEDY_RATIO, INTRA_CLEAN, INTER_CLEAN, INTER_CLEAN_SPREAD, INTER_SPREAD, RATIO_CLEAN,
    RANK_TRAIN, RANK_START, RANK_TRAIN_START, WITHIN_RANK_TRAIN, FINE_RECALL_1, FINE_WITHIN_1, FINE_MAP, WITHIN_COARSE,
    FINE_SHARE, FINE_SHARE_CORRECTED,
)  # fmt: skip

OVERVIEW = (RECALL_1, MAP_AT_R, KNN, INTRA, INTER, RATIO, ACTIVE, GRADIENT)
"""The few that matter, for the first table and the terminal."""

TERMINAL = {"Recall@1": RECALL_1, "intra-class variance": INTRA, "intra/inter ratio": RATIO, "active ratio": ACTIVE}
"""Those that fit into a terminal, under short names; geometry on the evaluation split."""

COMPARED = (RECALL_1, MAP_AT_R, KNN, INTRA, RATIO, INTRA_TRAIN, INTER_TRAIN, ACTIVE, GRADIENT)
"""Those whose differences between losses are tested: one family of tests for each."""

CURVES = (
    LOSS,
    _measure("active_ratio", "training", "active ratio"),
    GRADIENT,
    _measure("intra_class_variance_mean", "train", "intra-class variance, train"),
)
"""Those followed over epochs."""

CENSORED = ("loss_decay_epoch", "loss_decay_epoch_excess")
"""Diagnostics that a run may never reach: a result, not a missing value."""

COMPACTIONS = ("compaction_epoch", "compaction_area")
"""Diagnostics that a run without compaction never reaches."""

SHARE_CURVE, RELATIVE_ACTIVITY, PAIR_WEIGHTS = "gradient_share_curve", "relative_activity", "pair_weight"
PROFILES = (SHARE_CURVE, RELATIVE_ACTIVITY, PAIR_WEIGHTS)
"""Diagnostics of the probe with a value for each item, such as a threshold."""

BY_KEY = {measure.key: measure for measure in MEASURES}
