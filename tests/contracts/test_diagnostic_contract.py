"""What every diagnostic of the table keeps: its naive twin's value, its invariances, and one by one = at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import reference
from losscope.diagnostics import DIAGNOSTICS, active_ratio, residual_mass
from losscope.diagnostics.variance import class_statistics
from losscope.types import LossTerms

LABELS = [0, 0, 0, 4, 4, 2, 2, 2, 2, 7, -1, -1]  # three classes; 7 has one sample, two outliers

OF_CLASSES: dict[str, Callable[[np.ndarray, list[int]], Any]] = {
    "intra_class_variance": lambda z, y: list(reference.class_variances(z, y).values()),
    "intra_class_variance_mean": lambda z, y: reference.mean(list(reference.class_variances(z, y).values())),
    "intra_class_variance_unbiased_mean": lambda z, y: reference.mean(
        list(reference.unbiased_variances(z, y).values())
    ),
    "intra_class_variance_over_classes": lambda z, y: reference.variance(
        list(reference.class_variances(z, y).values()), 0
    ),
    "intra_class_variance_cv": lambda z, y: (
        math.sqrt(reference.variance(list(reference.class_variances(z, y).values()), 0))
        / reference.mean(list(reference.class_variances(z, y).values()))
    ),
    "within_variance": reference.within,
    "between_variance": reference.between,
    "mean_resultant_squared": lambda z, y: float(np.sum(reference.center(z, y) ** 2)),
    "fisher_ratio": lambda z, y: reference.between(z, y) / reference.within(z, y),
    "inter_class_distance_cv": lambda z, y: (
        math.sqrt(reference.variance(reference.centroid_distances(z, y), 1))
        / reference.mean(reference.centroid_distances(z, y))
    ),
    "inter_class_distance_min": lambda z, y: min(reference.centroid_distances(z, y)),
    "inter_class_distance_q05": lambda z, y: np.quantile(reference.centroid_distances(z, y), 0.05),
    "centroid_cosine_mean": lambda z, y: reference.mean(reference.centroid_cosines(z, y)),
    "centroid_cosine_max": lambda z, y: max(reference.centroid_cosines(z, y)),
    "within_class_effective_rank": lambda z, y: reference.effective_rank(reference.deviations(z, y)),
    "inter_class_distance_mean": lambda z, y: reference.mean(reference.centroid_distances(z, y)),
    "inter_class_distance_mean_corrected": lambda z, y: reference.mean(reference.corrected_distances(z, y)),
    "inter_class_distance_variance": lambda z, y: reference.variance(reference.centroid_distances(z, y), 1),
    "inter_class_squared_distance_mean": lambda z, y: reference.mean(
        [d * d for d in reference.centroid_distances(z, y)]
    ),
    "intra_inter_ratio": lambda z, y: (
        reference.mean(list(reference.class_variances(z, y).values()))
        / reference.mean([d * d for d in reference.centroid_distances(z, y)])
    ),
}


def points(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


def of_embeddings(name: str, z: Tensor, labels: Tensor) -> Tensor:
    function = DIAGNOSTICS[name].function
    result: Tensor = function(z) if name == "effective_rank" else function(z, labels)
    return result


def naive_of_embeddings(name: str, z: np.ndarray, labels: list[int]) -> Any:
    return reference.effective_rank(z) if name == "effective_rank" else OF_CLASSES[name](z, labels)


def seeing(what: str) -> list[str]:
    return [name for name, diagnostic in DIAGNOSTICS.items() if diagnostic.sees == what]


def test_the_table_is_complete() -> None:
    assert set(seeing("embeddings")) == {*OF_CLASSES, "effective_rank"}
    assert set(seeing("terms")) == {*RATIOS, "residual_mass"}
    assert set(seeing("gradients")) == set(GRADIENTS)
    assert set(seeing("norms")) == set(NORMS)
    assert set(seeing("weights")) == set(WEIGHTS)
    assert set(seeing("history")) == set(HISTORIES)
    assert set(seeing("batch")) == {  # twins in tests/diagnostics/test_allocation.py and test_batch_composition.py
        "active_rows",
        "batch_classes",
        "batch_negative_share",
        "batch_positive_share",
        "gradient_by_class",
        "gradient_by_hardness",
        "gradient_pull",
        "gradient_push",
    }
    for diagnostic in DIAGNOSTICS.values():
        assert diagnostic.unit
        assert diagnostic.higher
        assert diagnostic.function.__doc__


# embeddings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", seeing("embeddings"))
@pytest.mark.parametrize("seed", range(3))
def test_a_diagnostic_of_embeddings_equals_its_naive_twin(name: str, seed: int) -> None:
    z = points(12, 5, seed=seed) * (1 + seed)
    found = of_embeddings(name, z, torch.tensor(LABELS))
    assert found.dtype == torch.float64
    by_label = naive_of_embeddings(name, z.numpy(), LABELS)
    np.testing.assert_allclose(found.numpy(), by_label, rtol=1e-10)


@pytest.mark.parametrize("name", seeing("embeddings"))
def test_a_diagnostic_of_embeddings_ignores_order_rotation_and_names_of_classes(name: str) -> None:
    z, labels = points(12, 5), torch.tensor(LABELS)
    value = of_embeddings(name, z, labels)
    moved = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    rotation, _ = torch.linalg.qr(points(5, 5))
    renamed = torch.where(labels == -1, labels, labels + 100)
    for other in (
        of_embeddings(name, z[moved], labels[moved]),
        of_embeddings(name, z @ rotation, labels),
        of_embeddings(name, z, renamed),
        of_embeddings(name, z, labels.int()),
    ):
        torch.testing.assert_close(other, value)


@pytest.mark.parametrize("name", seeing("embeddings"))
def test_runs_at_once_are_runs_one_by_one(name: str) -> None:
    z = points(2, 3, 12, 5)
    labels = torch.tensor(LABELS)
    own = torch.stack([torch.tensor(LABELS)[torch.randperm(12, generator=torch.Generator().manual_seed(seed))]
                       for seed in range(6)]).view(2, 3, 12)  # fmt: skip
    for given in (labels, own):
        together = of_embeddings(name, z, given)
        for run in np.ndindex(2, 3):
            alone = of_embeddings(name, z[run], given[run] if given.ndim > 1 else given)
            torch.testing.assert_close(together[run], alone)


@pytest.mark.parametrize("name", sorted(OF_CLASSES))
def test_outliers_and_single_samples_are_in_no_class_statistic(name: str) -> None:
    z, labels = points(12, 5), torch.tensor(LABELS)
    kept = (labels != -1) & (labels != 7)
    without = of_embeddings(name, z[kept], labels[kept])
    far = torch.where(kept.unsqueeze(1), z, 1e6)
    torch.testing.assert_close(of_embeddings(name, far, labels), without)


@pytest.mark.parametrize("name", sorted(OF_CLASSES))
def test_statistics_made_once_serve_every_measure(name: str) -> None:
    z, labels = points(12, 5), torch.tensor(LABELS)
    statistics = class_statistics(z, labels)
    given = (z, labels, statistics) if name == "within_class_effective_rank" else (statistics,)
    assert torch.equal(DIAGNOSTICS[name].function(*given), of_embeddings(name, z, labels))


@pytest.mark.parametrize("name", seeing("embeddings"))
def test_float32_embeddings_are_accumulated_in_float64(name: str) -> None:
    z = points(12, 5).float()
    rounded = of_embeddings(name, z, torch.tensor(LABELS))
    torch.testing.assert_close(rounded, of_embeddings(name, z.double(), torch.tensor(LABELS)), rtol=1e-12, atol=0)


# terms ------------------------------------------------------------------------------------------------------


RATIOS = ("active_ratio", "active_ratio_positive", "active_ratio_negative")


@pytest.mark.parametrize("name", RATIOS)
def test_active_ratios_equal_the_loop_for_each_run(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.rand(2, 3, 4, generator=random)
    values[values < 0.4] = torch.tensor(1e-9)  # not exactly 0, and still inactive
    valid, same = torch.rand(2, 3, 4, generator=random) < 0.8, torch.rand(2, 3, 4, generator=random) < 0.5
    side = {"active_ratio": torch.ones_like(same), "active_ratio_positive": same, "active_ratio_negative": ~same}
    arguments = (LossTerms(values, valid), *([] if name == "active_ratio" else [same]))

    def loop(counted: Tensor) -> float:
        kept = values[counted].tolist()
        return sum(value > 1e-8 for value in kept) / len(kept)

    function = DIAGNOSTICS[name].function
    assert function(*arguments).item() == pytest.approx(loop(valid & side[name]))
    each = function(*arguments, runs=1)
    for run in range(2):
        own = torch.zeros_like(valid)
        own[run] = True
        assert each[run].item() == pytest.approx(loop(valid & side[name] & own))


@pytest.mark.parametrize("name", seeing("terms"))
def test_without_a_valid_term_an_active_ratio_is_undefined(name: str) -> None:
    nothing = LossTerms(torch.ones(3), torch.zeros(3, dtype=torch.bool))
    same = (torch.tensor([True, False, True]),) if name in RATIOS[1:] else ()
    assert DIAGNOSTICS[name].function(nothing, *same).isnan()


def test_residual_mass_is_the_mean_over_valid_terms_of_each_run() -> None:
    random = torch.Generator().manual_seed(0)
    values, valid = torch.rand(2, 3, 4, generator=random), torch.rand(2, 3, 4, generator=random) < 0.7
    values[~valid] = torch.nan  # a loss of one's own may return anything there
    each = residual_mass(LossTerms(values, valid), runs=1)
    for run in range(2):
        kept = values[run][valid[run]].tolist()
        assert each[run].item() == pytest.approx(sum(kept) / len(kept))
    hinges = LossTerms((values > 0.5).float(), valid)
    torch.testing.assert_close(residual_mass(hinges), active_ratio(hinges).double())


# gradients --------------------------------------------------------------------------------------------------

GRADIENTS: dict[str, Callable[..., float]] = {
    "gradient_norm": lambda parts: math.sqrt(sum(x * x for part in parts for x in part.flatten().tolist())),
    "gradient_norm_tensor_mean": lambda parts: reference.mean(
        [math.sqrt(sum(x * x for x in part.flatten().tolist())) for part in parts]
    ),
    "gradient_norm_embedding": lambda gradient: math.sqrt(sum(x * x for x in gradient.flatten().tolist())),
    "gradient_norm_embedding_tangential": lambda gradient, z: reference.mean(
        [float((g - (g @ at) * at).norm()) for g, at in zip(gradient, z, strict=True)]
    ),
    "proxy_gradient_norm": lambda parts: math.sqrt(sum(x * x for part in parts for x in part.flatten().tolist())),
    "gradient_signal_fraction": lambda total, squares: float(((total / 5) ** 2).sum()) / (float(squares) / 5),
    "update_norm": lambda before, after: float((after - before).norm()),
    "update_ratio": lambda before, after: float((after - before).norm() / before.norm()),
}


@pytest.mark.parametrize("name", seeing("gradients"))
def test_norms_equal_the_loop_for_each_run(name: str) -> None:
    random = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(2, *shape, generator=random, dtype=torch.float64)

    arguments: tuple[Any, ...]
    options: dict[str, Any] = {}
    if name in ("gradient_norm", "gradient_norm_tensor_mean", "proxy_gradient_norm"):
        arguments = ([drawn(4, 3), drawn(4), drawn(2, 4)],)
        each = DIAGNOSTICS[name].function(*arguments, runs=1)
        alone = [([part[run] for part in arguments[0]],) for run in range(2)]
    else:
        if name.startswith("update"):
            arguments = (drawn(20), drawn(20))
        elif name == "gradient_signal_fraction":
            arguments, options = (drawn(20), drawn().square()), {"steps": 5}
        else:
            arguments = (drawn(6, 3), normalize(drawn(6, 3), dim=-1))[: 2 if "tangential" in name else 1]
        each = DIAGNOSTICS[name].function(*arguments, **options)
        alone = [tuple(part[run] for part in arguments) for run in range(2)]
    for run in range(2):
        assert each[run].item() == pytest.approx(GRADIENTS[name](*alone[run]), rel=1e-12)
        assert DIAGNOSTICS[name].function(*alone[run], **options).item() == pytest.approx(each[run].item(), rel=1e-12)


# gradient norms of samples and terms, weights of pairs ------------------------------------------------------


def naive_share(norms: list[float], share: float) -> float:
    """The smallest group that carries the share, among all groups."""
    sizes = [
        size
        for size in range(1, len(norms) + 1)
        if any(sum(group) >= share * sum(norms) - 1e-9 for group in itertools.combinations(norms, size))
    ]
    return sizes[0] / len(norms)


def naive_effective_share(norms: list[float]) -> float:
    shares = [norm / sum(norms) for norm in norms if norm]
    return math.exp(-sum(share * math.log(share) for share in shares)) / len(norms)


def naive_greedy(norms: list[float], happy: list[float]) -> float:
    counted = [(norm, one) for norm, one in zip(norms, happy, strict=True) if not math.isnan(one)]
    return sum(norm * one for norm, one in counted) / sum(norm for norm, _ in counted)


def naive_satisfied_share(happy: list[float]) -> float:
    return reference.mean([one for one in happy if not math.isnan(one)])


def naive_histogram(weights: list[float]) -> list[float]:
    counts = dict.fromkeys(range(-5, 3), 0)
    for weight in weights:
        relative = weight / reference.mean(weights)
        counts[min(max(math.floor(math.log10(relative)), -5), 2) if relative else -5] += 1
    return [count / len(weights) for count in counts.values()]


HAPPY = [1.0, 0.0, math.nan, 1.0, 0.25, 0.0, math.nan, 1.0]
VALID = [True, True, False, True, True, True, True, False]

NORMS: dict[str, Callable[[list[float]], Any]] = {
    "gradient_share_90": lambda norms: naive_share(norms, 0.9),
    "gradient_share_curve": lambda norms: [naive_share(norms, percent / 100) for percent in range(10, 101, 10)],
    "gradient_participation": lambda norms: sum(norms) ** 2 / (len(norms) * sum(norm * norm for norm in norms)),
    "gradient_effective_share": naive_effective_share,
    "greedy_fraction": lambda norms: naive_greedy(norms, HAPPY),
    "satisfied_share": lambda norms: naive_satisfied_share(HAPPY),
    "greedy_ratio": lambda norms: naive_greedy(norms, HAPPY) / naive_satisfied_share(HAPPY),
    "relative_activity": lambda norms: [
        sum(norm > 20 * 10.0**-e for norm, ok in zip(norms, VALID, strict=True) if ok) / sum(VALID) for e in (1, 2, 3)
    ],
}

WEIGHTS: dict[str, Callable[[list[float]], Any]] = {
    "pair_weight_mean": reference.mean,
    "pair_weight": naive_histogram,
    "pair_weight_positive": lambda weights: sum(w for w, ok in zip(weights, VALID, strict=True) if ok) / sum(weights),
}


def of_values(name: str, values: Tensor) -> Tensor:
    """A diagnostic of norms or weights (..., 8)."""
    happy = torch.tensor(HAPPY, dtype=torch.float64).expand_as(values)
    beside: dict[str, tuple[Any, ...]] = {
        "greedy_fraction": (happy,),
        "greedy_ratio": (happy,),
        "relative_activity": (torch.tensor(VALID), 20.0),
        "pair_weight_positive": (torch.tensor(VALID),),
    }
    given = (happy,) if name == "satisfied_share" else (values, *beside.get(name, ()))
    found: Tensor = DIAGNOSTICS[name].function(*given)
    return found


def values_of(seed: int) -> Tensor:
    """Values over six decades, one of them 0."""
    random = torch.Generator().manual_seed(seed)
    values = 10 ** (6 * torch.rand(3, 8, generator=random, dtype=torch.float64) - 4)
    values[:, 5] = 0
    return values


@pytest.mark.parametrize("name", [*seeing("norms"), *seeing("weights")])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_made_of_norms_or_weights_equals_its_naive_twin_for_each_run(name: str, seed: int) -> None:
    values = values_of(seed)
    found = of_values(name, values)
    for run, one in enumerate(values):
        np.testing.assert_allclose(found[run].numpy(), (NORMS | WEIGHTS)[name](one.tolist()), rtol=1e-12)
        torch.testing.assert_close(of_values(name, one), found[run])


@pytest.mark.parametrize("name", [*seeing("norms"), *seeing("weights")])
def test_all_but_a_mean_and_what_has_a_bound_is_free_of_the_losss_scale(name: str) -> None:
    values = values_of(0)
    found = of_values(name, 1e-30 * values)
    if name == "pair_weight_mean":
        torch.testing.assert_close(found, 1e-30 * of_values(name, values))
    elif name == "relative_activity":
        assert not found.any()
    else:
        torch.testing.assert_close(found, of_values(name, values))


@pytest.mark.parametrize("name", [*seeing("norms"), *seeing("weights")])
def test_where_nobody_has_a_gradient_there_is_nothing_to_share(name: str) -> None:
    found = of_values(name, torch.stack([torch.zeros(8), torch.ones(8)]))
    assert not found[1].isnan().any()
    if name in ("relative_activity", "pair_weight_mean"):
        assert not found[0].any()
    elif name != "satisfied_share":
        assert found[0].isnan().all()


# histories --------------------------------------------------------------------------------------------------


def naive_compaction(ratios: list[float]) -> list[float]:
    """Covered share of the change of the log ratio, on a fine grid of epochs."""
    logs = np.log(ratios)
    grid = np.linspace(0, len(logs) - 1, 100_001)
    return list((np.interp(grid, np.arange(len(logs)), logs) - logs[0]) / (logs[-1] - logs[0]))


HISTORIES: dict[str, Callable[[list[float]], float | None]] = {
    "loss_decay_epoch": lambda losses: next(
        (epoch for epoch in range(1, len(losses)) if losses[epoch] <= 0.1 * losses[0]), None
    ),
    "loss_decay_epoch_excess": lambda losses: HISTORIES["loss_decay_epoch"](losses),
    "compaction_epoch": lambda ratios: (
        next(place for place, covered in enumerate(naive_compaction(ratios)) if covered >= 0.5)
        / 100_000 * (len(ratios) - 1)
    ),
    "compaction_area": lambda ratios: float(np.trapezoid(1 - np.array(naive_compaction(ratios)), dx=1e-5)),
}  # fmt: skip


@pytest.mark.parametrize("name", seeing("history"))
@pytest.mark.parametrize("seed", range(4))
def test_a_diagnostic_of_a_history_equals_its_naive_twin(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    history = (np.exp(-0.4 * np.arange(9)) * random.uniform(0.5, 2, 9)).tolist()
    assert DIAGNOSTICS[name].function(history) == pytest.approx(HISTORIES[name](history), abs=1e-3)
