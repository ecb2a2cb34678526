"""Losses of pytorch-metric-learning: the same numbers as by themselves, the same runs alone and in a stack, refusals."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch import Tensor, nn
from torch.nn import functional as F

import losscope
from losscope.diagnostics import active_ratio
from losscope.errors import InvalidInput, InvalidStudy, MissingDependency
from losscope.files import read_json
from losscope.integrations.pml import PmlTerms
from losscope.losses.reductions import mean_over_valid
from losscope.losses.tuples import all_samples
from losscope.study import LossChoice, Study
from losscope.table import read_measurements
from losscope.testing import check_loss
from losscope.training.loop import Stack
from losscope.training.records import GroupRecord
from losscope.training.run import Extensions, Place
from losscope.types import Loss, LossTerms, Samples
from stacks import SYNTHETIC, build, cell, train

CLASSES, DIM = 4, 8
Make = Callable[[], Any]

NAMED: dict[str, Make] = {
    "proxy_anchor": lambda: losses.ProxyAnchorLoss(CLASSES, DIM),
    "proxy_nca": lambda: losses.ProxyNCALoss(CLASSES, DIM, softmax_scale=8),
    "multi_similarity": lambda: losses.MultiSimilarityLoss(),
    "circle": lambda: losses.CircleLoss(gamma=20),
    "sub_center_arcface": lambda: losses.SubCenterArcFaceLoss(num_classes=CLASSES, embedding_size=DIM, scale=16),
    "soft_triple": lambda: losses.SoftTripleLoss(CLASSES, DIM, centers_per_class=3),
    "cosface": lambda: losses.CosFaceLoss(CLASSES, DIM, scale=16),
    "fast_ap": lambda: losses.FastAPLoss(),
}
WITH_CLASS_VECTORS = {"proxy_anchor", "proxy_nca", "sub_center_arcface", "soft_triple", "cosface"}

OTHERS: dict[str, Make] = {
    "angular": lambda: losses.AngularLoss(),
    "contrastive": lambda: losses.ContrastiveLoss(),
    "lifted": lambda: losses.LiftedStructureLoss(),
    "generalized_lifted": lambda: losses.GeneralizedLiftedStructureLoss(),
    "instance": lambda: losses.InstanceLoss(),
    "intra_pair_variance": lambda: losses.IntraPairVarianceLoss(),
    "arcface": lambda: losses.ArcFaceLoss(CLASSES, DIM),
    "margin": lambda: losses.MarginLoss(),
    "margin_of_classes": lambda: losses.MarginLoss(num_classes=CLASSES, learn_beta=True, nu=0.1),
    "n_pairs": lambda: losses.NPairsLoss(),
    "nca": lambda: losses.NCALoss(),
    "normalized_softmax": lambda: losses.NormalizedSoftmaxLoss(CLASSES, DIM),
    "nt_xent": lambda: losses.NTXentLoss(),
    "p2s_grad": lambda: losses.P2SGradLoss(DIM, CLASSES),
    "pnp": lambda: losses.PNPLoss(),
    "ranked_list": lambda: losses.RankedListLoss(margin=0.4, Tn=2.0),
    "sup_con": lambda: losses.SupConLoss(),
    "threshold_consistent": lambda: losses.ThresholdConsistentMarginLoss(),
    "triplet": lambda: losses.TripletMarginLoss(margin=0.2, distance=distances.CosineSimilarity()),
    "tuplet": lambda: losses.TupletMarginLoss(),
    "regularized": lambda: losses.ProxyAnchorLoss(
        CLASSES, DIM, weight_regularizer=regularizers.LpRegularizer(), weight_reg_weight=0.3,
        embedding_regularizer=regularizers.ZeroMeanRegularizer(), embedding_reg_weight=0.2,
    ),
    "regularized_triplet": lambda: losses.TripletMarginLoss(embedding_regularizer=regularizers.LpRegularizer(power=2)),
}  # fmt: skip
SEVERAL_CLASSES = torch.arange(CLASSES).repeat(6)


def points(count: int = 24, seed: int = 0) -> Tensor:
    """Random embeddings of unit length, in float64."""
    random = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, DIM, generator=random, dtype=torch.float64), dim=-1)


def one_run(make: Make, seed: int = 0) -> PmlTerms:
    wrapped = losscope.from_pml(make())
    assert wrapped.module is not None
    module = wrapped.module(seed).double()
    assert isinstance(module, PmlTerms)
    return module


def gradients(value: Tensor, leaf: Tensor, module: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(value, [leaf, *module.parameters()], materialize_grads=True))


def ours(module: PmlTerms, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, LossTerms, list[Tensor]]:
    """The loss, its terms, and its gradient by embeddings and parameters."""
    leaf = embeddings.clone().requires_grad_()
    terms = module(leaf, all_samples(labels))
    value = mean_over_valid(terms)
    return value, terms, gradients(value, leaf, module)


def theirs(module: PmlTerms, embeddings: Tensor, labels: Tensor, reducer: Any = None) -> tuple[Tensor, list[Tensor]]:
    """The same by the package itself; `reducer` instead of the loss's own."""
    loss = copy.deepcopy(module.loss)
    if reducer is not None:
        loss.set_reducer(reducer)
    leaf = embeddings.clone().requires_grad_()
    value = loss(leaf, labels)
    return value, gradients(value, leaf, loss)


