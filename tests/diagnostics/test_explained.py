"""How much of the variance within classes finer labels explain: naive loops, known values, what chance explains."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway
from torch import Tensor
from torch.nn.functional import normalize

from losscope.diagnostics import (
    DIAGNOSTICS,
    fine_explained_share,
    fine_explained_share_corrected,
    fine_statistics,
    within_coarse_variance,
)
from losscope.errors import InvalidInput

NAMES = ("within_coarse_variance", "fine_explained_share", "fine_explained_share_corrected")
# 3 holds the fine classes 0, 7, 2; 5 holds 4, 6; 8 only 9; fine class 1 has one sample; two are outliers
COARSE = [3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 8, 8, 5, -1, 3]
FINE = [0, 0, 7, 7, 2, 2, 2, 4, 4, 4, 6, 6, 9, 9, 1, 4, -1]


def points(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=-1)


def naive(z: np.ndarray, coarse: list[int], fine: list[int]) -> tuple[float, float, float]:
    """Variance within the classes, explained share and its corrected form, sample by sample."""
    rows: dict[int, dict[int, list[np.ndarray]]] = {}
    for point, group, label in zip(z.astype(np.float64), coarse, fine, strict=True):
        if group != -1 and label != -1:
            rows.setdefault(group, {}).setdefault(label, []).append(point)
    total = residual = corrected = 0.0
    samples = 0
    for of_group in rows.values():
        kept = [members for members in of_group.values() if len(members) > 1]
        if len(kept) < 2:
            continue
        own = [point for members in kept for point in members]
        center = sum(own) / len(own)
        within = sum(float(np.sum((p - sum(members) / len(members)) ** 2)) for members in kept for p in members)
        total += sum(float(np.sum((point - center) ** 2)) for point in own)
        residual += within
        corrected += within * (len(own) - 1) / (len(own) - len(kept))
        samples += len(own)
    return total / samples, 1 - residual / total, 1 - corrected / total


def measured(z: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    return torch.stack([DIAGNOSTICS[name].function(z, coarse, fine) for name in NAMES], -1)


def test_the_table_knows_them() -> None:
    assert [name for name, one in DIAGNOSTICS.items() if one.sees == "hierarchy"] == list(NAMES)


@pytest.mark.parametrize("seed", range(3))
def test_they_equal_loops(seed: int) -> None:
    z = points(len(FINE), 4, seed=seed) * (1 + seed)
    found = measured(z, torch.tensor(COARSE), torch.tensor(FINE))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), naive(z.numpy(), COARSE, FINE), rtol=1e-12)


def test_one_class_in_one_dimension_is_the_analysis_of_variance() -> None:
    z = points(12, 1) + torch.arange(12).unsqueeze(1).double().sqrt()
    fine = [0] * 5 + [1] * 4 + [2] * 3
    share = fine_explained_share(z, torch.zeros(12, dtype=torch.int64), torch.tensor(fine)).item()
    corrected = fine_explained_share_corrected(z, torch.zeros(12, dtype=torch.int64), torch.tensor(fine)).item()
    f = f_oneway(z[:5, 0], z[5:9, 0], z[9:, 0]).statistic
    assert share == pytest.approx(2 * f / (2 * f + 9), rel=1e-10)
    assert corrected == pytest.approx(2 * (f - 1) / (2 * f + 9), rel=1e-10)  # ε² = (F - 1) df / (F df + rest)


def test_order_rotation_scale_shift_and_names_change_no_share() -> None:
    z, coarse, fine = points(len(FINE), 4), torch.tensor(COARSE), torch.tensor(FINE)
    value = measured(z, coarse, fine)
    rotation, _ = torch.linalg.qr(points(4, 4))
    order = torch.randperm(len(FINE), generator=torch.Generator().manual_seed(1))
    renamed = torch.where(fine == -1, fine, 50 - fine)
    for same in (
        measured(z[order], coarse[order], fine[order]),
        measured(z @ rotation + 3, coarse, fine),
        measured(z, coarse, renamed),
        measured(z, coarse.int(), fine.int()),
        measured(z, coarse.int(), fine),
    ):
        torch.testing.assert_close(same, value)
    larger = measured(1e-3 * z, coarse, fine)
    torch.testing.assert_close(larger[1:], value[1:])
    torch.testing.assert_close(larger[0], 1e-6 * value[0])


def test_classes_may_lie_anywhere_but_for_their_own_spread() -> None:
    """Moving whole classes apart changes nothing: what separates them is not within them."""
    z, coarse, fine = points(len(FINE), 4), torch.tensor(COARSE), torch.tensor(FINE)
    moved = z + coarse.unsqueeze(1) * points(1, 4, seed=5)
    torch.testing.assert_close(measured(moved, coarse, fine), measured(z, coarse, fine))


def test_runs_at_once_are_runs_one_by_one() -> None:
    z, coarse, fine = points(2, 3, len(FINE), 4), torch.tensor(COARSE), torch.tensor(FINE)
    orders = torch.stack([torch.randperm(len(FINE), generator=torch.Generator().manual_seed(n)) for n in range(6)])
    orders = orders.view(2, 3, -1)
    for own_coarse, own_fine in ((coarse, fine), (coarse[orders], fine[orders])):
        together = measured(z, own_coarse, own_fine)
        for run in np.ndindex(2, 3):
            given = [part if part.ndim == 1 else part[run] for part in (own_coarse, own_fine)]
            torch.testing.assert_close(together[run], measured(z[run], *given))


def test_fine_classes_that_are_points_explain_everything() -> None:
    places = points(3, 4)
    z = places.repeat_interleave(3, 0)
    coarse, fine = torch.zeros(9, dtype=torch.int64), torch.arange(3).repeat_interleave(3)
    assert fine_explained_share(z, coarse, fine).item() == pytest.approx(1, abs=1e-14)
    assert fine_explained_share_corrected(z, coarse, fine).item() == pytest.approx(1, abs=1e-14)


def test_fine_classes_with_one_center_explain_nothing() -> None:
    spread = points(4, 3)
    z = torch.cat([spread, -spread, 2 * spread, -2 * spread])
    coarse, fine = torch.zeros(16, dtype=torch.int64), torch.tensor([0, 0, 0, 0] * 2 + [1, 1, 1, 1] * 2)
    assert fine_explained_share(z, coarse, fine).item() == pytest.approx(0, abs=1e-14)
    assert fine_explained_share_corrected(z, coarse, fine).item() < 0


def test_over_all_orders_of_the_labels_the_corrected_share_is_zero_in_the_mean() -> None:
    z = torch.cat([points(5, 3), 10 * points(4, 3, seed=1)])
    coarse = torch.tensor([0] * 5 + [1] * 4)
    firsts = sorted(set(itertools.permutations([0, 0, 1, 1, 1])))
    seconds = sorted(set(itertools.permutations([2, 2, 3, 3])))
    shares = [
        (fine_explained_share_corrected(z, coarse, fine).item(), fine_explained_share(z, coarse, fine).item())
        for fine in (torch.tensor([*one, *other]) for one in firsts for other in seconds)
    ]
    corrected, raw = np.mean(shares, axis=0)
    assert corrected == pytest.approx(0, abs=1e-14)
    assert raw > 0.25  # what is corrected: 1 of 4 and 1 of 3 degrees of freedom


def test_small_fine_classes_at_random_need_the_correction() -> None:
    z = points(400, 16)
    coarse, fine = torch.arange(400) // 200, torch.arange(400) // 4
    assert fine_explained_share(z, coarse, fine).item() == pytest.approx(49 / 199, abs=0.02)
    assert fine_explained_share_corrected(z, coarse, fine).item() == pytest.approx(0, abs=0.02)


def test_the_share_of_a_known_mixture() -> None:
    """Fine centers of variance 3 and noise of variance 1 around them: three quarters, with few samples too."""
    random = torch.Generator().manual_seed(0)
    centers = math.sqrt(3) * torch.randn(1000, 1, 8, generator=random, dtype=torch.float64)
    z = (centers + torch.randn(1000, 3, 8, generator=random, dtype=torch.float64)).view(3000, 8)
    coarse, fine = torch.zeros(3000, dtype=torch.int64), torch.arange(3000) // 3
    assert fine_explained_share_corrected(z, coarse, fine).item() == pytest.approx(0.75, abs=0.01)
    assert fine_explained_share(z, coarse, fine).item() > 0.82


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1]),  # nothing finer
        ([0, 0, 0, 0], [0, 1, 2, 3]),  # a sample each
        ([-1, -1, -1, -1], [0, 0, 1, 1]),
        ([0, 0, 0, 0], [-1, -1, -1, -1]),
    ],
)
def test_where_nothing_is_left_there_is_no_share(coarse: list[int], fine: list[int]) -> None:
    assert measured(points(4, 3), torch.tensor(coarse), torch.tensor(fine)).isnan().all()


def test_without_variance_there_is_no_share() -> None:
    statistics = fine_statistics(torch.ones(4, 3), torch.zeros(4, dtype=torch.int64), torch.tensor([0, 0, 1, 1]))
    assert within_coarse_variance(statistics) == 0
    assert fine_explained_share(statistics).isnan()
    assert fine_explained_share_corrected(statistics).isnan()


def test_a_fine_class_in_two_classes_is_refused() -> None:
    with pytest.raises(InvalidInput, match="fine class 0 lies in several classes"):
        fine_statistics(points(4, 2), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]))


def test_float32_embeddings_are_accumulated_in_float64() -> None:
    z, coarse, fine = points(len(FINE), 4).float(), torch.tensor(COARSE), torch.tensor(FINE)
    torch.testing.assert_close(measured(z, coarse, fine), measured(z.double(), coarse, fine), rtol=1e-12, atol=0)
