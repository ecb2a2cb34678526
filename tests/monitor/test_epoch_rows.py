"""What the end of an epoch says of embeddings: what `losscope.diagnose` says, under the same names."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import losscope
from losscope.errors import InvalidInput
from losscope.monitor import LosscopeWarning, Monitor, never, space
from losscope.table import read_measurements

CLASSES = 6


def points(count: int = 240, dim: int = 8, spread: float = 0.6, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    return torch.randn(CLASSES, dim, generator=random)[labels] + spread * torch.randn(
        count, dim, generator=random
    ), labels


def values(monitor: Monitor) -> dict[tuple[str, int | None], float | None]:
    return {(name, item): value for _, _, _, name, item, value in monitor.rows}


def test_everything_is_what_a_diagnosis_says() -> None:
    embeddings, labels = points()
    labels[:3] = -1
    monitor = Monitor(strict=True)
    found = monitor.epoch(embeddings, labels)
    expected = losscope.diagnose(embeddings, labels).document()
    said = values(monitor)
    for name in ("recall_at_k", "precision_at_k", "ndcg_at_k", "retrieved_share_at_k", "knn_accuracy"):
        for k, value in expected[name].items():
            assert said[name, int(k)] == pytest.approx(value, abs=1e-6)
    for name in ("r_precision", "map_at_r", "mrr", "intra_class_variance_mean", "inter_class_distance_mean"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    for name, place in space.DESCRIBED.items():
        part, leaf = place.split(".")
        value = expected["geometry"][part][leaf]
        assert found[name] == pytest.approx(value["value"] if isinstance(value, dict) else value, rel=1e-4, abs=1e-6)
    assert found["eer"] == pytest.approx(expected["verification"]["eer"], abs=1e-4)
    assert found["opis"] == pytest.approx(expected["verification"]["opis"], abs=1e-4)
    assert said["fnmr_at_fmr", 100] == pytest.approx(expected["verification"]["fnmr_at_fmr"]["0.01"], abs=1e-3)
    assert (found["collapse_alarm"], found["geometry_rows"], found["queries_asked"]) == (0.0, 240.0, 237.0)


def test_arrays_are_embeddings_too() -> None:
    embeddings, labels = points()
    assert Monitor(strict=True).epoch(embeddings.numpy(), labels.numpy().astype(np.int32)) == Monitor(
        strict=True
    ).epoch(embeddings, labels)


def test_what_is_costly_has_a_schedule_of_epochs() -> None:
    monitor = Monitor(strict=True, describe=never)
    found = monitor.epoch(*points())
    assert {"map_at_r", "intra_class_variance_mean", "effective_rank"} <= found.keys()
    assert not {*space.DESCRIBED, "eer", "collapse_alarm"} & found.keys()


def test_large_splits_are_sampled_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EXACT": 200, "PAIRS": 50, "QUERIES": 60, "ROWS": 130}.items():
        monkeypatch.setattr(space, name, value)
    embeddings, labels = points()
    whole = losscope.diagnose(embeddings, labels)
    with Monitor(out=tmp_path / "run", strict=True) as monitor:
        found, again = (monitor.epoch(embeddings, labels) for _ in range(2))
    assert found == again  # the same rows are drawn at each epoch
    assert (found["queries_asked"], found["geometry_rows"]) == (60.0, 120.0)  # three whole classes of 40
    assert found["map_at_r"] == pytest.approx(whole.map_at_r, abs=0.1)
    assert found["intra_class_variance_mean"] == pytest.approx(whole.intra_class_variance_mean, rel=1e-5)
    assert "all rows query up to 5,000" in (tmp_path / "run" / "manifest.json").read_text()


@pytest.mark.parametrize("labels", [torch.arange(300), torch.zeros(300, dtype=torch.int64), torch.full((300,), -1)])
def test_labels_without_partners_or_without_others(labels: Tensor) -> None:
    found = Monitor(strict=True).epoch(points(300)[0], labels)
    assert "effective_rank" in found
    assert ("map_at_r" in found) is (int(labels.max()) == 0)


def test_a_second_split_is_of_the_same_epoch(tmp_path: Path) -> None:
    criterion = losscope.Criterion("contrastive")
    embeddings, labels = points()
    with Monitor(criterion, out=tmp_path / "run", strict=True, describe=never) as monitor:
        monitor.epoch(embeddings, labels, split="train")
        monitor.epoch(embeddings, labels)
        for _ in range(2):
            criterion(embeddings.clone().requires_grad_(), labels).backward()
            monitor.epoch(embeddings, labels, split="train")
            monitor.epoch(embeddings, labels)
    assert monitor.epochs == 2
    rows = read_measurements(tmp_path / "run").to_pylist()
    places = [(row["split"], row["epoch"]) for row in rows if row["diagnostic"] == "map_at_r"]
    assert places == [(split, epoch) for epoch in range(3) for split in ("train", "heldout")]


def test_bad_embeddings_end_the_epoch_all_the_same() -> None:
    criterion = losscope.Criterion("contrastive")
    embeddings, labels = points()
    broken = embeddings.clone()
    broken[7, 2] = torch.nan
    with Monitor(criterion) as monitor:
        criterion(embeddings.clone().requires_grad_(), labels).backward()
        with pytest.warns(LosscopeWarning, match="the first is row 7"):
            assert monitor.epoch(broken, labels) == {}
        assert monitor.epochs == 1
        assert any(row[3] == "loss" for row in monitor.rows)
    for wrong in (labels[:5], labels.double(), None):
        with pytest.raises(InvalidInput, match="expected"):
            Monitor(strict=True).epoch(embeddings, wrong)


def test_alarm_and_suspects_reach_the_user(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    embeddings, labels = points(spread=0.1)
    labels[:4] = (labels[:4] + 1) % CLASSES  # four rows are mislabeled
    with caplog.at_level(logging.INFO, "losscope"), Monitor(out=tmp_path / "run", strict=True) as monitor:
        found = monitor.epoch(embeddings, labels)
        assert found["label_suspects"] == 4.0
        assert [one.code for one in monitor.findings] == ["label-suspects"]
        assert "epoch 0, heldout: 4 of 240 rows (2 %) fit another class better" in monitor.findings[0].evidence[0]
        found = monitor.epoch(torch.ones(240, 8) + 1e-3 * embeddings, labels)
    assert found["collapse_alarm"] == 2.0
    assert [one.code for one in monitor.findings] == ["label-suspects", "collapsed"]
    assert [(one.levelname, one.getMessage().split("\n")[0]) for one in caplog.records] == [
        ("INFO", "note: label-suspects"), ("WARNING", "issue: collapsed"),
    ]  # fmt: skip
    assert '"code": "collapsed"' in (tmp_path / "run" / "manifest.json").read_text()
    flat = (
        torch.randn(240, 1).abs() * torch.randn(1, 8) * torch.where(torch.arange(240) % 2 == 0, 1.0, -1.0).unsqueeze(1)
    )
    monitor = Monitor(strict=True)
    assert monitor.epoch(flat, labels)["collapse_alarm"] == 1.0
    assert [one.code for one in monitor.findings] == ["dimensional-collapse"]
