"""What a report shows of a record: one line for each measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Where = Literal["train", "evaluation", "training"]
"""`train` labels as given; `evaluation` the split that is not trained on; `training` the steps themselves."""

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

MEASURES = (
    RECALL_1, RECALL_5, RECALL_10, MAP_AT_R, KNN, PROBE, RANK, INTRA, INTER, RATIO,
    INTRA_TRAIN, INTRA_TRAIN_SPREAD, INTER_TRAIN, INTER_TRAIN_SPREAD, RATIO_TRAIN,
    LOSS, ACTIVE, ACTIVE_START, ACTIVE_MEAN, ACTIVE_POSITIVE, ACTIVE_NEGATIVE, GRADIENT, GRADIENT_TENSOR, UPDATE, DECAY,
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

BY_KEY = {measure.key: measure for measure in MEASURES}
