"""What is measured at the end of an epoch: the diagnostics' own values, for every split and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope import diagnostics
from losscope.evaluation import Evaluation, knn_accuracy, linear_probe_accuracy, retrieval
from losscope.table import read_lines
from losscope.training.measure import (
    GEOMETRY,
    MAP_ROWS,
    Embedded,
    SplitInputs,
    evaluation_rows,
    geometry_rows,
    map_columns,
    measure_inputs,
)
from losscope.training.records import GroupRecord
from losscope.training.run import Place, load_datasets
from stacks import SYNTHETIC, build, cell

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, -1]).repeat(2, 1)


def embedded(seed: int = 0) -> Embedded:
    random = torch.Generator().manual_seed(seed)
    return Embedded(normalize(torch.randn(2, 10, 4, generator=random), dim=-1), LABELS)


def by_name(rows: Any, run: int) -> dict[tuple[str, int | None], float]:
    return {(name, item): value for index, _, _, name, item, value in rows if index == run}


def test_geometry_is_that_of_the_diagnostics() -> None:
    given = embedded()
    rows = list(geometry_rows("test", 3, given))
    assert {row[1:3] for row in rows} == {("test", 3)}
    for run in range(2):
        z, labels, found = given.embeddings[run], LABELS[run], by_name(rows, run)
        assert len(found) == 3 + len(GEOMETRY) + 2
        for label, value in enumerate(diagnostics.intra_class_variance(z, labels).tolist()):
            assert found["intra_class_variance", label] == value
        for name in GEOMETRY:
            assert found[name, None] == getattr(diagnostics, name)(z, labels).item()
        assert found["effective_rank", None] == diagnostics.effective_rank(z[:9]).item()
        assert found["within_class_effective_rank", None] == diagnostics.within_class_effective_rank(z, labels).item()


def test_a_split_with_one_class_and_a_diverged_run_have_no_geometry() -> None:
    given = embedded()
    given.embeddings[0, 4, 1] = torch.nan
    assert {row[0] for row in geometry_rows("test", 1, given)} == {1}
    alone = Embedded(given.embeddings[1:], torch.zeros(1, 10, dtype=torch.int64))
    assert list(geometry_rows("test", 1, alone)) == []


def test_evaluation_is_within_each_split_that_is_not_trained_on() -> None:
    train, test = embedded(0), embedded(1)
    kept: list[tuple[int, str, int, Tensor, Evaluation]] = []
    rows = list(evaluation_rows({"train": train, "train_clean": train, "test": test}, 5, classify=True,
                                keep=lambda *found: kept.append(found)))  # fmt: skip
    assert {row[1] for row in rows} == {"test"}
    for run in range(2):
        found, expected = by_name(rows, run), retrieval(test.embeddings[run], LABELS[run])
        assert {k: found["recall_at_k", k] for k in (1, 5, 10)} == expected.recall_at_k
        assert found["r_precision", None] == pytest.approx(expected.r_precision)
        assert found["map_at_r", None] == pytest.approx(expected.map_at_r)
        known = (train.embeddings[run], LABELS[run], test.embeddings[run], LABELS[run])
        assert found["knn_accuracy", None] == knn_accuracy(*known)
        assert found["linear_probe_accuracy", None] == linear_probe_accuracy(*known)
    assert [(run, split, epoch) for run, split, epoch, *_ in kept] == [(0, "test", 5), (1, "test", 5)]
    assert kept[0][4].queries.tolist() == list(range(9))


def test_unseen_classes_are_not_classified_and_unqueryable_splits_are_left_out() -> None:
    test = embedded(1)
    rows = list(evaluation_rows({"train": embedded(), "test": test}, 1))
    assert not {row[3] for row in rows} & {"knn_accuracy", "linear_probe_accuracy"}
    lonely = Embedded(test.embeddings, torch.arange(10).repeat(2, 1))
    assert list(evaluation_rows({"train": test, "test": lonely}, 1, classify=True)) == []


def test_splits_with_the_same_inputs_are_embedded_once() -> None:
    given = cell((0, 1))
    datasets = load_datasets(given, Place())
    splits = SplitInputs(datasets, "cpu", torch.float32)
    assert sorted(splits.inputs) == ["heldout", "train"]
    stack = build(given)
    found = splits.embed(stack, lambda split: True)
    assert sorted(found) == ["heldout", "train", "train_clean"]
    assert found["train"].embeddings is found["train_clean"].embeddings
    for run, dataset in enumerate(datasets):
        assert found["heldout"].labels[run].tolist() == dataset.splits["heldout"].labels.tolist()
    assert not torch.equal(found["train"].labels, found["train_clean"].labels)  # noisy and clean


def test_raw_inputs_are_measured_at_unit_length_as_the_loss_none(tmp_path: Path) -> None:
    datasets = load_datasets(cell((0, 1)), Place())
    record = GroupRecord(tmp_path, {"runs": ["r0", "r1"], "seeds": [0, 1]})
    measure_inputs(record, datasets, whiten=False)
    (line,) = read_lines(tmp_path / "epochs.jsonl")
    assert line["epoch"] == 0
    for run, dataset in enumerate(datasets):
        split = dataset.splits["heldout"]
        units = normalize(torch.from_numpy(split.inputs), dim=-1)
        found = {(row[3], row[4]): row[5] for row in line["rows"] if row[0] == run and row[1] == "heldout"}
        expected = diagnostics.intra_inter_ratio(units, torch.from_numpy(split.labels))
        assert found["intra_inter_ratio", None] == pytest.approx(expected.item())
        assert found["recall_at_k", 1] == pytest.approx(retrieval(units, torch.from_numpy(split.labels)).recall_at_k[1])
    assert SYNTHETIC.name == "synthetic"
    assert (tmp_path / "map.parquet").exists()


# the plane of principal components --------------------------------------------------------------------------


def plane(points: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
    found = map_columns("r0", "train", 4, points, torch.arange(len(points)))
    return np.stack([found["x"], found["y"]], axis=1), found


def test_the_plane_is_that_of_the_first_two_components() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(50, 4, generator=random) * torch.tensor([5.0, 2.0, 1.0, 0.1]) + 7
    found, columns = plane(points)
    centered = points.double().numpy() - points.double().numpy().mean(0)
    _, values, directions = np.linalg.svd(centered, full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(centered @ directions[:2].T), atol=1e-5)
    assert columns["explained"][0] == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    assert found[np.abs(found).argmax(0), [0, 1]].min() > 0  # the sign is fixed by the farthest point


def test_a_large_split_is_thinned_evenly() -> None:
    points = torch.randn(3 * MAP_ROWS, 3, generator=torch.Generator().manual_seed(0))
    _, columns = plane(points)
    rows = columns["row"]
    assert len(rows) == MAP_ROWS
    assert (rows[0], rows[-1]) == (0, 3 * MAP_ROWS - 1)
    assert set(np.diff(rows)) <= {2, 3, 4}
    assert columns["label"].tolist() == rows.tolist()


def test_a_plane_of_points_without_spread_or_with_one_dimension() -> None:
    found, columns = plane(torch.ones(5, 3))
    assert not found.any()
    assert columns["explained"] == [0.0] * 5
    found, columns = plane(torch.tensor([[1.0], [-1.0], [1.0]]))
    assert columns["explained"][0] == pytest.approx(1)
    assert not found[:, 1].any()
