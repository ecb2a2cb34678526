"""The geometry of a space, as plain JSON types and a few columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch

from losscope.diagnosis.embeddings import CHUNK
from losscope.diagnosis.labels import Classes
from losscope.diagnosis.shards import pieces
from losscope.diagnosis.space import Similarity, Space, measured_by
from losscope.diagnostics.separation import inter_class_distance_mean
from losscope.geometry import ClassMoments, describe
from losscope.geometry.rows import Rows
from losscope.geometry.spectrum import spectrum
from losscope.geometry.variance import variance
from losscope.tasks import Run, in_turn

LISTED = 100
"""Suspects and duplicates that are listed; all are counted."""
ELSEWHERE = {"per_class", "plane", "suspects", "duplicates"}
"""Parts of a description that have a form of their own here."""


@dataclass(frozen=True, eq=False)
class Described:
    """`document` is plain; `per_class` columns (classes,); `suspects` row -> score and suggested label."""

    document: Mapping[str, Any]
    intra_class_variance_mean: float | None
    inter_class_distance_mean: float | None
    effective_rank: float | None
    per_class: Mapping[str, Any]
    suspects: Mapping[int, tuple[float, str]]


def described(
    space: Space,
    classes: Classes,
    similarity: Similarity,
    *,
    sample: int,
    exact_up_to: int,
    seed: int,
    device: str,
    progress: Callable[[str, int, int], None] | None,
    run: Run = in_turn,
) -> Described:
    """Everything that `losscope.geometry.describe` says; of rows in several classes only moments."""
    if space.labels.several:
        return _of_sets(space, classes, similarity)
    report = None if progress is None else lambda done, total, what: progress(what, done, total)
    found = describe(
        space.embeddings, space.labels.single, similarity=measured_by(similarity),
        sample=sample, exact_up_to=exact_up_to, seed=seed, device=device, progress=report,
        pieces=pieces(space.embeddings), run=run,
    )  # fmt: skip
    names = classes.names
    document = {part.name: plain(getattr(found, part.name)) for part in fields(found) if part.name not in ELSEWHERE}
    document["hubness"].pop("counts")  # one number for each row
    doubts = found.suspects
    listed = [
        {"row": int(row), "score": float(score), "label": names[label], "suggested": names[suggested]}
        for row, score, label, suggested in zip(
            doubts.rows.tolist(), doubts.score.tolist(), doubts.label.tolist(), doubts.suggested.tolist(), strict=True
        )
    ]
    document["suspects"] = {
        "total": int(doubts.total), "looked_at": int(doubts.looked_at), "ranked_by": doubts.ranked_by,
        "agreement": plain(doubts.agreement), "rows": listed[:LISTED],
    }  # fmt: skip
    twins = found.duplicates
    document["duplicates"] = {
        "threshold": plain(twins.threshold), "total": int(twins.total), "across_total": int(twins.across_total),
        "pairs": [
            {"rows": [int(one), int(other)], "distance": float(distance), "across": bool(across)}
            for (one, other), distance, across in zip(*_first(twins, "pairs", "distance", "across"), strict=True)
        ],
    }  # fmt: skip
    return Described(
        document,
        plain(found.variance.intra_class_variance_mean),
        plain(found.variance.inter_class_distance_mean),
        plain(found.spectrum.effective_rank),
        _per_class(found.per_class, classes),
        {row["row"]: (row["score"], row["suggested"]) for row in listed},
    )


def summarized(space: Space, classes: Classes, similarity: Similarity, device: str) -> Described:
    """The three numbers of a space that need one pass over its rows, and nothing else."""
    if space.labels.several:
        return _of_sets(space, classes, similarity)
    rows = Rows(space.embeddings, space.labels.single, similarity=measured_by(similarity), device=device)
    moments = ClassMoments(second_moment=True, device=rows.device)
    for chunk, points in rows.chunks():
        moments.update(points, rows.labels[chunk])
    found = moments.compute()
    apart = variance(found)
    return Described(
        {},
        plain(apart.intra_class_variance_mean),
        plain(apart.inter_class_distance_mean),
        plain(spectrum(found).effective_rank),
        {},
        {},
    )


def plain(value: Any) -> Any:
    """Dataclasses, arrays and numbers as JSON types; what is not finite is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, np.ndarray):
        return [plain(one) for one in value.tolist()]
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first(of: Any, *names: str) -> list[list[Any]]:
    return [getattr(of, name)[:LISTED].tolist() for name in names]


def _per_class(found: Any, classes: Classes) -> dict[str, Any]:
    """Columns by place of the class; null where a class is in no statistic."""
    rows = {int(row["label"]): row for row in found.rows()}
    columns: dict[str, list[Any]] = {}
    for place in range(len(classes)):
        row = rows.get(place, {})
        for name in (name for name in next(iter(rows.values()), {}) if name not in ("label", "count")):
            value = plain(row.get(name))
            if name == "nearest_class" and value is not None:
                value = classes.names[value] if value >= 0 else None
            columns.setdefault(name, []).append(value)
    return columns


def _of_sets(space: Space, classes: Classes, similarity: Similarity) -> Described:
    """Moments where each row counts in each of its classes; what needs one class for each row is left out."""
    moments, everything = ClassMoments(), ClassMoments(second_moment=True)
    labels = space.labels
    for start in range(0, len(space), CHUNK):
        stop = min(start + CHUNK, len(space))
        points = torch.from_numpy(np.array(space.embeddings[start:stop], np.float64))
        if similarity == "cosine":
            points = torch.nn.functional.normalize(points, dim=-1, eps=1e-300)
        everything.update(points, torch.zeros(len(points), dtype=torch.int64))
        members = slice(labels.offsets[start], labels.offsets[stop])
        own = torch.from_numpy(labels.rows[members] - start)
        moments.update(points[own], torch.from_numpy(labels.places[members]))
    statistics = moments.compute().statistics
    singular = torch.linalg.eigvalsh(everything.compute().second).clamp_min(0).sqrt()
    share = singular / singular.sum().clamp_min(torch.finfo(torch.float64).tiny)
    variances: list[Any] = [None] * len(classes)
    for place, value in zip(statistics.classes.tolist(), statistics.variances.tolist(), strict=True):
        variances[place] = value
    return Described(
        {}, float(statistics.variances.mean()) if len(statistics.classes) else None,
        float(inter_class_distance_mean(statistics)) if len(statistics.classes) > 1 else None,
        float(torch.special.entr(share).sum().exp()) if bool(share.any()) else None, {"variance": variances}, {},
    )  # fmt: skip
