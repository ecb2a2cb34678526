"""Recall@K among samples of the query's own group: a loop over queries, and what groups change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.errors import InvalidInput
from losscope.evaluation import recall_at_k, recall_within


def points(count: int, dim: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


def naive(z: np.ndarray, groups: list[int], labels: list[int], k: int) -> float:
    hits = []
    for query, label in enumerate(labels):
        if label == -1 or labels.count(label) < 2:
            continue
        others = [at for at in range(len(labels)) if at != query and groups[at] == groups[query]]
        others.sort(key=lambda at: -float(z[query] @ z[at]))
        hits.append(any(labels[at] == label for at in others[:k]))
    return float(np.mean(hits))


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, 9, 60)
    groups = np.where(labels == -1, random.integers(0, 3, 60), labels % 3)
    z = points(60, 4, seed)
    found = recall_within(z, torch.tensor(groups), torch.tensor(labels), ks=(1, 5))
    for k in (1, 5):
        assert found[k] == pytest.approx(naive(z.numpy().astype(np.float64), groups.tolist(), labels.tolist(), k))


def test_one_group_is_the_whole_split() -> None:
    z, labels = points(40, 4), torch.arange(40) % 5
    assert recall_within(z, torch.zeros(40, dtype=torch.int64), labels) == pytest.approx(recall_at_k(z, labels))


def test_where_groups_lie_does_not_matter() -> None:
    """Two groups on top of one another: in the whole split they hide each other's fine classes, within they don't."""
    fine = torch.arange(8).repeat_interleave(2)
    z = points(4, 6).repeat_interleave(2, 0).repeat(2, 1)
    assert recall_within(z, fine // 4, fine, ks=(1,)) == {1: 1.0}
    assert recall_at_k(z, fine, ks=(1,))[1] == pytest.approx(1 / 3)


def test_collapsed_groups_give_the_rate_of_chance() -> None:
    fine = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    found = recall_within(torch.ones(10, 3), fine // 2, fine, ks=(1,))
    assert found[1] == pytest.approx((6 * 2 / 5 + 4 * 1) / 10)


def test_a_query_that_is_alone_in_its_group_misses() -> None:
    found = recall_within(points(4, 3), torch.tensor([0, 1, 2, 2]), torch.tensor([5, 5, 6, 6]), ks=(1,))
    assert found[1] == pytest.approx(0.5)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="groups \\(3,\\) and labels \\(4,\\)"):
        recall_within(points(4, 3), torch.zeros(3, dtype=torch.int64), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(InvalidInput, match="no class has two samples"):
        recall_within(points(4, 3), torch.zeros(4, dtype=torch.int64), torch.arange(4))
