"""GREEDINESS: activity of the losses by sign, and how fast loss and classes settle."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from losscope.criterion import Criterion
from losscope.diagnostics import (
    active_ratio,
    active_ratio_negative,
    active_ratio_positive,
    compaction_area,
    compaction_epoch,
    loss_decay_epoch,
)
from losscope.types import LossTerms, Pairs

LABELS = torch.arange(4).repeat_interleave(5)


def points(seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(20, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_activity_never_falls_below_the_share_of_positives(seed: int) -> None:
    terms, pairs = Criterion("contrastive", margin=1.0).terms(points(seed), LABELS)
    assert isinstance(pairs, Pairs)
    share = pairs.same.double().mean()
    overall, positive = active_ratio(terms), active_ratio_positive(terms, pairs.same)
    negative = active_ratio_negative(terms, pairs.same)
    assert positive.item() == 1  # by construction
    assert 0 < negative.item() < 1
    torch.testing.assert_close(overall.double(), share + (1 - share) * negative.double())


def test_negatives_are_active_within_the_margin_only() -> None:
    z = points()
    for margin in (0.3, 1.0, 1.4, 3.0):
        terms, pairs = Criterion("contrastive", margin=margin).terms(z, LABELS)
        assert isinstance(pairs, Pairs)
        near = (torch.pdist(z) < margin)[~pairs.same].double().mean()
        assert active_ratio_negative(terms, pairs.same).item() == pytest.approx(near.item())


def test_equal_points_are_not_active_though_float32_gives_them_a_distance() -> None:
    z = points().float()[:1].expand(4, 8) + torch.tensor([[0.0], [1e-5], [0.0], [0.0]])
    terms, pairs = Criterion("contrastive").terms(z, torch.zeros(4, dtype=torch.int64))
    assert isinstance(pairs, Pairs)
    assert active_ratio(terms).item() == 0
    assert active_ratio_negative(terms, pairs.same).isnan()


def test_padding_counts_for_nothing() -> None:
    values = torch.tensor([[1.0, 0.0, 1.0], [1.0, 5.0, 5.0]])
    valid = torch.tensor([[True, True, True], [True, False, False]])
    assert active_ratio(LossTerms(values, valid), runs=1).tolist() == pytest.approx([2 / 3, 1])
    assert active_ratio(LossTerms(values, valid)).item() == pytest.approx(3 / 4)


def test_loss_decay_is_counted_from_before_training() -> None:
    assert loss_decay_epoch([1.0, 0.1]) == 1
    assert loss_decay_epoch([1.0, 0.5, 0.11, 0.1, 0.9]) == 3
    assert loss_decay_epoch([1.0, 0.5, 0.05], share=0.5) == 1
    assert loss_decay_epoch([1.0, 0.5, 0.2]) is None  # censored: not within these epochs
    assert loss_decay_epoch([1.0]) is None
    assert loss_decay_epoch([0.0, 0.0]) == 1  # never epoch 0: nothing was trained by then


def test_loss_decay_of_the_excess_over_a_floor() -> None:
    losses = [2.3026, 1.9, 1.46, 1.44]  # as N-pair: floor 1.3769, 10 % of the initial value is never reached
    assert loss_decay_epoch(losses) is None
    assert loss_decay_epoch(losses, floor=1.3769) == 2


def test_a_loss_that_is_not_finite_has_not_decayed() -> None:
    assert loss_decay_epoch([1.0, math.nan, 0.05]) == 2
    assert loss_decay_epoch([1.0, 0.5, math.nan]) is None
    assert loss_decay_epoch([math.nan, 0.5]) is None


def test_compaction_is_half_of_the_change_of_the_log_ratio() -> None:
    assert compaction_epoch([1.0, 0.5, 0.25, 0.125, 0.0625]) == pytest.approx(2)
    assert compaction_epoch([1.0, 0.01, 0.01, 0.01]) == pytest.approx(0.5)
    assert compaction_epoch([1.0, 1.0, 1.0, 0.01]) == pytest.approx(2.5)
    assert compaction_epoch([1.0, 2.0, 4.0]) == pytest.approx(1)  # loosening has a speed too
    assert compaction_area([1.0, 0.5, 0.25, 0.125]) == pytest.approx(0.5)
    assert compaction_area([1.0, 0.01, 0.01, 0.01, 0.01]) == pytest.approx(0.5 / 4)
    assert compaction_area([1.0, 1.0, 1.0, 1.0, 0.01]) == pytest.approx(3.5 / 4)


def test_compaction_is_free_of_scale() -> None:
    ratios = [3.0, 1.0, 0.7, 0.5, 0.45]
    for scale in (1e-6, 1e3):
        scaled = [scale * ratio for ratio in ratios]
        assert compaction_epoch(scaled) == pytest.approx(compaction_epoch(ratios))
        assert compaction_area(scaled) == pytest.approx(compaction_area(ratios))


@pytest.mark.parametrize(
    "ratios", [[], [1.0], [1.0, 0.5, 1.0], [1.0, 0.0], [1.0, math.nan, 0.5], [math.inf, 1.0], [0.0, 0.0]]
)
def test_where_nothing_was_covered_compaction_is_undefined(ratios: list[float]) -> None:
    assert compaction_epoch(ratios) is None
    assert compaction_area(ratios) is None