# one batch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*NAMED.values(), *OTHERS.values()], ids=[*NAMED, *OTHERS])
def test_the_loss_is_the_packages_own_with_a_mean_reducer(make: Make) -> None:
    module = one_run(make)
    value, terms, found = ours(module, points(), SEVERAL_CLASSES)
    expected, wanted = theirs(module, points(), SEVERAL_CLASSES, reducers.MeanReducer())
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, wanted)
    assert terms.valid.any()
    assert found[0].any()


@pytest.mark.parametrize("name", sorted({*NAMED} - {"circle"}))  # Circle's weights are detached on purpose
def test_the_gradient_is_the_derivative(name: str) -> None:
    module = one_run(NAMED[name])

    def loss(embeddings: Tensor) -> Tensor:
        return mean_over_valid(module(embeddings, all_samples(SEVERAL_CLASSES[:12])))

    assert torch.autograd.gradcheck(loss, (points(12).requires_grad_(),))


def test_proxy_anchor_is_the_published_one_whichever_classes_are_absent() -> None:
    """Positives over the classes of the batch, negatives over all: its own DivisorReducer."""
    module = one_run(NAMED["proxy_anchor"])
    labels = torch.tensor([0, 0, 3, 3, 3, 0])
    value, terms, found = ours(module, points(6), labels)
    expected, wanted = theirs(module, points(6), labels)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, wanted)
    assert terms.valid.tolist() == [True, False, False, True, *[True] * CLASSES]


@pytest.mark.parametrize("make", [NAMED["circle"], OTHERS["sup_con"]], ids=["circle", "sup_con"])
def test_an_anchor_without_a_positive_has_no_term(make: Make) -> None:
    module = one_run(make)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 3])
    value, terms, found = ours(module, points(7), labels)
    assert terms.valid.tolist() == [True] * 5 + [False] * 2
    expected, wanted = theirs(module, points(7), labels, reducers.AvgNonZeroReducer())  # leaves out those two
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, wanted)


def test_terms_of_0_count() -> None:
    """The package's own average leaves them out, so that its gradient grows as fewer terms are active."""
    module = one_run(OTHERS["triplet"])
    value, terms, found = ours(module, points(), SEVERAL_CLASSES)
    expected, wanted = theirs(module, points(), SEVERAL_CLASSES)
    share = active_ratio(terms)
    assert 0.2 < share < 0.9
    torch.testing.assert_close(value, expected * share)
    torch.testing.assert_close(found[0], wanted[0] * share)


@pytest.mark.parametrize("name", [*NAMED, *OTHERS])
@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3], [0, 0, 0, 0], [-1, -1], [-1, 2]])
def test_a_batch_that_offers_little_has_finite_gradients(name: str, labels: list[int]) -> None:
    module = one_run((NAMED | OTHERS)[name])
    value, _, found = ours(module, points(len(labels)), torch.tensor(labels))
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in found)


