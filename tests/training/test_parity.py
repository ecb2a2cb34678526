"""The whole engine against other implementations, from equal weights over 100 steps in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn
from torch.nn.functional import normalize

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


def plain_loop(stack: Stack, run: int, weights: Tensor, loss: Loss) -> Tensor:
    """torch.nn and torch.optim, one run alone: its parameters after the same steps."""
    module = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8)).double()
    start = stack.encoder.layers(weights)
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), start, strict=True):
            parameter.copy_(part[run])
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2, weight_decay=1e-4)
    labels = torch.from_numpy(stack.sampler.labels[run])
    for _, step in steps_of(stack):
        rows = step.rows[run]
        optimizer.zero_grad()
        loss(normalize(module(stack.inputs.values[run][rows]), dim=1), labels[rows]).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def assert_parity(loss: str, hyperparameters: dict[str, object], other: Loss, samples: int = 18) -> None:
    given = cell((0, 1), loss, "all_in_batch", precision="float64", hyperparameters=hyperparameters,
                 batch={"samples": samples}, optimizer=Optimizer(lr=1e-2, weight_decay=1e-4))  # fmt: skip
    stack = build(given)
    weights = stack.parameters.detach().clone()
    for _, step in steps_of(stack):
        stack.train_step(step)
    for run in range(2):
        theirs = plain_loop(stack, run, weights, other)
        ours = stack.parameters[run, : len(theirs)]
        assert (ours - weights[run, : len(theirs)]).abs().max() > 0.05  # it did train
        assert (ours - theirs).abs().max() < 1e-9


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_training_equals_pytorch_metric_learning(squared: bool) -> None:
    theirs = TripletMarginLoss(
        margin=0.5,
        distance=LpDistance(p=2, power=2 if squared else 1, normalize_embeddings=True),
        reducer=MeanReducer(),
        triplets_per_anchor="all",
    )

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        own = torch.where(labels == -1, 1000 + torch.arange(len(labels)), labels)  # there -1 is a class
        value: Tensor = theirs(embeddings, own)
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
