"""Each loss on each form of tuples equals its naive loop, in values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn.functional import normalize

import reference
from losscope.losses import contrastive, triplet
from losscope.losses.tuples import all_pairs, all_triplets
from losscope.types import BatchTriplets, LossTerms, Pairs, Triplets

SAMPLES, DIM = 6, 3
POINTS = arrays(np.float64, (SAMPLES, DIM), elements=st.integers(-8, 8).map(lambda n: n / 4))
ROWS = st.integers(0, SAMPLES - 1)
MARGINS = st.sampled_from([0.2, 1.0, 1.5])
LABELS = st.lists(st.integers(-1, 2), min_size=SAMPLES, max_size=SAMPLES)


def assert_terms(terms: LossTerms, leaf: Tensor, naive: list[reference.Term | None]) -> None:
    """Values and the gradient of each term; None is an invalid one."""
    values, valid = terms.values.flatten(), terms.valid.flatten()
    assert len(values) == len(naive)
    assert valid.tolist() == [term is not None for term in naive]
    for place, term in enumerate(naive):
        value, gradient = term or (0.0, np.zeros(leaf.shape))
        assert values[place].item() == pytest.approx(value, abs=1e-5)  # at d = 0 the floor of distances
        (found,) = torch.autograd.grad(values[place], leaf, retain_graph=True)
        np.testing.assert_allclose(found.numpy(), gradient, atol=1e-5)


def away_from_kinks(hinges: list[float]) -> None:
    assume(all(abs(hinge) > 1e-6 for hinge in hinges))


@settings(max_examples=60, deadline=None)
@given(POINTS, st.lists(st.tuples(ROWS, ROWS, st.booleans(), st.booleans()), min_size=1, max_size=8), MARGINS)
def test_contrastive_on_a_list_of_pairs(
    z: np.ndarray, listed: list[tuple[int, int, bool, bool]], margin: float
) -> None:
    away_from_kinks([margin - reference.distance(z, i, j) for i, j, *_ in listed])
    leaf = torch.from_numpy(z).requires_grad_()
    first, second, same, valid = (torch.tensor(part) for part in zip(*listed, strict=True))
    naive = [reference.contrastive_term(z, i, j, s, margin) if ok else None for i, j, s, ok in listed]
    assert_terms(contrastive(leaf, Pairs(first, second, same, valid), margin=margin), leaf, naive)


@settings(max_examples=30, deadline=None)
@given(POINTS, LABELS, MARGINS)
def test_contrastive_on_all_pairs(z: np.ndarray, labels: list[int], margin: float) -> None:
    both = [(i, j) for i in range(SAMPLES) for j in range(i + 1, SAMPLES)]
    away_from_kinks([margin - reference.distance(z, i, j) for i, j in both])
    leaf = torch.from_numpy(z).requires_grad_()
    offered = {(i, j): same for i, j, same in reference.pairs_of(labels)}
    naive = [reference.contrastive_term(z, i, j, offered[i, j], margin) if (i, j) in offered else None for i, j in both]
    assert_terms(contrastive(leaf, all_pairs(torch.tensor(labels)), margin=margin), leaf, naive)


def violation(z: np.ndarray, a: int, p: int, q: int, margin: float, squared: bool) -> float:
    power = 2 if squared else 1
    return reference.distance(z, a, p) ** power - reference.distance(z, a, q) ** power + margin


@settings(max_examples=60, deadline=None)
@given(
    POINTS,
    st.lists(st.tuples(ROWS, ROWS, ROWS, st.booleans()), min_size=1, max_size=8),
    MARGINS,
    st.booleans(),
)
def test_triplet_on_a_list(
    z: np.ndarray, listed: list[tuple[int, int, int, bool]], margin: float, squared: bool
) -> None:
    away_from_kinks([violation(z, *one[:3], margin, squared) for one in listed])
    leaf = torch.from_numpy(z).requires_grad_()
    triplets = Triplets(*(torch.tensor(part) for part in zip(*listed, strict=True)))
    naive = [reference.triplet_term(z, a, p, q, margin, squared) if ok else None for a, p, q, ok in listed]
    assert_terms(triplet(leaf, triplets, margin=margin, squared=squared), leaf, naive)


@settings(max_examples=30, deadline=None)
@given(POINTS, LABELS, MARGINS, st.booleans())
def test_triplet_on_all_of_a_batch(z: np.ndarray, labels: list[int], margin: float, squared: bool) -> None:
    offered = set(reference.triplets_of(labels))
    away_from_kinks([violation(z, *one, margin, squared) for one in offered])
    leaf = torch.from_numpy(z).requires_grad_()
    triplets = all_triplets(torch.tensor(labels))
    slots = zip(triplets.anchor.tolist(), triplets.positive.tolist(), strict=True)
    naive = [
        reference.triplet_term(z, a, p, q, margin, squared) if (a, p, q) in offered else None
        for a, p in slots
        for q in range(SAMPLES)
    ]
    assert_terms(triplet(leaf, triplets, margin=margin, squared=squared), leaf, naive)


@pytest.mark.parametrize("squared", [False, True])
def test_all_triplets_of_a_batch_equal_the_same_triplets_as_a_list(squared: bool) -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1, 1, -1])
    z = normalize(torch.randn(6, 4, generator=random, dtype=torch.float64), dim=1).requires_grad_()
    listed = reference.triplets_of(labels.tolist())
    one = triplet(z, Triplets(*torch.tensor(listed).T, torch.ones(len(listed), dtype=torch.bool)), squared=squared)
    whole = triplet(z, all_triplets(labels), squared=squared)
    torch.testing.assert_close(whole.values[whole.valid].sort()[0], one.values.sort()[0])
    gradients = [torch.autograd.grad(terms.values.sum(), z)[0] for terms in (one, whole)]
    torch.testing.assert_close(*gradients)


def test_a_margin_for_each_run_of_a_stack() -> None:
    random = torch.Generator().manual_seed(0)
    z = normalize(torch.randn(3, 6, 4, generator=random, dtype=torch.float64), dim=-1)
    labels = torch.tensor([[0, 0, 1, 1, 2, 2]]).expand(3, -1)
    margins = torch.tensor([0.2, 1.0, 1.4], dtype=torch.float64)
    pairs, whole = all_pairs(labels), all_triplets(labels)
    listed = Triplets(*(part.expand(3, 2) for part in torch.tensor([[0, 2], [1, 3], [4, 5]])), torch.ones(3, 2) > 0)
    for run, margin in enumerate(margins):
        column = margins.unsqueeze(1)
        own = Pairs(pairs.first, pairs.second, pairs.same[run], pairs.valid[run])
        torch.testing.assert_close(
            contrastive(z, pairs, margin=column).values[run],
            contrastive(z[run], own, margin=margin.item()).values,
        )
        for tuples in (listed, whole):
            alone = type(tuples)(*(part[run] for part in tuples))
            torch.testing.assert_close(
                triplet(z, tuples, margin=column).values[run],
                triplet(z[run], alone, margin=margin.item()).values,
            )


def test_a_padded_slot_has_value_0_and_no_gradient() -> None:
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    real = all_triplets(labels)
    zero = torch.zeros(2, dtype=torch.int64)
    padded = BatchTriplets(
        torch.cat([real.anchor, zero]), torch.cat([real.positive, zero]),
        torch.cat([real.paired, zero.bool()]), real.differs,
    )  # fmt: skip
    terms = triplet(z, padded)
    assert not terms.valid[-2:].any()
    assert not terms.values[-2:].any()
    assert not torch.autograd.grad(terms.values[-2:].sum(), z)[0].any()