def test_a_batch_without_terms_is_0_with_zero_gradient() -> None:
    for name, labels in (("fast_ap", [0, 1, 2]), ("cosface", [-1, -1, -1]), ("multi_similarity", [2])):
        value, terms, found = ours(one_run(NAMED[name]), points(len(labels)), torch.tensor(labels))
        assert not terms.valid.any()
        assert value == 0
        assert not any(gradient.any() for gradient in found)


def test_class_vectors_never_see_outliers() -> None:
    labels = torch.tensor([0, 1, -1, 2, 3, -1, 0])
    for name in WITH_CLASS_VECTORS:
        module = one_run(NAMED[name])
        value, _, found = ours(module, points(7), labels)
        inliers = labels != -1
        expected, _, wanted = ours(module, points(7)[inliers], labels[inliers])
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(found[0][inliers], wanted[0])
        torch.testing.assert_close(found[1:], wanted[1:])
        assert not found[0][~inliers].any()


def test_other_losses_see_outliers_as_negatives_and_never_as_anchors() -> None:
    labels = torch.tensor([0, 0, 1, 1, -1, -1])
    for name in ("multi_similarity", "circle", "fast_ap"):
        _, terms, found = ours(one_run(NAMED[name]), points(6), labels)
        assert terms.valid.sum() == 4
        assert found[0][4:].any()
    _, terms, _ = ours(one_run(OTHERS["contrastive"]), points(6), labels)
    assert terms.valid.sum() == 4 + 6 * 5 - 4 - 2  # ordered pairs; all but (-1, -1) twice
    _, terms, _ = ours(one_run(OTHERS["triplet"]), points(6), labels)
    assert terms.valid.sum() == 4 * 4


@pytest.mark.parametrize(
    ("make", "saturates"),
    [
        (NAMED["cosface"], False),
        (NAMED["multi_similarity"], False),
        (NAMED["fast_ap"], True),
        (OTHERS["triplet"], True),
    ],
)
def test_what_saturates(make: Make, saturates: bool) -> None:
    assert losscope.from_pml(make()).saturates == saturates


# training ------------------------------------------------------------------------------------------------------------


def place_of(loss: Loss) -> Place:
    return Place(extensions=Extensions(losses={"wrapped": loss}))


def stack_of(make: Make, seeds: tuple[int, ...], sampling: str = "all_in_batch") -> Stack:
    loss = losscope.from_pml(make())
    choice = LossChoice("wrapped", "", tuple(loss.training.items()))
    return build(replace(cell(seeds, sampling=sampling), loss=choice), place=place_of(loss))


def share_of_90(gradient: Tensor, embeddings: Tensor) -> Tensor:
    """Share of the samples that carry 90 % of the tangential gradient, for each run, from the definition."""
    radial = (gradient * embeddings).sum(-1, keepdim=True)
    norms = (gradient - radial * embeddings).norm(dim=-1).sort(dim=-1, descending=True).values
    covered = norms.cumsum(-1) / norms.sum(-1, keepdim=True)
    return ((covered < 0.9).sum(-1) + 1) / norms.shape[-1]


@pytest.mark.parametrize("sampling", ["all_in_batch", "one_tuple"])
@pytest.mark.parametrize("name", NAMED)
def test_each_named_loss_has_activity_and_gradient_shares(name: str, sampling: str) -> None:
    stack = stack_of(NAMED[name], (0, 1), sampling)
    step = next(iter(stack.sampler.epoch(1)))
    embeddings, terms, _, loss = stack.forward(step)
    (gradient,) = torch.autograd.grad(loss.sum(), embeddings)
    shares = share_of_90(gradient, embeddings.detach())
    assert ((shares > 0.1) & (shares <= 1)).all()
    ratios = active_ratio(terms, runs=1)
    assert ((ratios > 0.3) & (ratios <= 1)).all()
    if name not in ("fast_ap", "circle"):  # a sum of exponentials never ends
        assert (ratios == 1).all()
    before = stack.measure_epoch(0)["loss"].mean(0)
    traces = train(stack, epochs=6)
    assert (stack.measure_epoch(0)["loss"].mean(0) < before).all()
    assert all(trace[key].isfinite().all() for trace in traces for key in trace)
    assert (traces[0]["active"] <= traces[0]["terms"]).all()
    assert ("proxy_gradient_norm" in traces[0]) == (name in WITH_CLASS_VECTORS)


