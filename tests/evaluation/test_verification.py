"""Verification against scikit-learn's ROC curve, naive loops over pairs and thresholds, and known answers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation import verification
from losscope.evaluation.verification import COARSE
from losscope.neighbors import RESOLUTION


def batch(samples: int = 120) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 6, (samples,), generator=random)
    z = torch.randn(6, 8, generator=random)[labels] + torch.randn(samples, 8, generator=random)
    labels[:5] = -1
    return z, labels


def pairs_of(z: Tensor, labels: Tensor, similarity: str) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Similarity (cosine or negative distance), whether genuine, and the two classes of each pair."""
    x, listed = z.double().numpy(), labels.tolist()
    similar, same, classes = [], [], []
    for i, j in combinations(range(len(x)), 2):
        if -1 in (listed[i], listed[j]):
            continue
        cosine = x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
        similar.append(cosine if similarity == "cosine" else -np.linalg.norm(x[i] - x[j]))
        same.append(listed[i] == listed[j])
        classes.append((listed[i], listed[j]))
    return np.array(similar), np.array(same), classes


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_rates_equal_those_of_the_roc_curve(similarity: Any) -> None:
    z, labels = batch()
    similar, same, _ = pairs_of(z, labels, similarity)
    fmr, tpr, thresholds = roc_curve(same, similar, drop_intermediate=False)
    found = verification(z, labels, fmrs=(0.1, 0.01, 0.001), similarity=similarity)
    assert (found.genuine, found.impostors) == (same.sum(), (~same).sum())
    for rate, fnmr in found.fnmr_at_fmr.items():
        last = np.flatnonzero(fmr <= rate)[-1]
        assert fnmr == pytest.approx(1 - tpr[last], abs=1e-9)
        threshold = found.threshold_at_fmr[rate] * (1 if similarity == "cosine" else -1)
        assert ((similar >= threshold) & ~same).sum() / (~same).sum() == pytest.approx(fmr[last], abs=1 / (~same).sum())
        assert threshold <= thresholds[last] + 2e-5
    crossing = np.flatnonzero(fmr >= 1 - tpr)[0]  # from the strictest threshold on
    low, high = sorted((fmr[crossing - 1], fmr[crossing]))
    low_miss, high_miss = sorted((1 - tpr[crossing], 1 - tpr[crossing - 1]))
    assert max(low, low_miss) - 1e-9 <= found.eer <= min(high, high_miss) + 1e-9
    accepted = similar >= (found.eer_threshold - 1e-5 if similarity == "cosine" else -found.eer_threshold - 1e-5)
    assert (accepted & ~same).sum() / (~same).sum() == pytest.approx(found.eer, abs=0.005)
    assert (~accepted & same).sum() / same.sum() == pytest.approx(found.eer, abs=0.005)


def test_opis_equals_the_naive_loop_over_classes_and_thresholds() -> None:
    z, labels = batch()
    similar, same, classes = pairs_of(z, labels, "cosine")
    fine = np.round(similar / RESOLUTION) - round(-1 / RESOLUTION)
    impostors = np.sort(fine[~same])

    def first_with(rate: float) -> int:
        place = next(i for i in range(len(impostors) + 1) if (len(impostors) - i) / len(impostors) <= rate)
        return int(impostors[place - 1]) + 1 if place else 0

    bins = fine // COARSE
    thresholds = range(first_with(0.1) // COARSE, first_with(0.001) // COARSE + 1)
    utility = np.zeros((6, len(thresholds)))
    for label in range(6):
        mine = np.array([label in pair for pair in classes])
        for place, threshold in enumerate(thresholds):
            tpr, tnr = (bins[mine & same] >= threshold).mean(), (bins[mine & ~same] < threshold).mean()
            utility[label, place] = 2 * tpr * tnr / (tpr + tnr)
    expected = ((utility - utility.mean(0)) ** 2).mean()
    found = verification(z, labels)
    assert found.opis_classes == 6
    assert found.opis == pytest.approx(expected, rel=1e-3)  # a pair at the edge of a bin may round to the other side
    assert expected > 1e-3


def test_classes_on_axes_are_told_apart_without_error() -> None:
    labels = torch.arange(4).repeat_interleave(3)
    found = verification(torch.eye(4)[labels], labels)
    assert (found.eer, found.genuine, found.impostors) == (0.0, 12, 54)
    assert set(found.fnmr_at_fmr.values()) == {0.0}
    assert found.opis == pytest.approx(0, abs=1e-12)


def test_a_collapsed_space_tells_nothing_apart() -> None:
    found = verification(torch.ones(40, 3), torch.arange(40) % 4)
    assert found.eer == pytest.approx(0.5)
    assert found.fnmr_at_fmr == {1e-2: 1.0, 1e-3: 1.0, 1e-4: 1.0}


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["losscope.evaluation.verification"]
    z, labels = batch()
    found = verification(z, labels)
    monkeypatch.setattr(module, "BLOCK", 37)
    told: list[tuple[int, int]] = []
    assert verification(z, labels, progress=lambda done, total: told.append((done, total))) == found
    assert told[-1] == (115, 115)
    monkeypatch.setattr(module, "CELLS", 2000)
    assert verification(z, labels).opis_resolution > found.opis_resolution


@pytest.mark.parametrize(
    ("z", "labels", "options", "message"),
    [
        (torch.ones(3, 2), torch.tensor([0, 0, 0]), {}, "3 pairs of one class and 0 of two"),
        (torch.ones(3, 2), torch.tensor([0, 1, 2]), {}, "0 pairs of one class and 3 of two"),
        (torch.ones(3, 2), torch.tensor([-1, -1, 2]), {}, "1 rows with a class"),
        (torch.ones(3, 2), torch.tensor([0, 0]), {}, "labels are a tensor"),
        (torch.ones(3, 2), torch.tensor([0, 0, 1]), {"similarity": "inner_product"}, "no threshold for all queries"),
        (torch.ones(3, 2), torch.tensor([0, 0, 1]), {"fmrs": (0.0,)}, "expected shares between 0 and 1"),
    ],
)
def test_what_has_no_rates_is_refused(z: Tensor, labels: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        verification(z, labels, **options)
