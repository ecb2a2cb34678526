"""The whole engine against other implementations, from equal weights over 100 steps in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, SupConLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

import reference
from losscope.study import Optimizer
from losscope.training.batches import Step
from losscope.training.loop import Stack
from stacks import build, cell

STEPS = 100
Loss = Callable[[Tensor, Tensor], Tensor]


def steps_of(stack: Stack) -> Iterator[tuple[int, Step]]:
    """The first STEPS steps of training, with the number of their epoch."""
    count, epoch = 0, 0
    while True:
        epoch += 1
        for step in stack.sampler.epoch(epoch):
            if count == STEPS:
                return
            count += 1
            yield epoch, step


def plain_loop(stack: Stack, run: int, weights: Tensor, loss: Loss, *, own_rate: float | None = None) -> Tensor:
    """torch.nn and torch.optim, one run alone: its parameters after the same steps. A loss with class vectors trains
    its own at `own_rate`."""
    module = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8)).double()
    start = stack.encoder.layers(weights)
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), start, strict=True):
            parameter.copy_(part[run])
    groups: list[dict[str, Any]] = [{"params": module.parameters(), "lr": 1e-2, "weight_decay": 1e-4}]
    if isinstance(loss, nn.Module):
        groups.append({"params": loss.parameters(), "lr": own_rate})
    optimizer = torch.optim.Adam(groups)
    labels = torch.from_numpy(stack.sampler.labels[run])
    for _, step in steps_of(stack):
        rows = step.rows[run]
        optimizer.zero_grad()
        outputs = module(stack.inputs.values[run][rows])
        loss(normalize(outputs, dim=1) if stack.objective.unit_length else outputs, labels[rows]).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def assert_parity(loss: str, hyperparameters: dict[str, object], other: Loss, **batch: Any) -> None:
    given = cell((0, 1), loss, "all_in_batch", precision="float64", hyperparameters=hyperparameters,
                 batch=batch, optimizer=Optimizer(lr=1e-2, weight_decay=1e-4))  # fmt: skip
    stack = build(given)
    weights, proxies = stack.parameters.detach().clone(), stack.objective.proxies
    start = None if proxies is None else proxies.detach().clone()
    for _, step in steps_of(stack):
        stack.train_step(step)
    for run in range(2):
        if isinstance(other, nn.Module):
            assert start is not None
            with torch.no_grad():
                other.W.copy_(start[run].T)  # type: ignore[operator]
        theirs = plain_loop(stack, run, weights, other, own_rate=stack.objective.training.get("proxy_lr"))
        ours = stack.parameters[run, : len(theirs)]
        assert (ours - weights[run, : len(theirs)]).abs().max() > 0.05  # it did train
        assert (ours - theirs).abs().max() < 1e-9
        if start is not None:
            assert (stack.objective.proxies[run] - start[run]).abs().max() > 0.05  # type: ignore[index]
            assert (stack.objective.proxies[run] - other.W.T).abs().max() < 1e-9  # type: ignore[index, operator, attr-defined]


def without_outliers(labels: Tensor) -> Tensor:
    """Each outlier as a class of its own, where -1 would be one for all."""
    return torch.where(labels == -1, 1000 + torch.arange(len(labels)), labels)


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_training_equals_pytorch_metric_learning(squared: bool) -> None:
    theirs = TripletMarginLoss(
        margin=0.5,
        distance=LpDistance(p=2, power=2 if squared else 1, normalize_embeddings=True),
        reducer=MeanReducer(),
        triplets_per_anchor="all",
    )

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = theirs(embeddings, without_outliers(labels))
        return value

    assert_parity("triplet", {"margin": 0.5, "squared": squared}, loss)


def test_contrastive_training_equals_the_naive_loop() -> None:
    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        z = embeddings.detach().numpy()
        _, gradient = reference.mean_of(
            [reference.contrastive_term(z, *one, 1.0) for one in reference.pairs_of(labels.tolist())], z
        )
        return (embeddings * torch.from_numpy(gradient)).sum()  # has the naive gradient

    assert_parity("contrastive", {"margin": 1.0}, loss, samples=10)


def test_sup_con_training_equals_pytorch_metric_learning() -> None:
    theirs = SupConLoss(temperature=0.1)

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        # There an outlier is an anchor without positives, and its loss of 0 is left out of the mean.
        value: Tensor = theirs(embeddings, without_outliers(labels))
        return value

    assert_parity("sup_con", {}, loss)


@pytest.mark.parametrize(("name", "theirs"), [("arcface", ArcFaceLoss), ("center_contrastive", CosFaceLoss)])
def test_training_of_class_vectors_equals_pytorch_metric_learning(name: str, theirs: type[nn.Module]) -> None:
    """In batches of classes x samples, which have no outliers."""
    given = {"margin": 0.3, "scale": 8.0, "proxy_lr": 3e-2}
    no_pull = {"center_weight": 0.0} if name == "center_contrastive" else {}
    margin = math.degrees(0.3) if name == "arcface" else 0.3
    other = theirs(4, 8, margin=margin, scale=8.0).double()
    assert_parity(name, given | no_pull, other, classes=3, per_class=4)


def test_training_on_outputs_of_any_length_equals_a_cross_entropy() -> None:
    """N-pair as printed: dot products of raw outputs and a penalty on squared lengths. Two samples of each class make
    one block for each order of the two."""

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        classes = sorted(set(labels.tolist()))
        first, second = torch.tensor([torch.nonzero(labels == label).flatten().tolist() for label in classes]).T
        targets, lengths = torch.arange(len(classes)), outputs.square().sum(1)
        both = [cross_entropy(outputs[a] @ outputs[p].T, targets) for a, p in ((first, second), (second, first))]
        return sum(both) / 2 + 0.02 * lengths.mean()  # type: ignore[return-value]

    given = {"unit_length": False, "scale": 1.0, "penalty": 0.02}
    assert_parity("n_pair", given, loss, classes=4, per_class=2)