@pytest.mark.parametrize("sampling", ["all_in_batch", "one_tuple"])
@pytest.mark.parametrize("make", [*NAMED.values(), OTHERS["contrastive"]], ids=[*NAMED, "contrastive"])
def test_a_run_in_a_stack_is_the_run_alone(make: Make, sampling: str) -> None:
    seeds = (3, 0, 8)
    stack = stack_of(make, seeds, sampling)
    traces = train(stack)
    for run, seed in enumerate(seeds):
        alone = stack_of(make, (seed,), sampling)
        for mine, whole in zip(train(alone), traces, strict=True):
            for name in mine:
                assert torch.equal(mine[name][:, 0], whole[name][:, run]), name
        assert torch.equal(alone.parameters[0], stack.parameters[run])
        for mine, whole in zip(of_run(alone, 0), of_run(stack, run), strict=True):
            assert torch.equal(mine, whole)


def of_run(stack: Stack, run: int) -> list[Tensor]:
    modules = stack.objective.modules
    return list(modules[run].parameters())


@pytest.mark.parametrize("name", ["proxy_anchor", "fast_ap"])
def test_the_probe_asks_a_copy_of_the_runs_own_module_in_float64(name: str) -> None:
    stack = stack_of(NAMED[name], (3, 0))
    kept = [one.detach().clone() for one in of_run(stack, 1)]
    batch = points(12)
    probed = stack.objective.probed(1, batch.float(), SEVERAL_CLASSES[:12], all_samples(SEVERAL_CLASSES[:12]))
    terms = probed.terms(batch, probed.tuples, None)
    torch.testing.assert_close(mean_over_valid(terms), ours(one_run(NAMED[name], 0), batch, SEVERAL_CLASSES[:12])[0])
    assert terms.values.dtype == torch.float64
    assert all(torch.equal(*pair) for pair in zip(kept, of_run(stack, 1), strict=True))
    assert all(one.dtype == torch.float32 for one in of_run(stack, 1))
    assert (probed.residual is None) == (name == "proxy_anchor")  # FastAP saturates: a term is all or nothing
    if probed.residual is not None:
        missed = probed.residual(batch, probed.tuples, None)
        assert mean_over_valid(missed) == active_ratio(terms)


@pytest.mark.parametrize("name", ["proxy_anchor", "soft_triple", "multi_similarity"])
def test_a_stack_goes_on_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    whole, first, second = (stack_of(NAMED[name], (3, 0)) for _ in range(3))
    expected = train(whole, epochs=3)
    train(first, epochs=1)
    record = GroupRecord(tmp_path, {})
    record.checkpoint(first.state(), {"epoch": 1})
    resumed = record.resume()
    assert resumed is not None
    second.load(resumed[0])
    found = train(second, epochs=2, start=2)
    for key in expected[2]:
        assert torch.equal(found[1][key], expected[2][key]), key
    for key, value in whole.state().items():
        assert torch.equal(value, second.state()[key]), key


@pytest.mark.parametrize("make", [*(NAMED[name] for name in sorted(WITH_CLASS_VECTORS)), OTHERS["p2s_grad"]])
def test_class_vectors_come_from_the_seed_alone(make: Make) -> None:
    drawing = torch.get_rng_state()
    one, again, other = (next(one_run(make, seed).parameters()) for seed in (0, 0, 1))
    assert torch.equal(one, again)  # though each loss that was handed in drew other ones
    assert not torch.equal(one, other)
    torch.set_rng_state(drawing)
    first = make()
    after = torch.get_rng_state()
    wrapped = losscope.from_pml(first)
    kept = [parameter.detach().clone() for parameter in first.parameters()]
    assert wrapped.module is not None
    wrapped.module(5)
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(*pair) for pair in zip(kept, first.parameters(), strict=True))
    drawn = one / one.norm() * kept[0].norm()
    assert torch.allclose(drawn.std(), kept[0].double().std(), rtol=0.2)


