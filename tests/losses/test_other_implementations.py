"""The losses against pytorch-metric-learning and the SupCon authors' formula: values and gradients in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor
from torch.nn.functional import normalize

from losscope.criterion import Criterion
from losscope.distances import unit_length
from losscope.losses import n_pair
from losscope.losses.reductions import mean_over_valid
from losscope.losses.tuples import single_blocks

BATCHES = {
    "2 of each class": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4],
    "unequal classes": [0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3],
    "some alone": [0, 0, 1, 2, 3, 3, 3, 4],
}
CLASSES, DIM = 5, 6


def embeddings(samples: int) -> Tensor:
    """Not of unit length: both sides scale them."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(samples, DIM, generator=random, dtype=torch.float64).requires_grad_()


def assert_equal(mine: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], samples: int) -> None:
    z = embeddings(samples)
    values = mine(z), theirs(z)
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-12)
    assert values[0].item() > 0.01
    torch.testing.assert_close(*(torch.autograd.grad(value, z)[0] for value in values), rtol=1e-9, atol=1e-12)


def test_n_pair_on_one_pair_of_each_class() -> None:
    labels = torch.tensor(BATCHES["2 of each class"])

    def mine(z: Tensor) -> Tensor:
        return mean_over_valid(n_pair(unit_length(z), single_blocks(labels, CLASSES), scale=1.0))

    assert_equal(mine, lambda z: pml.NPairsLoss()(z, labels), len(labels))


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("batch", BATCHES)
def test_info_nce_over_all_positive_pairs(batch: str, temperature: float) -> None:
    labels = torch.tensor(BATCHES[batch])
    mine = Criterion("info_nce", temperature=temperature, normalize=True)
    theirs = pml.NTXentLoss(temperature=temperature)
    assert_equal(lambda z: mine(z, labels), lambda z: theirs(z, labels), len(labels))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("batch", BATCHES)
def test_sup_con_over_anchors_with_a_positive(batch: str, temperature: float) -> None:
    """There the mean is over anchors whose loss is above 0, which an anchor without a positive is not."""
    labels = torch.tensor(BATCHES[batch])
    mine = Criterion("sup_con", temperature=temperature, normalize=True)
    theirs = pml.SupConLoss(temperature=temperature)
    assert_equal(lambda z: mine(z, labels), lambda z: theirs(z, labels), len(labels))


def of_the_authors(z: Tensor, labels: Tensor, temperature: float, base: float) -> Tensor:
    """As the authors' code reckons, in words: similarities over the temperature, less each row's largest; the sample
    itself left out; minus the mean log-probability of the positives, times temperature over base; mean of all anchors.
    """
    similarities = z @ z.T / temperature
    logits = similarities - similarities.amax(1, keepdim=True).detach()
    others = 1 - torch.eye(len(z), dtype=z.dtype)
    positives = (labels.unsqueeze(0) == labels.unsqueeze(1)) * others
    log_share = logits - (logits.exp() * others).sum(1, keepdim=True).log()
    of_anchors = (positives * log_share).sum(1) / positives.sum(1)
    return -(temperature / base) * of_anchors.mean()


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
def test_sup_con_as_its_authors_reckon(temperature: float) -> None:
    """Two views of each sample; their default base 0.07 scales the loss at any other temperature."""
    labels = torch.tensor([0, 1, 2, 0, 1, 3]).repeat(2)
    mine = Criterion("sup_con", temperature=temperature)
    for base in (0.07, temperature):
        assert_equal(
            lambda z, base=base: mine(normalize(z, dim=1), labels) * temperature / base,  # type: ignore[misc]
            lambda z, base=base: of_the_authors(normalize(z, dim=1), labels, temperature, base),  # type: ignore[misc]
            len(labels),
        )


# class vectors --------------------------------------------------------------------------------------------------


def assert_equal_with_vectors(mine: Criterion, theirs: torch.nn.Module, labels: Tensor) -> None:
    mine.double()
    theirs.double()
    with torch.no_grad():
        theirs.W.mul_(3)  # type: ignore[operator, union-attr]
        mine.proxies.copy_(theirs.W.T)  # type: ignore[union-attr, operator]
    assert_equal(lambda z: mine(z, labels), lambda z: theirs(z, labels), len(labels))
    for module in (mine, theirs):
        module(embeddings(len(labels)), labels).backward()
    assert mine.proxies is not None
    assert mine.proxies.grad is not None
    torch.testing.assert_close(mine.proxies.grad, theirs.W.grad.T, rtol=1e-9, atol=1e-12)  # type: ignore[union-attr]


@pytest.mark.parametrize(("margin", "scale"), [(0.5, 64.0), (0.5, 4.0), (1.4, 8.0)])
@pytest.mark.parametrize("batch", BATCHES)
def test_arcface_with_its_margin_in_degrees(batch: str, margin: float, scale: float) -> None:
    """Also beyond θ = π - m, where both go on falling."""
    mine = Criterion("arcface", margin=margin, scale=scale, classes=CLASSES, dim=DIM)
    theirs = pml.ArcFaceLoss(CLASSES, DIM, margin=math.degrees(margin), scale=scale)
    assert_equal_with_vectors(mine, theirs, torch.tensor(BATCHES[batch]))


@pytest.mark.parametrize(("margin", "scale"), [(0.35, 64.0), (0.2, 4.0)])
def test_center_contrastive_without_its_pull_is_cosface(margin: float, scale: float) -> None:
    mine = Criterion("center_contrastive", margin=margin, scale=scale, center_weight=0.0, classes=CLASSES, dim=DIM)
    theirs = pml.CosFaceLoss(CLASSES, DIM, margin=margin, scale=scale)
    assert_equal_with_vectors(mine, theirs, torch.tensor(BATCHES["unequal classes"]))


@pytest.mark.parametrize("name", ["arcface", "center_contrastive"])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_without_a_margin_both_are_the_normalized_softmax(name: str, temperature: float) -> None:
    no_pull = {"center_weight": 0.0} if name == "center_contrastive" else {}
    mine = Criterion(name, margin=0.0, scale=1 / temperature, classes=CLASSES, dim=DIM, **no_pull)
    theirs = pml.NormalizedSoftmaxLoss(CLASSES, DIM, temperature=temperature)
    assert_equal_with_vectors(mine, theirs, torch.tensor(BATCHES["unequal classes"]))
