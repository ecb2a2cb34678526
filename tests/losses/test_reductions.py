"""From terms to one loss for each run: plain means over valid terms, with nothing from anything else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from losscope.losses.reductions import masked, mean_over_sides, mean_over_valid
from losscope.types import LossTerms


def random_terms(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> LossTerms:
    random = torch.Generator().manual_seed(seed)
    return masked(
        LossTerms(torch.rand(*shape, generator=random, dtype=dtype), torch.rand(*shape, generator=random) < 0.6)
    )


@pytest.mark.parametrize(("shape", "runs"), [((7,), 0), ((5, 9), 0), ((3, 7), 1), ((3, 5, 9), 1), ((2, 3, 4, 5), 2)])
def test_mean_over_valid_equals_the_loop(shape: tuple[int, ...], runs: int) -> None:
    terms = random_terms(*shape, dtype=torch.float64)
    found = mean_over_valid(terms, runs=runs)
    assert found.shape == shape[:runs]
    flat, valid = terms.values.reshape(*shape[:runs], -1), terms.valid.reshape(*shape[:runs], -1)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in shape[:runs])).view(-1, runs) if runs else [()]:
        place = tuple(int(part) for part in index)
        kept = [v for v, ok in zip(flat[place].tolist(), valid[place].tolist(), strict=True) if ok]
        assert found[place].item() == pytest.approx(sum(kept) / len(kept), rel=1e-14)


def test_mean_over_sides_weighs_both_sides_equally() -> None:
    terms = LossTerms(torch.tensor([4.0, 1.0, 2.0, 3.0, 9.0]), torch.tensor([True, True, True, True, False]))
    same = torch.tensor([True, False, False, False, True])
    assert mean_over_sides(masked(terms), same).item() == (4.0 + 2.0) / 2
    assert mean_over_sides(masked(terms), torch.zeros(5) > 0).item() == (0 + 2.5) / 2  # an absent side is 0
    stacked = LossTerms(terms.values.expand(2, 5), terms.valid.expand(2, 5))
    both = mean_over_sides(masked(stacked), torch.stack([same, ~same]), runs=1)
    assert both.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_valid_term_gives_0_with_gradient_0(dtype: torch.dtype) -> None:
    leaf = torch.ones(2, 3, dtype=dtype, requires_grad=True)
    valid = torch.tensor([[False] * 3, [True] * 3])
    loss = mean_over_valid(masked(LossTerms(leaf.square(), valid)), runs=1)
    assert loss.tolist() == [0.0, 1.0]
    assert loss.dtype == dtype
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    assert not gradient[0].any()
    assert gradient[1].all()
    empty = mean_over_valid(LossTerms(leaf[:, :0], valid[:, :0]), runs=1)
    assert empty.tolist() == [0.0, 0.0]
    assert not torch.autograd.grad(empty.sum(), leaf)[0].any()


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_what_invalid_terms_hold_changes_nothing(poison: float) -> None:
    clean = random_terms(3, 20)

    def reduced(fill: float) -> tuple[Tensor, Tensor]:
        leaf = torch.where(clean.valid, clean.values, fill).requires_grad_()
        terms = masked(LossTerms(leaf, clean.valid))
        loss = torch.stack([mean_over_valid(terms, runs=1), mean_over_sides(terms, clean.values > 0.3, runs=1)])
        return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]

    (loss, gradient), (poisoned, poisoned_gradient) = reduced(0.0), reduced(poison)
    assert torch.equal(loss, poisoned)
    assert torch.equal(gradient, poisoned_gradient)


@pytest.mark.parametrize("padding", [1, 3, 64, 1000])
def test_padding_rows_change_nothing_bit_for_bit(padding: int) -> None:
    """A run meets longer ones in a stack: its terms are the same, with rows of invalid ones behind them."""
    for seed in range(20):
        short = random_terms(2, 11, 32, seed=seed)
        rest = torch.zeros(2, padding, 32)
        padded = LossTerms(torch.cat([short.values, rest], 1), torch.cat([short.valid, rest.bool()], 1))
        assert torch.equal(mean_over_valid(short, runs=1), mean_over_valid(padded, runs=1))


def test_a_list_of_terms_is_summed_in_float64() -> None:
    terms = LossTerms(torch.tensor([1e8, 1.0, -1e8]), torch.ones(3, dtype=torch.bool))
    assert mean_over_valid(terms).item() == pytest.approx(1 / 3)
