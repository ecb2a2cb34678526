"""Classifiers on frozen embeddings, fitted on one split and scored on another: nearest neighbors, a linear probe."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import InvalidInput
from losscope.neighbors import similarity_blocks
from losscope.types import OUTLIER


def knn_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, *, k: int = 5, block: int = 512
) -> float:
    """Share of test samples whose k nearest training samples vote for their label (paper A: k = 5, Euclidean).

    On unit-length embeddings (samples, dim) Euclidean and cosine order agree; inputs are normalized. Neighbors tied at
    the k-th place share the places that are left, so the order of rows never decides. A tied vote goes to the smallest
    label, as in scikit-learn. Outliers neither vote nor are scored. Raises InvalidInput where nothing is left of either.
    """
    known, asked = _with_a_class(train_labels, test_labels)
    gallery, votes = F.normalize(train[known].float(), dim=-1), train_labels[known]
    queries, truth = F.normalize(test[asked].float(), dim=-1), test_labels[asked]
    classes, place = torch.unique(votes, return_inverse=True)
    right = 0
    for rows, similarities in similarity_blocks(queries, gallery, block=block):
        values, nearest = similarities.topk(min(k + 1, len(gallery)), dim=1)
        goes_on = (values[:, k:] == values[:, k - 1 : k]).any(1)  # a tie at the k-th place goes on beyond it
        values, nearest = values[:, :k], nearest[:, :k]
        counts = F.one_hot(place[nearest], len(classes)).sum(1).double()
        for query in goes_on.nonzero().squeeze(1).tolist():
            tied = similarities[query] == values[query, -1]
            nearer = values[query] > values[query, -1]
            counts[query] = F.one_hot(place[nearest[query][nearer]], len(classes)).sum(0).double()
            group = torch.bincount(place[tied], minlength=len(classes)).double()
            counts[query] += group * (len(nearer) - int(nearer.sum())) / group.sum()
        right += int((classes[counts.argmax(1)] == truth[rows]).sum())
    return right / len(truth)


def _with_a_class(train_labels: Tensor, test_labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which samples of either split have a class; compared as int64, where an unsigned 255 is not -1."""
    found = []
    for name, labels in (("train", train_labels), ("test", test_labels)):
        found.append(labels.long() != OUTLIER)
        if not bool(found[-1].any()):
            raise InvalidInput(
                f"none of {len(labels)} {name} samples has a class; expected at least one label that isn't -1"
            )
    return found[0], found[1]


def linear_probe_accuracy(
    train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, *, ridge: float = 1e-4
) -> float:
    """Accuracy of multinomial logistic regression on embeddings (samples, dim), minimized by L-BFGS.

    The objective is mean cross-entropy + ridge/2 |W|²; the bias is not penalized. Outliers are left out.
    Raises InvalidInput where nothing is left of either split.
    """
    known, asked = _with_a_class(train_labels, test_labels)
    classes, truth = torch.unique(train_labels[known], return_inverse=True)
    points = F.normalize(train[known].double(), dim=-1)
    shape = (points.shape[1] + 1, len(classes))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.from_numpy(flat).to(points.device).view(shape)
        logits = torch.addmm(weights[-1], points, weights[:-1])
        probability = logits.softmax(1)
        loss = F.cross_entropy(logits, truth) + ridge / 2 * weights[:-1].square().sum()
        residual = (probability - F.one_hot(truth, len(classes))) / len(points)
        gradient = torch.cat([points.T @ residual + ridge * weights[:-1], residual.sum(0, keepdim=True)])
        return loss.item(), gradient.flatten().cpu().numpy()

    found = minimize(objective, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weights = torch.from_numpy(found.x).to(points.device).view(shape)
    scores = torch.addmm(weights[-1], F.normalize(test[asked].double(), dim=-1), weights[:-1])
    return float((classes[scores.argmax(1)] == test_labels[asked]).double().mean())
