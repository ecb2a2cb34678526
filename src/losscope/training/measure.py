"""What is measured on a stack's embeddings at the end of an epoch: compact rows for the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from losscope import diagnostics
from losscope.data.dataset import Dataset
from losscope.data.whitening import pca_whitened
from losscope.diagnostics.variance import class_statistics
from losscope.errors import InvalidInput
from losscope.evaluation import Evaluation, evaluate, knn_accuracy, linear_probe_accuracy
from losscope.evaluation.retrieval import RETRIEVAL
from losscope.training.granularity import fine_geometry, fine_retrieval
from losscope.training.loop import Inputs, Stack
from losscope.training.prepare import stack
from losscope.training.records import GroupRecord, Row
from losscope.types import OUTLIER

Keep = Callable[[int, str, int, Tensor, Evaluation], None]

KS = (1, 5, 10)
MAP_ROWS = 2000

GEOMETRY = (
    "intra_class_variance_mean", "intra_class_variance_unbiased_mean", "intra_class_variance_over_classes",
    "intra_class_variance_cv", "inter_class_distance_mean", "inter_class_distance_mean_corrected",
    "inter_class_distance_variance", "inter_class_distance_cv", "inter_class_distance_min", "inter_class_distance_q05",
    "inter_class_squared_distance_mean", "centroid_cosine_mean", "centroid_cosine_max", "within_variance",
    "between_variance", "mean_resultant_squared", "fisher_ratio", "intra_inter_ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Embedded:
    """One split as a stack embeds it: (runs, samples, dim), labels and finer labels, if any, (runs, samples)."""

    embeddings: Tensor
    labels: Tensor
    fine: Tensor | None = None


def geometry_rows(split: str, epoch: int, embedded: Embedded, *, whole: bool = True) -> Iterator[Row]:
    """VARIANCE of one split; the `whole` of it with a row for each class, effective ranks and what finer labels explain."""
    for run, points, labels, fine in _finite_runs(embedded):
        statistics = class_statistics(points, labels)
        if len(statistics.classes) < 2:
            continue  # nothing can be said between classes: no rows rather than rows of NaN
        classes = zip(statistics.classes.tolist(), statistics.variances.tolist(), strict=True)
        for label, value in classes if whole else ():
            yield run, split, epoch, "intra_class_variance", label, value
        for name in GEOMETRY:
            yield run, split, epoch, name, None, getattr(diagnostics, name)(statistics).item()
        if not whole:
            continue
        rank = diagnostics.effective_rank(points[labels != OUTLIER])
        yield run, split, epoch, "effective_rank", None, rank.item()
        within = diagnostics.within_class_effective_rank(points, labels, statistics)
        yield run, split, epoch, "within_class_effective_rank", None, within.item()
        if fine is not None:
            yield from ((run, split, epoch, *value) for value in fine_geometry(points, labels, fine))


def _finite_runs(embedded: Embedded) -> Iterator[tuple[int, Tensor, Tensor, Tensor | None]]:
    """Index, embeddings and labels of each run whose embeddings are finite: others have no geometry, no neighbors."""
    for run, (points, labels) in enumerate(zip(embedded.embeddings, embedded.labels, strict=True)):
        if bool(points.isfinite().all()):
            yield run, points, labels, None if embedded.fine is None else embedded.fine[run]


def evaluation_rows(
    splits: Mapping[str, Embedded], epoch: int, *, classify: bool = False, keep: Keep | None = None
) -> Iterator[Row]:
    """Retrieval within each split that is not trained on; with `classify` also classifiers fitted on `train` and scored
    on it.

    `keep(run, split, epoch, labels, evaluation)` takes the per-query results.
    """
    train = splits["train"]
    for run, split, points, labels, fine in _evaluated(splits):
        if fine is not None:
            yield from ((run, split, epoch, *value) for value in fine_retrieval(points, labels, fine, KS))
        try:
            found = evaluate(points, labels, ks=KS, measures=RETRIEVAL)
        except InvalidInput:
            continue  # no class with two samples: a split too small to query
        for k, value in found.means["recall_at_k"].items():
            yield run, split, epoch, "recall_at_k", k, value
        yield run, split, epoch, "r_precision", None, found.means["r_precision"]
        yield run, split, epoch, "map_at_r", None, found.means["map_at_r"]
        if keep is not None:
            keep(run, split, epoch, labels, found)
        if classify:
            known = (train.embeddings[run], train.labels[run], points, labels)
            yield run, split, epoch, "knn_accuracy", None, knn_accuracy(*known)
            yield run, split, epoch, "linear_probe_accuracy", None, linear_probe_accuracy(*known)


def _evaluated(splits: Mapping[str, Embedded]) -> Iterator[tuple[int, str, Tensor, Tensor, Tensor | None]]:
    for split, embedded in splits.items():
        if not split.startswith("train"):
            for run, points, labels, fine in _finite_runs(embedded):
                yield run, split, points, labels, fine


def measure_inputs(record: GroupRecord, datasets: Sequence[Dataset], *, whiten: bool) -> None:
    """Measure raw inputs (or backbone features), scaled to unit length, as if they were embeddings; or, with `whiten`,
    what whitening by the training split's principal components makes of them."""
    rows: list[Row] = []
    for index, dataset in enumerate(datasets):
        flat = _flat(dataset, whiten)
        embedded = {
            name: Embedded(
                F.normalize(points, dim=-1).unsqueeze(0),
                torch.from_numpy(dataset.splits[name].labels).unsqueeze(0),
                fine_labels([dataset], name, "cpu"),
            )
            for name, points in flat.items()
        }

        def keep(run: int, *found: Any, index: int = index) -> None:
            record.append_queries(index, *found)

        of_one = [row for name, part in embedded.items() for row in geometry_rows(name, 0, part)]
        of_one += evaluation_rows(embedded, 0, classify=dataset.shares_classes, keep=keep)
        rows += [(index, *row[1:]) for row in of_one]
        if index == 0:
            labels = torch.from_numpy(dataset.splits["train"].labels)
            record.append_map(map_columns(record.group["runs"][0], "train", 0, flat["train"], labels))
    record.append(0, rows)


