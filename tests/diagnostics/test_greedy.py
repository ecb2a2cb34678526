"""Satisfied samples, the effort spent on them, and how weights of pairs are laid out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import reference
from losscope.diagnostics import (
    greedy_fraction,
    greedy_ratio,
    pair_weight,
    relative_activity,
    satisfied,
    satisfied_share,
)
from losscope.evaluation import retrieval

LABELS = torch.arange(5).repeat_interleave(4)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_is_satisfied_if_its_nearest_other_is_of_its_class(seed: int) -> None:
    z = points(20, 6, seed=seed)
    expected = [float(LABELS[reference.neighbors_of(z.numpy(), query)[0]] == LABELS[query]) for query in range(20)]
    assert satisfied(z, LABELS).tolist() == expected
    assert satisfied(7 * z, LABELS).tolist() == expected  # by cosine
    assert satisfied(torch.stack([z, -z]), LABELS).tolist() == [expected] * 2


@pytest.mark.parametrize("collapsed", [1, 6, 20])
def test_satisfied_samples_are_those_that_retrieve_their_class_first(collapsed: int) -> None:
    """The same decision as Recall@1, also among ties."""
    z = points(20, 6)
    z[:collapsed] = z[0]
    labels = torch.where(torch.arange(20) == 19, -1, LABELS)
    found, asked = satisfied(z, labels), retrieval(z, labels, ks=(1,))
    assert (~found.isnan()).nonzero().squeeze(1).tolist() == asked.queries.tolist()
    torch.testing.assert_close(found[asked.queries], asked.hits[1])
    assert satisfied_share(found).item() == pytest.approx(asked.recall_at_k[1])


def test_at_total_collapse_everybody_has_the_chance_of_its_class() -> None:
    assert satisfied(points(1, 6).expand(20, 6), LABELS).tolist() == pytest.approx([3 / 19] * 20)


def test_outliers_and_lonely_samples_cant_be_satisfied_and_are_neighbors_all_the_same() -> None:
    z = torch.tensor([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99], [1.0, 0.01]])
    found = satisfied(z, torch.tensor([0, 0, -1, 2, -1]))
    assert found.isnan().tolist() == [False, False, True, True, True]
    assert found[:2].tolist() == [0.0, 0.0]  # the outlier of the last row is nearer
    assert satisfied(z[:1], torch.tensor([0])).isnan().all()


def test_effort_that_is_blind_to_satisfaction_has_ratio_1_and_a_hinge_0() -> None:
    happy = torch.tensor([1.0, 1.0, 1.0, 0.0, math.nan])
    even = torch.tensor([2.0, 2.0, 2.0, 2.0, 9.0])
    assert greedy_fraction(even, happy).item() == pytest.approx(3 / 4)
    assert greedy_ratio(even, happy).item() == pytest.approx(1)
    hinge = torch.tensor([0.0, 0.0, 0.0, 1.0, 9.0])
    assert greedy_ratio(hinge, happy).item() == 0
    nobody = torch.tensor([0.0, 0.0, 0.0, 0.0, math.nan])
    assert satisfied_share(nobody).item() == 0
    assert greedy_fraction(even, nobody).item() == 0
    assert greedy_ratio(even, nobody).isnan()


def test_nothing_is_relative_to_a_gradient_without_bound() -> None:
    norms, valid = torch.tensor([[1.0, 0.1, 1e-9], [1.0, 0.5, 0.0]]), torch.ones(2, 3, dtype=torch.bool)
    found = relative_activity(norms, valid, torch.tensor([math.inf, 4.0]))
    assert found[0].isnan().all()
    assert found[1].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert relative_activity(norms, ~valid, 4.0).isnan().all()


def test_decades_begin_at_powers_of_ten_of_the_mean() -> None:
    weights = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)
    weights = torch.cat([weights, weights.new_full((1,), 5 * 1000 - weights.sum().item())])  # the mean is 1000
    np.testing.assert_allclose(pair_weight(weights), [0, 0, 0.2, 0.2, 0.2, 0.4, 0, 0])
    alone = torch.zeros(10_000_000)
    alone[0] = 1.0  # 10⁷ times the mean, and zeros
    assert pair_weight(alone)[[0, -1]].tolist() == pytest.approx([1 - 1e-7, 1e-7])
