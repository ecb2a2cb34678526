"""Epoch rows of one split's embeddings: everything that `losscope.diagnose` says in numbers, at a bounded cost.

VARIANCE is of all rows. What is quadratic is bounded, always in the same way, so that epochs compare:

    retrieval     up to EXACT rows all query; beyond, QUERIES of them against all rows
    geometry      of up to ROWS rows; beyond, of whole classes drawn until there are as many; pairs of rows and their
                  neighbors of all rows up to PAIRS, beyond of QUERIES against all of them
    verification  all pairs of up to EXACT rows

What is drawn is drawn with seed 0, the same rows at each epoch. How many asked is in the rows `queries_asked` and
`geometry_rows`; the manifest says the limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope import diagnostics
from losscope.diagnostics.variance import class_statistics
from losscope.errors import InvalidInput
from losscope.evaluation import evaluate, verification
from losscope.geometry import Estimate, Geometry, describe
from losscope.seeds import generator
from losscope.training.measure import GEOMETRY, KS
from losscope.training.records import Row
from losscope.types import OUTLIER

EXACT, PAIRS, QUERIES, ROWS = 5_000, 2_000, 1_000, 20_000

LIMITS = (
    f"all rows query up to {EXACT:,}, beyond {QUERIES:,} do, against all; geometry of whole classes of up to {ROWS:,} rows, "
    f"its pairs exact up to {PAIRS:,} rows and of {QUERIES:,} queries beyond; drawn with seed 0"
)
"""What the record says of sampling."""

DESCRIBED = {
    "participation_ratio": "spectrum.participation_ratio",
    "spectral_decay": "spectrum.spectral_decay",
    "within_class_participation_ratio": "spectrum.within_class_participation_ratio",
    "components_90": "spectrum.components_90",
    "nc1": "collapse.nc1",
    "nc2_equinorm": "collapse.nc2_equinorm",
    "nc2_equiangular": "collapse.nc2_equiangular",
    "nc2_max_angle": "collapse.nc2_max_angle",
    "alignment": "alignment_uniformity.alignment",
    "tolerance": "alignment_uniformity.tolerance",
    "uniformity": "alignment_uniformity.uniformity",
    "hubness_skewness": "hubness.skewness",
    "antihub_share": "hubness.antihub_share",
    "bad_share": "hubness.bad_share",
    "bad_hub_share": "hubness.bad_hub_share",
    "silhouette": "silhouette.mean",
    "overlap_auc": "overlap.auc",
    "overlap_coefficient": "overlap.coefficient",
    "pi_intra": "density.pi_intra",
    "pi_inter": "density.pi_inter",
    "pi_ratio": "density.pi_ratio",
    "label_suspects": "suspects.total",
    "label_agreement": "suspects.agreement",
    "duplicates": "duplicates.total",
    "duplicates_across": "duplicates.across_total",
}
"""Diagnostic of the table -> its place in the document of a diagnosis, below `geometry`."""

ALARM = {"none": 0.0, "dimensional": 1.0, "total": 2.0}
"""Values of the diagnostic `collapse_alarm`."""


class SpaceRows:
    """One split's embeddings (samples, dim) with labels (samples,), tensors or arrays, measured when asked.

    `geometry` is the whole description, once `described`. Raises InvalidInput for other shapes and types, and for rows
    that are not finite.
    """

    def __init__(self, split: str, epoch: int, embeddings: Any, labels: Any) -> None:
        self.split, self.epoch = split, epoch
        self.geometry: Geometry | None = None
        points, self.labels = _checked(embeddings, labels)
        self.points = torch.nn.functional.normalize(points, dim=-1)

    @torch.no_grad()
    def variance(self) -> Iterator[Row]:
        """VARIANCE of all rows, as a study measures it."""
        statistics = class_statistics(self.points, self.labels)
        if len(statistics.classes) >= 2:
            for label, value in zip(statistics.classes.tolist(), statistics.variances.tolist(), strict=True):
                yield self._row("intra_class_variance", value, label)
            for name in GEOMETRY:
                yield self._row(name, getattr(diagnostics, name)(statistics).item())
            within = diagnostics.within_class_effective_rank(self.points, self.labels, statistics)
            yield self._row("within_class_effective_rank", within.item())
        yield self._row("effective_rank", diagnostics.effective_rank(self.points[self.labels != OUTLIER]).item())

    @torch.no_grad()
    def retrieved(self) -> Iterator[Row]:
        """Retrieval and k-NN accuracy of the queries; nothing where nobody has a partner."""
        queries = _queries(self.labels)
        if not len(queries):
            return
        chosen: dict[str, Any] = {} if len(queries) == len(self.labels) else {"query_rows": queries}
        gallery = (self.points, self.labels) if chosen else ()
        found = evaluate(self.points[queries], self.labels[queries], *gallery, ks=KS, **chosen)
        for name, value in found.means.items():
            for k, one in value.items() if isinstance(value, Mapping) else [(None, value)]:
                yield self._row(name, one, k)
        yield self._row("queries_asked", float(len(found.queries)))

    @torch.no_grad()
    def described(self) -> Iterator[Row]:
        """All else that `losscope.diagnose` says; nothing of a single class."""
        rows = _whole_classes(self.labels)
        points, labels = self.points[rows], self.labels[rows]
        classed = _counts(labels)
        if len(classed) < 2:
            return
        device = points.device if points.device.type == "cuda" else torch.device("cpu")
        self.geometry = describe(points, labels, exact_up_to=PAIRS, sample=QUERIES, device=device)
        for name, place in DESCRIBED.items():
            yield self._row(name, _at(self.geometry, place))
        yield self._row("collapse_alarm", ALARM[self.geometry.alarm.kind])
        yield self._row("geometry_rows", float(len(rows)))
        if len(labels) <= EXACT and int(classed.max()) >= 2:
            found = verification(points.to(device), labels.to(device), similarity="cosine")
            yield self._row("eer", found.eer)
            yield self._row("opis", found.opis)
            for rate, value in found.fnmr_at_fmr.items():
                yield self._row("fnmr_at_fmr", value, round(1 / rate))  # item 1000: one impostor in a thousand

    def _row(self, name: str, value: float, item: int | None = None) -> Row:
        return 0, self.split, self.epoch, name, item, value if math.isfinite(value) else None


def _checked(embeddings: Any, labels: Any) -> tuple[Tensor, Tensor]:
    points = embeddings.detach() if isinstance(embeddings, Tensor) else torch.from_numpy(np.asarray(embeddings))
    given = labels.detach() if isinstance(labels, Tensor) else torch.from_numpy(np.asarray(labels))
    if points.ndim != 2 or not len(points) or given.shape != points.shape[:1] or given.is_floating_point():
        raise InvalidInput(
            f"monitor.epoch got embeddings {tuple(points.shape)} and labels {tuple(given.shape)} of {given.dtype}; expected "
            "(samples, dim) and one integer for each sample, -1 for no class"
        )
    points = points.float()
    if not bool(points.isfinite().all()):
        bad = (~points.isfinite().all(1)).nonzero().squeeze(1)
        raise InvalidInput(
            f"monitor.epoch got {len(bad)} of {len(points)} rows with NaN or infinite values, the first is row {int(bad[0])}; "
            "expected finite embeddings: the run may have diverged"
        )
    return points, given.to(points.device, torch.int64)


def _queries(labels: Tensor) -> Tensor:
    """The rows (queries,) that ask, in order: all of few, else some of those that have a partner."""
    _, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    able = ((labels != OUTLIER) & (counts[place] > 1)).nonzero().squeeze(1)
    if not len(able) or len(labels) <= EXACT:
        return torch.arange(len(labels) if len(able) else 0, device=labels.device)
    drawn = generator(0, "queries").choice(len(able), min(QUERIES, len(able)), replace=False)
    chosen: Tensor = able[torch.from_numpy(np.sort(drawn)).to(labels.device)]
    return chosen


def _whole_classes(labels: Tensor) -> Tensor:
    """Rows (rows,) in order: all, or those of classes drawn until there are enough; a class too large alone is cut."""
    if len(labels) <= ROWS:
        return torch.arange(len(labels), device=labels.device)
    classes, counts = torch.unique(labels[labels != OUTLIER], return_counts=True)
    random = generator(0, "monitor", "classes")
    order = torch.from_numpy(random.permutation(len(classes)))
    fitting = int((counts.cpu()[order].cumsum(0) <= ROWS).sum())
    if fitting < 2:  # few large classes: rows of all
        drawn = random.choice(len(labels), ROWS, replace=False)
        return torch.from_numpy(np.sort(drawn)).to(labels.device)
    return torch.isin(labels, classes[order[:fitting].to(labels.device)]).nonzero().squeeze(1)


def _counts(labels: Tensor) -> Tensor:
    """Rows of each class (classes,)."""
    counts: Tensor = torch.unique(labels[labels != OUTLIER], return_counts=True)[1]
    return counts


def _at(geometry: Geometry, place: str) -> float:
    part, name = place.split(".")
    value = getattr(getattr(geometry, part), name)
    return float(value.value if isinstance(value, Estimate) else value)