def _flat(dataset: Dataset, whiten: bool) -> dict[str, Tensor]:
    """Every split's inputs as (samples, dim), each array once where splits share it."""
    once = {id(part.inputs): part.inputs.reshape(len(part), -1) for part in dataset.splits.values()}
    if whiten:
        first = id(dataset.splits["train"].inputs)
        order = [first, *(key for key in once if key != first)]
        once = dict(zip(order, pca_whitened(*(once[key] for key in order)), strict=True))
    return {name: torch.from_numpy(once[id(part.inputs)]) for name, part in dataset.splits.items()}


class SplitInputs:
    """The inputs of all splits of a stack on its device, each array once, and their labels, finer ones too."""

    def __init__(self, datasets: list[Dataset], device: str, dtype: torch.dtype) -> None:
        splits = datasets[0].splits
        self.labels: dict[str, Tensor] = {}
        self.fine = {name: fine_labels(datasets, name, device) for name in splits}
        self.inputs: dict[str, Inputs] = {}
        self.same_as: dict[str, str] = {}  # a split whose inputs are another's is embedded once
        for name in splits:
            values, labels, shared = stack(datasets, name)
            self.labels[name] = torch.from_numpy(labels).to(device)
            self.same_as[name] = next(other for other in splits if splits[other].inputs is splits[name].inputs)
            if self.same_as[name] == name:
                self.inputs[name] = Inputs(torch.from_numpy(values).to(device, dtype), shared)

    def embed(self, trained: Stack, wanted: Callable[[str], bool]) -> dict[str, Embedded]:
        """The `wanted` splits as the stack embeds them now."""
        names = [name for name in self.labels if wanted(name)]
        once = {name: trained.embed(self.inputs[name]) for name in {self.same_as[name] for name in names}}
        return {name: Embedded(once[self.same_as[name]], self.labels[name], self.fine[name]) for name in names}


def fine_labels(datasets: Sequence[Dataset], split: str, device: str) -> Tensor | None:
    """Finer labels (runs, samples) of a split, on a device; None where the data have none."""
    given = [fine for dataset in datasets if (fine := dataset.splits[split].fine) is not None]
    return torch.from_numpy(np.stack(given)).to(device) if given else None


def map_columns(run: str, split: str, epoch: int, points: Tensor, labels: Tensor) -> dict[str, Any]:
    """The first two principal components of up to MAP_ROWS evenly spaced rows of (samples, dim), one fit."""
    rows = np.unique(np.linspace(0, len(points) - 1, min(MAP_ROWS, len(points))).astype(np.int64))
    chosen = points[torch.from_numpy(rows).to(points.device)].double()
    centered = chosen - chosen.mean(0)
    left, values, _ = torch.linalg.svd(centered, full_matrices=False)
    plane = F.pad(left[:, :2] * values[:2], (0, max(0, 2 - len(values))))  # one dimension has a flat plane
    farthest = plane.gather(0, plane.abs().argmax(0, keepdim=True))
    plane = plane * torch.where(farthest < 0, -1.0, 1.0)  # the sign of a component is a library's accident
    total = values.square().sum().clamp_min(torch.finfo(torch.float64).tiny)
    return {
        "run": [run] * len(rows),
        "split": [split] * len(rows),
        "epoch": [epoch] * len(rows),
        "row": rows,
        "label": labels[torch.from_numpy(rows).to(labels.device)].cpu().numpy(),
        "x": plane[:, 0].float().cpu().numpy(),
        "y": plane[:, 1].float().cpu().numpy(),
        "explained": [(values[:2].square().sum() / total).item()] * len(rows),
    }
