"""Evaluation of embeddings: retrieval and classification."""

from losscope.evaluation.classification import knn_accuracy, linear_probe_accuracy
from losscope.evaluation.retrieval import Means, Retrieval, recall_at_k, recall_within, retrieval

__all__ = ["Means", "Retrieval", "knn_accuracy", "linear_probe_accuracy", "recall_at_k", "recall_within", "retrieval"]
