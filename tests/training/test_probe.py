"""The common probe: every view of the gradient against losses written from similarities alone, and what it leaves alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.cards import CARDS
from losscope.criterion import Criterion
from losscope.diagnostics import greedy_ratio, pair_weight_positive, satisfied
from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.losses.tuples import all_tuples
from losscope.study import Optimizer
from losscope.training.objective import Objective
from losscope.training.probe import (
    CLASSES,
    PER_CLASS,
    Probed,
    pair_weights,
    probe_batch,
    probe_rows,
    sample_norms,
    term_norms,
)
from losscope.training.roles import listed
from losscope.types import BatchTriplets, Blocks, Loss, LossTerms, Pairs
from stacks import build, cell

LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
CLASSES_HERE = 4

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("contrastive", {}),
    ("contrastive", {"margin": 0.6}),
    ("triplet", {}),
    ("triplet", {"squared": True, "margin": 0.2}),
    ("n_pair", {}),
    ("n_pair", {"unit_length": False, "scale": 1.0, "penalty": 0.02}),
    ("info_nce", {}),
    ("info_nce", {"temperature": 0.5}),
    ("sup_con", {}),
    ("sup_con", {"sum_outside": False}),
    ("arcface", {"scale": 8.0}),
    ("center_contrastive", {"scale": 8.0}),
]


def probed(name: str, given: dict[str, Any], seed: int = 0, dim: int = 6) -> Probed:
    loss = LOSSES[name]
    bound = bind(name, loss, given)
    objective = Objective(loss, [bound], [seed], CLASSES_HERE, dim, Optimizer(lr=1e-3), dtype=torch.float64)
    random = torch.Generator().manual_seed(seed)
    points = torch.randn(len(LABELS), dim, generator=random, dtype=torch.float64)
    points = points if given.get("unit_length") is False else normalize(points, dim=-1)
    return objective.probed(0, points, LABELS, all_tuples(loss, LABELS, CLASSES_HERE))


# naive: each term from a row of products --------------------------------------------------------------------


class Term(NamedTuple):
    """`value(row)` from the products of its anchor with all samples, or all class vectors."""

    anchor: int
    value: Callable[[Tensor], Tensor]
    group: object  # terms of one group are one anchor's


def distance(product: Tensor) -> Tensor:
    return (2 - 2 * product).sqrt()


def log_one_plus(scaled: list[Tensor]) -> Tensor:
    return torch.stack(scaled).exp().sum().log1p()


def naive_terms(name: str, given: dict[str, Any]) -> list[Term]:
    h = bind(name, LOSSES[name], given)
    n, y = range(len(LABELS)), LABELS.tolist()
    same = {i: [j for j in n if j != i and y[j] == y[i]] for i in n}
    other = {i: [j for j in n if y[j] != y[i]] for i in n}

    def contrastive(j: int, positive: bool) -> Callable[[Tensor], Tensor]:
        return lambda s: 2 - 2 * s[j] if positive else (h["margin"] - distance(s[j])).clamp_min(0) ** 2

    def triplet(p: int, q: int) -> Callable[[Tensor], Tensor]:
        if h["squared"]:
            return lambda s: (2 * s[q] - 2 * s[p] + h["margin"]).clamp_min(0)
        return lambda s: (distance(s[p]) - distance(s[q]) + h["margin"]).clamp_min(0)

    def against(p: int, negatives: list[int], scale: float) -> Callable[[Tensor], Tensor]:
        return lambda s: log_one_plus([scale * (s[q] - s[p]) for q in negatives])

    def sup_con(i: int) -> Callable[[Tensor], Tensor]:
        def value(s: Tensor) -> Tensor:
            logits = s / h["temperature"]
            shares = [(logits[p] - logits[[j for j in n if j != i]].logsumexp(0)) for p in same[i]]
            if h["sum_outside"]:
                return -torch.stack(shares).mean()
            return -torch.stack(shares).exp().mean().log()

        return value

    def classes(i: int) -> Callable[[Tensor], Tensor]:
        def value(s: Tensor) -> Tensor:
            own, rest = s[y[i]], [h["scale"] * s[c] for c in range(CLASSES_HERE) if c != y[i]]
            if name == "arcface":
                goal, pull = torch.cos(own.acos() + h["margin"]), 0.0
            else:
                goal, pull = own - h["margin"], h["center_weight"] * (2 - 2 * own)
            return log_one_plus([one - h["scale"] * goal for one in rest]) + pull

        return value

    if name == "contrastive":
        return [Term(i, contrastive(j, y[i] == y[j]), (i, j)) for i in n for j in n if i < j]
    if name == "triplet":
        return [Term(i, triplet(p, q), (i, p, q)) for i in n for p in same[i] for q in other[i]]
    if name == "n_pair":  # samples 0-3 have rank 0 in their class, 4-7 rank 1, 8-11 rank 2
        blocks = [range(start, start + 4) for start in (0, 4, 8)]
        return [
            Term(i, against(p, [j for j in block if j != p], h["scale"]), (i, p))
            for block in blocks
            for i in n
            if i not in block
            for p in same[i]
            if p in block
        ]
    if name == "info_nce":
        return [Term(i, against(p, other[i], 1 / h["temperature"]), i) for i in n for p in same[i]]
    if name == "sup_con":
        return [Term(i, sup_con(i), i) for i in n]
    return [Term(i, classes(i), i) for i in n]


class Naive:
    """Values and slopes of all terms by the cosine of anchor and candidate, one term at a time."""

    def __init__(self, name: str, given: dict[str, Any], one: Probed) -> None:
        self.directions = normalize(one.embeddings, dim=-1)
        self.keys = self.directions if one.proxies is None else normalize(one.proxies, dim=-1)
        lengths = one.embeddings.norm(dim=-1)
        self.scales = torch.outer(lengths, lengths if one.proxies is None else torch.ones(len(self.keys)))
        self.cosines = self.directions @ self.keys.T
        self.terms = naive_terms(name, given)
        self.slopes = []
        for term in self.terms:
            row = self.cosines[term.anchor].clone().requires_grad_()
            term.value(row * self.scales[term.anchor]).backward()
            assert row.grad is not None
            self.slopes.append(row.grad)
        self.mean = torch.zeros_like(self.cosines)
        for term, slope in zip(self.terms, self.slopes, strict=True):
            self.mean[term.anchor] += slope / len(self.terms)

    def tangential(self, sample: int, slope: Tensor) -> float:
        """Norm of Σ_j slope_j (z_j - s_j z): what is left of the gradient on the sphere."""
        return float(sum(w * (key - s * self.directions[sample]) for w, key, s in
                         zip(slope, self.keys, self.cosines[sample], strict=True)).norm())  # fmt: skip


@pytest.mark.parametrize(("name", "given"), VARIANTS)
def test_the_weight_of_a_pair_is_the_derivative_by_its_cosine(name: str, given: dict[str, Any]) -> None:
    one = probed(name, given)
    naive = Naive(name, given, one)
    weights, positive = pair_weights(one)
    if one.proxies is not None:
        expected = naive.mean.abs().flatten()
        pairs = [(int(own), c) for own in LABELS for c in range(CLASSES_HERE)]
    else:
        indices = [(i, j) for i in range(len(LABELS)) for j in range(i + 1, len(LABELS))]
        expected = torch.stack([(naive.mean[i, j] + naive.mean[j, i]).abs() for i, j in indices])
        pairs = [(int(LABELS[i]), int(LABELS[j])) for i, j in indices]
    torch.testing.assert_close(weights, expected, rtol=1e-6, atol=1e-12)
    assert positive.tolist() == [a == b for a, b in pairs]


@pytest.mark.parametrize(("name", "given"), VARIANTS)
def test_a_sample_is_moved_in_all_its_roles(name: str, given: dict[str, Any]) -> None:
    one = probed(name, given)
    naive = Naive(name, given, one)
    both = naive.mean if one.proxies is not None else naive.mean + naive.mean.T
    expected = [naive.tangential(sample, both[sample]) for sample in range(len(LABELS))]
    np.testing.assert_allclose(sample_norms(one).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize(("name", "given"), VARIANTS)
def test_a_term_pulls_its_first_member_alone(name: str, given: dict[str, Any]) -> None:
    one = probed(name, given)
    naive = Naive(name, given, one)
    groups: dict[object, list[tuple[int, Tensor]]] = {}
    for term, slope in zip(naive.terms, naive.slopes, strict=True):
        groups.setdefault(term.group, []).append((term.anchor, slope))
    expected = [
        naive.tangential(members[0][0], torch.stack([slope for _, slope in members]).mean(0))
        for members in groups.values()
    ]
    norms, valid = term_norms(one)
    np.testing.assert_allclose(sorted(norms[valid].tolist()), sorted(expected), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("name", "given"), [(name, {}) for name in LOSSES])
@pytest.mark.parametrize("seed", range(3))
def test_no_term_pulls_harder_than_the_card_says(name: str, given: dict[str, Any], seed: int) -> None:
    one = probed(name, given, seed, dim=3)
    assert one.bound == CARDS[name].bound()
    norms, valid = term_norms(one)
    assert 0 < norms[valid].max().item() <= one.bound


def test_closed_forms_of_single_pairs_and_triplets() -> None:
    """A positive pair pulls by 2 sin θ, a negative one pushes by 2 [m - d]₊ cos θ/2."""
    one = probed("contrastive", {})
    norms, _ = term_norms(one)
    assert isinstance(one.tuples, Pairs)
    for norm, i, j, positive in zip(norms, one.tuples.first, one.tuples.second, one.tuples.same, strict=True):
        angle = math.acos(float(one.embeddings[i] @ one.embeddings[j]))
        push = 2 * max(1 - 2 * math.sin(angle / 2), 0) * math.cos(angle / 2)
        assert norm.item() == pytest.approx(2 * math.sin(angle) if positive else push)


@pytest.mark.parametrize(("name", "given"), [("triplet", {"squared": True}), ("n_pair", {}), ("info_nce", {})])
def test_pulls_are_paid_by_pushes_where_only_differences_of_cosines_count(name: str, given: dict[str, Any]) -> None:
    assert pair_weight_positive(*pair_weights(probed(name, given))).item() == pytest.approx(1 / 2)


def test_a_pair_that_one_role_pulls_and_the_other_pushes_has_the_difference_as_its_weight() -> None:
    """SupCon pushes a positive that has more than its part; its partner may pull at the same time."""
    given = {"temperature": 0.05}
    random = torch.Generator().manual_seed(0)
    clusters = torch.eye(6, dtype=torch.float64)[LABELS] + 0.2 * torch.randn(
        12, 6, generator=random, dtype=torch.float64
    )
    one = replace(probed("sup_con", given), embeddings=normalize(clusters, dim=-1))
    naive = Naive("sup_con", given, one).mean
    assert bool(((naive > 1e-3) & (naive.T < -1e-3)).any())
    weights, _ = pair_weights(one)
    first, second = torch.triu_indices(12, 12, offset=1)
    torch.testing.assert_close(weights, (naive + naive.T)[first, second].abs(), rtol=1e-6, atol=1e-12)


def test_lists_of_tuples_give_the_same_as_all_of_a_batch() -> None:
    triplet, n_pair = probed("triplet", {}), probed("n_pair", {})
    assert isinstance(triplet.tuples, BatchTriplets)
    ranks = torch.arange(12).view(3, 4)
    order = [(anchor, positive) for positive in range(3) for anchor in range(3) if anchor != positive]
    anchors, positives = (torch.stack([ranks[pair[side]] for pair in order]) for side in (0, 1))
    blocks = Blocks(anchors, positives, torch.ones_like(anchors, dtype=torch.bool))
    for one, tuples in ((triplet, listed(triplet.tuples)), (n_pair, blocks)):
        other = replace(one, tuples=tuples)
        torch.testing.assert_close(pair_weights(other)[0], pair_weights(one)[0])
        torch.testing.assert_close(sample_norms(other), sample_norms(one))
        expected, found = term_norms(one), term_norms(other)
        torch.testing.assert_close(*(norms[valid].sort().values for norms, valid in (found, expected)))


def test_collapsed_classes_give_finite_numbers() -> None:
    corners = normalize(torch.eye(CLASSES_HERE, dtype=torch.float64) - 1 / CLASSES_HERE, dim=-1)
    for name, loss in LOSSES.items():
        objective = Objective(
            loss, [bind(name, loss, {})], [0], CLASSES_HERE, CLASSES_HERE, Optimizer(lr=1e-3), dtype=torch.float64
        )
        for points in (corners[LABELS], corners[:1].expand(12, -1)):
            one = objective.probed(0, points, LABELS, all_tuples(loss, LABELS, CLASSES_HERE))
            norms, valid = term_norms(one)
            assert sample_norms(one).isfinite().all()
            assert norms[valid].isfinite().all()
            assert pair_weights(one)[0].isfinite().all()


# the rows ---------------------------------------------------------------------------------------------------

ALWAYS = {
    "active_ratio", "gradient_norm_embedding_tangential", "gradient_share_90", "gradient_participation",
    "gradient_effective_share", "gradient_share_curve", "greedy_fraction", "satisfied_share", "greedy_ratio",
    "residual_mass", "pair_weight_mean", "pair_weight_positive", "pair_weight",
}  # fmt: skip


@pytest.mark.parametrize(("name", "given"), VARIANTS)
def test_rows_of_the_probe(name: str, given: dict[str, Any]) -> None:
    one = probed(name, given)
    rows = list(probe_rows(one, 3, 7))
    assert {row[:3] for row in rows} == {(3, "probe", 7)}
    found = {(row[3], row[4]): row[5] for row in rows}
    assert len(found) == len(rows)
    signs = {"active_ratio_positive", "active_ratio_negative"} if name == "contrastive" else set()
    bounded = set() if given.get("unit_length") is False else {"relative_activity"}
    assert {row[3] for row in rows} == ALWAYS | signs | bounded
    assert [item for key, item in found if key == "gradient_share_curve"] == list(range(10, 101, 10))
    assert sum(value for (key, _), value in found.items() if key == "pair_weight") == pytest.approx(1)
    norms = sample_norms(one)
    assert found["gradient_norm_embedding_tangential", None] == norms.mean().item()
    assert found["greedy_ratio", None] == greedy_ratio(norms, satisfied(one.embeddings, LABELS)).item()
    if bounded:
        shares = [found["relative_activity", item] for item in (1, 2, 3)]
        assert shares == sorted(shares)
        of_terms, valid = term_norms(one)
        assert shares[1] == pytest.approx(
            (of_terms[valid] > 0.01 * CARDS[name].given(**given).bound()).double().mean().item()
        )
    if LOSSES[name].saturates:
        assert found["residual_mass", None] == pytest.approx(found["active_ratio", None])
    else:
        assert found["active_ratio", None] == 1  # by construction
        assert 0 < found["residual_mass", None] < 1


def test_a_loss_of_ones_own_has_no_bound_and_a_batch_without_gradient_no_share() -> None:
    own = Loss(
        lambda z, pairs: LossTerms(0 * (z[pairs.first] * z[pairs.second]).sum(-1), pairs.valid),
        kind="pair",
        saturates=True,
        reference="nobody",
    )
    objective = Objective(own, [{}], [0], CLASSES_HERE, 6, Optimizer(lr=1e-3))
    points = normalize(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    rows = list(probe_rows(objective.probed(0, points, LABELS, all_tuples(own, LABELS, CLASSES_HERE)), 0, 0))
    found = {row[3]: row[5] for row in rows}
    assert "relative_activity" not in found
    assert found["gradient_norm_embedding_tangential"] == found["residual_mass"] == 0
    assert math.isnan(found["gradient_share_90"])
    assert "pair_weight" not in found  # nobody says that it is a function of similarities


def test_the_probe_reduces_as_the_protocol_does() -> None:
    """Sides averaged apart: the positive pairs, a few of many, weigh half."""
    loss = LOSSES["contrastive"]
    objective = Objective(loss, [{"margin": 1.0}], [0], CLASSES_HERE, 6, Optimizer(lr=1e-3))
    points = normalize(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    probed = objective.probed(0, points, LABELS, all_tuples(loss, LABELS, CLASSES_HERE))
    leaf = points.double().requires_grad_()
    criterion = Criterion("contrastive", balance="sides")
    (gradient,) = torch.autograd.grad(criterion(leaf, LABELS), leaf)
    expected = (gradient - (gradient * leaf).sum(1, keepdim=True) * leaf).norm(dim=1).detach()
    assert torch.allclose(sample_norms(replace(probed, sides=True)), expected)
    assert not torch.allclose(sample_norms(probed), expected)


# the batch --------------------------------------------------------------------------------------------------


def test_the_batch_is_classes_times_samples_drawn_from_the_seed_alone() -> None:
    labels = np.random.default_rng(0).integers(-1, 30, 900)
    rows = probe_batch(labels, 5)
    assert rows is not None
    assert len(set(rows.tolist())) == CLASSES * PER_CLASS
    _, counts = np.unique(labels[rows], return_counts=True)
    assert counts.tolist() == [PER_CLASS] * CLASSES
    assert -1 not in labels[rows]
    again, other = probe_batch(labels, 5), probe_batch(labels, 6)
    assert again is not None
    assert again.tolist() == rows.tolist()
    assert other is not None
    assert set(other.tolist()) != set(rows.tolist())


def test_small_classes_are_left_out_and_one_class_is_no_probe() -> None:
    labels = np.repeat([0, 1, 2, -1], [PER_CLASS, PER_CLASS - 1, PER_CLASS, 9])
    rows = probe_batch(labels, 0)
    assert rows is not None
    assert sorted(set(labels[rows].tolist())) == [0, 2]
    assert probe_batch(labels[: PER_CLASS + 2], 0) is None


def test_every_loss_of_a_seed_is_asked_about_the_same_samples() -> None:
    batches = []
    for loss, sampling in (("contrastive", "one_tuple"), ("arcface", "all_in_batch"), ("triplet", "batch_hard")):
        stack = build(cell((3, 4), loss, sampling))
        batches.append([probe.tolist() for probe in stack._probes if probe is not None])
        assert [run for run, _ in stack.probe()] == [0, 1]
    assert batches[0] == batches[1] == batches[2]
    assert batches[0][0] != batches[0][1]


@pytest.mark.parametrize("loss", ["triplet", "n_pair", "arcface"])
def test_a_run_of_a_stack_is_probed_as_it_would_be_alone(loss: str) -> None:
    together = build(cell((0, 1, 2), loss, "all_in_batch"))
    alone = build(cell((1,), loss, "all_in_batch"))
    (own,) = [list(probe_rows(one, 0, 1)) for run, one in together.probe() if run == 1]
    (single,) = [list(probe_rows(one, 0, 1)) for _, one in alone.probe()]
    for ours, theirs in zip(own, single, strict=True):
        assert ours[:5] == theirs[:5]
        assert ours[5] == pytest.approx(theirs[5], rel=1e-4, abs=1e-6)


def test_runs_with_probes_of_unequal_size_and_without_one() -> None:
    stack = build(cell((0, 1, 2), "sup_con", "all_in_batch"))
    whole = {run: list(probe_rows(one, run, 0)) for run, one in stack.probe()}
    kept = stack._probes[1]
    assert kept is not None
    stack.__dict__["_probes"] = [None, kept[: 2 * PER_CLASS], stack._probes[2]]
    found = dict(stack.probe())
    assert sorted(found) == [1, 2]
    assert len(found[1].labels) == 2 * PER_CLASS
    for ours, theirs in zip(probe_rows(found[2], 2, 0), whole[2], strict=True):
        assert ours[5] == pytest.approx(theirs[5], rel=1e-4, abs=1e-6)
    stack.__dict__["_probes"] = [None] * 3
    assert list(stack.probe()) == []


def test_a_run_that_is_not_finite_is_not_probed() -> None:
    stack = build(cell((0, 1)))
    with torch.no_grad():
        stack.parameters[0] = torch.nan
    assert [run for run, _ in stack.probe()] == [1]


@pytest.mark.parametrize("loss", list(LOSSES))
def test_probing_touches_nothing(loss: str) -> None:
    probing, quiet = (build(cell((0, 1), loss, "all_in_batch")) for _ in range(2))
    noise = torch.get_rng_state()
    for epoch in (1, 2):
        rows = [row for run, one in probing.probe() for row in probe_rows(one, run, epoch)]
        assert rows
        for stack in (probing, quiet):
            stack.train_epoch(epoch)
    assert torch.equal(torch.get_rng_state(), noise)
    for name, value in quiet.state().items():
        assert torch.equal(probing.state()[name], value), name