def test_frozen_class_vectors_and_those_of_no_draw_stay_as_given() -> None:
    frozen = losses.ProxyNCALoss(CLASSES, DIM)
    frozen.proxies.requires_grad_(False)
    wrapped = losscope.from_pml(frozen)
    assert dict(wrapped.training) == {}
    assert wrapped.module is not None
    assert torch.equal(next(wrapped.module(3).parameters()), frozen.proxies)
    stack = stack_of(lambda: frozen, (0, 1))
    train(stack)
    assert all(torch.equal(one, frozen.proxies) for one in (*of_run(stack, 0), *of_run(stack, 1)))
    boundary = one_run(lambda: losses.MarginLoss(beta=0.7, learn_beta=True))
    assert [parameter.tolist() for parameter in boundary.parameters()] == [pytest.approx([0.7])]


def test_a_diverged_run_leaves_the_others_alone() -> None:
    for name in ("proxy_anchor", "fast_ap", "circle"):
        stack, alone = stack_of(NAMED[name], (0, 1)), stack_of(NAMED[name], (1,))
        with torch.no_grad():
            stack.parameters[0] = torch.nan
        kept = [one.detach().clone() for one in of_run(stack, 0)]
        traces, expected = train(stack), train(alone)
        assert torch.equal(traces[1]["loss"][:, 1], expected[1]["loss"][:, 0])
        assert torch.equal(stack.parameters[1], alone.parameters[0])
        assert traces[0]["loss"][:, 0].isnan().all()
        assert all(torch.equal(*pair) for pair in zip(kept, of_run(stack, 0), strict=True))


# a study -------------------------------------------------------------------------------------------------------------


def study(*names: str, **changes: Any) -> Study:
    document: dict[str, Any] = {
        "name": "wrapped",
        "seeds": 2,
        "data": [SYNTHETIC.model_dump(exclude_none=True)],
        "protocol": [
            {"name": "all", "model": {"widths": [12, DIM]}, "epochs": 2,
             "batch": {"sampling": "all_in_batch", "classes": 3, "per_class": 4}},
            {"name": "one", "model": {"widths": [12, DIM]}, "epochs": 2, "batch": {"terms": 16}},
        ],
        "loss": [{"name": name} for name in names],
    }  # fmt: skip
    return losscope.parse_study(document | changes)


def test_a_study_of_the_named_losses_beside_one_of_this_package(tmp_path: Path) -> None:
    wrapped = {name: losscope.from_pml(make()) for name, make in NAMED.items()}
    result = losscope.run(study(*NAMED, "contrastive"), tmp_path / "out", losses=wrapped)
    assert {record.status for record in result.records} == {"done"}
    rows = read_measurements(tmp_path / "out").to_pylist()
    for name in NAMED:
        mine = {row["diagnostic"] for row in rows if row["loss"] == name}
        assert {"loss", "active_ratio", "gradient_norm", "gradient_norm_embedding_tangential", "recall_at_k"} <= mine
        assert ("proxy_gradient_norm" in mine) == (name in WITH_CLASS_VECTORS)
        probed = {row["diagnostic"]: row["value"] for row in rows if (row["loss"], row["split"]) == (name, "probe")}
        assert {"active_ratio", "gradient_share_90", "gradient_share_curve", "greedy_ratio"} <= probed.keys()
        assert 0 < probed["gradient_share_90"] <= 1
        assert "pair_weight_mean" not in probed  # of similarities that only the package's own code knows
    groups = [read_json(path) for path in (tmp_path / "out").glob("groups/*/group.json")]
    told = {group["loss"]: group["own_loss"] for group in groups if group["loss"] in NAMED}
    assert told == {name: loss.fingerprint for name, loss in wrapped.items()}
    assert not any("own_loss" in group for group in groups if group["loss"] not in NAMED)
    again = losscope.run(
        study(*NAMED, "contrastive"), tmp_path / "out", losses={n: losscope.from_pml(m()) for n, m in NAMED.items()}
    )
    assert again.records == ()  # other objects with the same settings are the same losses


