"""Evaluation of embeddings: retrieval, classification and verification."""

from losscope.evaluation.classification import knn_accuracy, linear_probe_accuracy
from losscope.evaluation.evaluator import Evaluation, evaluate
from losscope.evaluation.labels import LabelSets
from losscope.evaluation.measures import MEASURES
from losscope.evaluation.retrieval import Means, Retrieval, recall_at_k, recall_within, retrieval
from losscope.evaluation.verification import Verification, verification

__all__ = [
    "MEASURES",
    "Evaluation",
    "LabelSets",
    "Means",
    "Retrieval",
    "Verification",
    "evaluate",
    "knn_accuracy",
    "linear_probe_accuracy",
    "recall_at_k",
    "recall_within",
    "retrieval",
    "verification",
]
