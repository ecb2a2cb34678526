"""Evaluation of embeddings: retrieval and classification."""

from losscope.evaluation.classification import knn_accuracy, linear_probe_accuracy
from losscope.evaluation.retrieval import Retrieval, retrieval

__all__ = ["Retrieval", "knn_accuracy", "linear_probe_accuracy", "retrieval"]