def test_other_settings_are_another_loss() -> None:
    def fingerprint(loss: Any) -> str | None:
        return losscope.from_pml(loss).fingerprint

    given = fingerprint(losses.ProxyAnchorLoss(CLASSES, DIM))
    assert given is not None
    assert "pytorch-metric-learning 2" in given
    assert fingerprint(losses.ProxyAnchorLoss(CLASSES, DIM)) == given
    other = [
        losses.ProxyAnchorLoss(CLASSES, DIM, alpha=16),
        losses.ProxyAnchorLoss(CLASSES + 1, DIM),
        losses.ProxyAnchorLoss(CLASSES, DIM, distance=distances.DotProductSimilarity()),
        losses.ProxyAnchorLoss(CLASSES, DIM, weight_init_func=nn.init.orthogonal_),
        losses.ProxyAnchorLoss(CLASSES, DIM, weight_regularizer=regularizers.LpRegularizer(p=1)),
        OwnSettings(1.0),
        OwnSettings(2.0),
        losses.MarginLoss(beta=0.5, learn_beta=True),
        losses.MarginLoss(beta=0.6, learn_beta=True),
    ]
    told = {fingerprint(loss) for loss in other}
    assert len({given, *told}) == 1 + len(other)


def test_the_rate_of_class_vectors_is_a_setting_of_the_study(tmp_path: Path) -> None:
    wanted = study(seeds=1, loss=[{"name": "proxy_anchor", "proxy_lr": [1e-4, 1.0]}])
    wrapped = {"proxy_anchor": losscope.from_pml(NAMED["proxy_anchor"]())}
    result = losscope.run(wanted, tmp_path / "out", losses=wrapped)
    assert {record.status for record in result.records} == {"done"}
    last = {
        row["variant"]: row["value"]
        for row in read_measurements(tmp_path / "out").to_pylist()
        if (row["protocol"], row["diagnostic"], row["epoch"]) == ("all", "loss", 2)
    }
    assert last["proxy_lr=0.0001"] != last["proxy_lr=1.0"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.ProxyAnchorLoss(3, DIM), "ProxyAnchorLoss was made for 3 classes; the training split has 4"),
        (
            lambda: losses.ProxyNCALoss(4, 32),
            "embeddings of length 32; the model's have 8: make it with embedding_size=8",
        ),
        (lambda: losses.SubCenterArcFaceLoss(num_classes=2, embedding_size=DIM), "made for 2 classes"),
        (lambda: losses.SoftTripleLoss(CLASSES, 5), "embeddings of length 5"),
        (lambda: losses.MarginLoss(num_classes=2), "made for 2 classes"),
    ],
)
def test_a_loss_made_for_other_data_is_found_before_training(make: Make, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=message):
        losscope.run(study("wrapped"), tmp_path / "out", losses={"wrapped": losscope.from_pml(make())})
    assert not (tmp_path / "out").exists()


def test_more_class_vectors_than_classes_are_allowed() -> None:
    stack = stack_of(lambda: losses.CosFaceLoss(CLASSES + 3, DIM), (0,))
    assert all(trace["loss"].isfinite().all() for trace in train(stack))


# the criterion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_a_criterion_trains_the_very_loss(name: str) -> None:
    loss = NAMED[name]()
    criterion = losscope.Criterion(losscope.from_pml(loss))
    assert [*map(id, criterion.parameters())] == [*map(id, loss.parameters())]
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    embeddings = points(8).float().requires_grad_()
    value = criterion(embeddings, labels)
    value.backward()
    torch.testing.assert_close(value, loss(embeddings, labels))
    assert embeddings.grad is not None
    assert all(parameter.grad is not None for parameter in loss.parameters())
    terms, tuples = criterion.terms(embeddings, labels)
    assert isinstance(tuples, Samples)
    torch.testing.assert_close(mean_over_valid(terms), value)
    assert type(loss).__name__ in repr(criterion)
    twin = copy.deepcopy(criterion)
    assert not {*map(id, twin.parameters())} & {*map(id, loss.parameters())}
    torch.testing.assert_close(twin(embeddings, labels), value)


