"""Each softmax loss on any list of tuples equals its naive loop, in values and gradients, alone and in a stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference_softmax
from losscope.losses import LOSSES, arcface, center_contrastive, info_nce, n_pair, sup_con
from losscope.losses.softmax import NEVER, cross_entropy, log_sum_exp, similarities, softplus
from losscope.losses.tuples import all_contrasts, all_tuples, for_each_run
from losscope.types import Blocks, Contrasts, LossTerms, Samples
from reference import Term

SAMPLES, DIM = 6, 3
ROWS = st.integers(0, SAMPLES - 1)
SEEDS = st.integers(0, 10_000)
ROLES = st.sampled_from(["positive", "negative", "neither"])


def drawn(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_terms(terms: LossTerms, leaf: Tensor, naive: list[Term | None]) -> None:
    """Values and the gradient of each term; None is an invalid one, of value 0 without gradient."""
    values, valid = terms.values.flatten(), terms.valid.flatten()
    assert valid.tolist() == [term is not None for term in naive]
    for place, term in enumerate(naive):
        value, gradient = term or (0.0, np.zeros(leaf.shape))
        assert values[place].item() == pytest.approx(value, rel=1e-12, abs=1e-13)
        (found,) = torch.autograd.grad(values[place], leaf, retain_graph=True)
        np.testing.assert_allclose(found.numpy(), gradient, rtol=1e-10, atol=1e-12)


# lists ----------------------------------------------------------------------------------------------------------


@st.composite
def contrasts(draw: Any) -> Contrasts:
    anchors, candidates = draw(st.lists(ROWS, min_size=1, max_size=4)), draw(st.lists(ROWS, min_size=1, max_size=5))
    row = st.lists(ROLES, min_size=len(candidates), max_size=len(candidates))
    roles = np.array(draw(st.lists(row, min_size=len(anchors), max_size=len(anchors))))
    masks = [torch.from_numpy(roles == role) for role in ("positive", "negative")]
    return Contrasts(torch.tensor(anchors), torch.tensor(candidates), *masks)


def roles_of(given: Contrasts, place: int) -> tuple[int, list[int], list[int]]:
    """Anchor, positives and negatives, as rows; a row that is a candidate twice counts twice."""
    positives, negatives = (given.candidate[mask[place]].tolist() for mask in (given.positive, given.negative))
    return int(given.anchor[place]), positives, negatives


@settings(max_examples=60, deadline=None)
@given(contrasts(), SEEDS)
def test_info_nce_on_any_contrasts(given: Contrasts, seed: int) -> None:
    leaf = drawn(SAMPLES, seed).requires_grad_()
    naive: list[Term | None] = []
    for place, roles in enumerate(given.positive.tolist()):
        anchor, _, negatives = roles_of(given, place)
        naive += [
            reference_softmax.info_nce_term(leaf.detach().numpy(), anchor, row, negatives, temperature=0.3)
            if is_positive and negatives
            else None
            for row, is_positive in zip(given.candidate.tolist(), roles, strict=True)
        ]
    assert_terms(info_nce(leaf, given, temperature=0.3), leaf, naive)


@settings(max_examples=60, deadline=None)
@given(contrasts(), SEEDS, st.booleans())
def test_sup_con_on_any_contrasts(given: Contrasts, seed: int, sum_outside: bool) -> None:
    leaf = drawn(SAMPLES, seed).requires_grad_()
    options = {"temperature": 0.3, "sum_outside": sum_outside}
    all_roles = [roles_of(given, place) for place in range(len(given.anchor))]
    naive = [
        reference_softmax.sup_con_term(leaf.detach().numpy(), *roles, **options) if roles[1] else None  # type: ignore[arg-type]
        for roles in all_roles
    ]
    assert_terms(sup_con(leaf, given, **options), leaf, naive)  # type: ignore[arg-type]


SLOT = st.tuples(ROWS, ROWS, st.booleans())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(SLOT, min_size=n, max_size=n), min_size=1, max_size=3)),
    SEEDS,
    st.sampled_from([0.0, 0.3]),
)
def test_n_pair_on_any_blocks(slots: list[list[tuple[int, int, bool]]], seed: int, penalty: float) -> None:
    leaf = drawn(SAMPLES, seed).requires_grad_()
    blocks = Blocks(*(torch.tensor([[slot[part] for slot in block] for block in slots]) for part in range(3)))
    naive: list[Term | None] = []
    for block in slots:
        for at, (anchor, positive, valid) in enumerate(block):
            others = [row for place, (_, row, ok) in enumerate(block) if ok and place != at]
            naive.append(
                reference_softmax.n_pair_term(
                    leaf.detach().numpy(), anchor, positive, others, scale=2.0, penalty=penalty
                )
                if valid and others
                else None
            )
    assert_terms(n_pair(leaf, blocks, scale=2.0, penalty=penalty), leaf, naive)


@pytest.mark.parametrize(
    ("terms", "naive", "options"),
    [
        (arcface, reference_softmax.arcface_term, {"margin": 0.9, "scale": 5.0}),
        (
            center_contrastive,
            reference_softmax.center_contrastive_term,
            {"margin": 0.2, "scale": 5.0, "center_weight": 0.7},
        ),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_losses_of_samples_on_any_list(
    terms: Callable[..., LossTerms], naive: Callable[..., Term], options: dict[str, float], seed: int
) -> None:
    leaf, proxies = drawn(SAMPLES, seed).requires_grad_(), drawn(4, seed + 100)
    random = torch.Generator().manual_seed(seed)
    samples = Samples(torch.randint(4, (SAMPLES,), generator=random), torch.rand(SAMPLES, generator=random) < 0.7)
    expected: list[Term | None] = []
    for row, (label, valid) in enumerate(zip(samples.target.tolist(), samples.valid.tolist(), strict=True)):
        value, gradient = naive(leaf.detach().numpy(), proxies.numpy(), row, label, **options)
        expected.append((value, gradient[:SAMPLES]) if valid else None)
    assert_terms(terms(leaf, samples, proxies=proxies, **options), leaf, expected)


def test_beyond_pi_minus_the_margin_arcface_goes_on_falling() -> None:
    """The continuation meets cos(θ + m) at θ = π - m only roughly: there is a step, downwards as it should be."""
    angle = torch.linspace(0.01, torch.pi - 0.01, 400, dtype=torch.float64)
    z = torch.stack([angle.cos(), angle.sin(), torch.zeros(400)], dim=-1)
    proxies = torch.eye(3, dtype=torch.float64)[[0, 2]]  # the other class vector at a right angle to all
    samples = Samples(torch.zeros(400, dtype=torch.int64), torch.ones(400) > 0)
    for margin in (0.3, 0.5, 1.2):
        values = arcface(z, samples, proxies=proxies, margin=margin, scale=4.0).values
        assert (values.diff() > 0).all()


# stacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("n_pair", {"scale": 2.0, "penalty": 0.0}, {"scale": 8.0, "penalty": 0.1}),
        ("info_nce", {"temperature": 0.07}, {"temperature": 1.0}),
        ("sup_con", {"temperature": 0.1}, {"temperature": 0.5}),
        ("arcface", {"margin": 0.1, "scale": 64.0}, {"margin": 1.0, "scale": 4.0}),
        (
            "center_contrastive",
            {"margin": 0.1, "scale": 64.0, "center_weight": 0.0},
            {"margin": 0.5, "scale": 4.0, "center_weight": 2.0},
        ),
    ],
)
def test_hyperparameters_of_each_run_of_a_stack(name: str, one: dict[str, float], other: dict[str, float]) -> None:
    loss, z = LOSSES[name], torch.stack([drawn(SAMPLES, 0), drawn(SAMPLES, 1), drawn(SAMPLES, 2)])
    labels = torch.tensor([[0, 0, 1, 1, 2, 2], [1, 2, 2, 0, 1, 1], [0, -1, 0, 1, 0, 1]])
    given = [one, other, one]
    stacked = {key: torch.tensor([run[key] for run in given], dtype=torch.float64) for key in one}
    vectors = torch.stack([drawn(3, 10), drawn(3, 11), drawn(3, 12)])
    tuples = all_tuples(loss, labels, 3)
    for function in (loss.terms, loss.residual):
        assert function is not None
        together = function(z, tuples, **stacked, **({"proxies": vectors} if loss.proxies else {}))
        for run, own in enumerate(given):
            alone = type(tuples)(*(part[run] for part in for_each_run(tuples, 3)))
            expected = function(z[run], alone, **own, **({"proxies": vectors[run]} if loss.proxies else {}))
            assert torch.equal(together.valid[run], expected.valid)
            torch.testing.assert_close(together.values[run], expected.values)


# pieces ---------------------------------------------------------------------------------------------------------


def test_softplus_is_the_logarithm_and_its_gradient_the_sigmoid() -> None:
    values = torch.tensor([-1e30, -800, -50, -1, -0.0, 0, 1e-9, 1, 50, 800, 1e30], dtype=torch.float64)
    leaf = values.clone().requires_grad_()
    found = softplus(leaf)
    torch.testing.assert_close(
        found.detach(), torch.logaddexp(values, torch.zeros(1, dtype=torch.float64)), rtol=1e-15, atol=0
    )
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    torch.testing.assert_close(gradient, values.sigmoid(), rtol=1e-15, atol=0)
    assert torch.autograd.gradcheck(softplus, (drawn(9, 0).requires_grad_(),))
    assert softplus(torch.tensor(torch.nan)).isnan()


@pytest.mark.parametrize("length", [1, 7, 12, 16, 33, 100])
def test_softplus_rounds_alike_wherever_a_value_stands(length: int) -> None:
    leaf = (3 * torch.randn(5, length, generator=torch.Generator().manual_seed(0))).requires_grad_()
    whole = softplus(leaf)
    (gradient,) = torch.autograd.grad(whole.sum(), leaf)
    for row in range(5):
        alone = leaf[row].detach().clone().requires_grad_()
        value = softplus(alone)
        assert torch.equal(value, whole[row])
        assert torch.equal(torch.autograd.grad(value.sum(), alone)[0], gradient[row])


def test_similarities_are_dot_products_whichever_rows_meet() -> None:
    """The rows of a batch against themselves take a shorter way than two lists of the same rows do."""
    random = torch.Generator().manual_seed(0)
    points = torch.randn(2, 5, 3, generator=random, dtype=torch.float64, requires_grad=True)
    masks = torch.zeros(2, 5, 5, dtype=torch.bool), torch.ones(2, 5, 5, dtype=torch.bool)
    every, some = all_contrasts(torch.zeros(5, dtype=torch.int64)).anchor, torch.tensor([4, 0, 2, 2, 1])
    for anchor, candidate in ((every, every), (every, torch.arange(5)), (some, some), (some, every)):
        own = Contrasts(anchor, candidate, *masks)
        torch.testing.assert_close(similarities(points, own), points[:, anchor] @ points[:, candidate].mT)
        assert torch.autograd.gradcheck(lambda z, own=own: similarities(z, own), points)


def test_cross_entropy_is_that_of_torch() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 6, generator=random, dtype=torch.float64, requires_grad=True)
    target = torch.rand(3, 4, 6, generator=random, dtype=torch.float64)
    excluded = torch.rand(3, 4, 6, generator=random) < 0.3
    excluded[..., 0] = False
    target = target.masked_fill(excluded, 0.0)
    target /= target.sum(-1, keepdim=True)
    expected = -(target * logits.masked_fill(excluded, -torch.inf).log_softmax(-1)).nan_to_num(0.0).sum(-1)
    torch.testing.assert_close(cross_entropy(logits, target, excluded), expected)
    assert torch.autograd.gradcheck(lambda given: cross_entropy(given, target, excluded), logits)


def test_log_sum_exp_leaves_out_what_is_excluded() -> None:
    logits = 5 * drawn(4, 0)
    excluded = torch.tensor([[False, True, False], [False, False, False], [True, True, True], [True, False, True]])
    found = log_sum_exp(logits, excluded)
    expected = logits.masked_fill(excluded, -torch.inf).logsumexp(-1)
    torch.testing.assert_close(found[[0, 1, 3]], expected[[0, 1, 3]])
    assert found[2] <= NEVER / 2
    assert softplus(found[2] - 100) == 0
    for places in (excluded[:2], excluded[[3]], torch.zeros(3, dtype=torch.bool)):
        leaf = 5 * drawn(len(places) if places.ndim == 2 else 4, 1)
        assert torch.autograd.gradcheck(lambda x, out=places: log_sum_exp(x, out), (leaf.requires_grad_(),))