def test_a_criterion_refuses_labels_without_a_class_vector() -> None:
    criterion = losscope.Criterion(losscope.from_pml(NAMED["cosface"]()))
    for labels in ([0, 4], [-2, 0]):
        with pytest.raises(InvalidInput, match=r"expected 0 to 3, one of the 4 class vectors, or -1"):
            criterion(points(2), torch.tensor(labels))
    any_label = losscope.Criterion(losscope.from_pml(NAMED["multi_similarity"]()))
    given = any_label(points(4), torch.tensor([900, 900, 7, 7]))
    assert torch.equal(given, any_label(points(4), torch.tensor([0, 0, 1, 1])))
    with pytest.raises(InvalidInput, match="expected 0 or more"):
        any_label(points(2), torch.tensor([-2, -2]))


def test_a_rate_has_no_place_in_a_criterion() -> None:
    with pytest.raises(InvalidStudy, match="give class vectors a parameter group with that rate"):
        losscope.Criterion(losscope.from_pml(NAMED["cosface"]()), proxy_lr=0.1)


# refusals ------------------------------------------------------------------------------------------------------------


class OwnSettings(losses.TripletMarginLoss):
    """A loss of a user's own, by inheritance."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight


class OwnForward(losses.TripletMarginLoss):
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        result: Tensor = super().forward(embeddings, labels)
        return 2 * result


class WithMiner(losses.TripletMarginLoss):
    def __init__(self) -> None:
        super().__init__()
        self.miner = miners.MultiSimilarityMiner()


class Remembering(losses.TripletMarginLoss):
    """Keeps a running mean, as a plain tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor | None = None

    def compute_loss(self, embeddings: Tensor, *rest: Any) -> Any:
        mean = embeddings.detach().mean(0)
        self.mean = mean if self.mean is None else 0.9 * self.mean + 0.1 * mean
        return super().compute_loss(embeddings, *rest)


class NeedsWeights(losses.TripletMarginLoss):
    def compute_loss(self, *given: Any) -> Any:
        raise ValueError("weights are required")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (losses.TripletMarginLoss, r"is a class; hand in a loss made from it: TripletMarginLoss\(\.\.\.\)"),
        (nn.TripletMarginLoss(), "is no loss of pytorch-metric-learning"),
        (losses.CrossBatchMemory(losses.ContrastiveLoss(), DIM), "keeps earlier batches.*hand in the loss inside it"),
        (losses.SelfSupervisedLoss(losses.NTXentLoss()), "other views.*ref_emb.*hand in the loss inside it"),
        (losses.MultipleLosses([losses.NTXentLoss()]), "a sum of losses.*each as a loss of its own"),
        (losses.VICRegLoss(), "takes no labels"),
        (losses.ManifoldLoss(DIM), "takes no labels"),
        (losses.DynamicSoftMarginLoss(), "histogram of earlier batches"),
        (losses.SmoothAPLoss(), "order of the batch"),
        (losses.TripletMarginLoss(triplets_per_anchor=2), "draws random numbers.*triplets_per_anchor='all'"),
        (losses.MarginLoss(triplets_per_anchor=2), "draws random numbers"),
        (
            losses.NTXentLoss(reducer=reducers.ClassWeightedReducer(torch.ones(4))),
            "has the reducer ClassWeightedReducer",
        ),
        (losses.ContrastiveLoss(reducer=reducers.ThresholdReducer(low=0.1)), "has the reducer ThresholdReducer"),
        (WithMiner(), "has a miner inside"),
        (OwnForward(), r"has a forward\(\) of its own"),
        (Remembering(), "keeps state from batch to batch"),
        (NeedsWeights(), r"fails on a batch .* \(ValueError: weights are required\)"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_a_study_cannot_train_is_refused(loss: Any, message: str) -> None:
    drawing = torch.get_rng_state()
    with pytest.raises(InvalidInput, match=message):
        losscope.from_pml(loss)
    assert torch.equal(torch.get_rng_state(), drawing)


def test_the_contract_of_functions_is_not_asked_of_a_module() -> None:
    with pytest.raises(InvalidInput, match="'CircleLoss' has a module of its own"):
        check_loss(losscope.from_pml(losses.CircleLoss()))


def test_a_loss_of_ones_own_by_inheritance_is_taken() -> None:
    assert losscope.from_pml(OwnSettings(1.0)).saturates


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = losses.NTXentLoss()
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(MissingDependency, match=r"pip install 'losscope\[pml\]'"):
        losscope.from_pml(loss)
