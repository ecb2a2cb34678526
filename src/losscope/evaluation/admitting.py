"""The border of evaluation over pieces: what `evaluate` refuses is refused, and pieces that leave rows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation.evaluator import check_labels_agree, check_query_rows
from losscope.evaluation.labels import Labels, LabelSets, checked_labels
from losscope.evaluation.points import check_embeddings, check_finite
from losscope.types import OUTLIER


def admitted(
    queries: Tensor, query_labels: Labels, gallery: Any, gallery_labels: Labels, rows: Tensor | None
) -> tuple[Labels, Labels]:
    """The labels, checked, of queries (n, dim) that are the `rows` (n,) of a gallery (m, dim). Raises InvalidInput."""
    check_embeddings(queries, "queries")
    check_finite(queries, "queries")
    query_labels = checked_labels(query_labels, len(queries), "labels")
    shape = tuple(getattr(gallery, "shape", ()))
    if len(shape) != 2 or not shape[0] or shape[1] != queries.shape[1]:
        raise InvalidInput(
            f"queries {tuple(queries.shape)} and a gallery {shape}; expected at least one row, and equal dims"
        )
    gallery_labels = checked_labels(gallery_labels, len(gallery), "gallery labels")
    if rows is not None:
        check_query_rows(rows, queries, gallery)
    check_labels_agree(query_labels, gallery_labels, rows)
    return query_labels, gallery_labels


def check_pieces(pieces: Sequence[tuple[int, int]], rows: int) -> None:
    """Raises InvalidInput unless each of the `rows` of a gallery is in one piece (first row, beyond the last)."""
    reached = 0
    for start, stop in sorted(pieces):
        if start != reached or stop < start:
            raise InvalidInput(f"a piece from row {start} to {stop} where the ones before it end at row {reached}; expected each "
                               f"of the gallery's {rows} rows in one piece")  # fmt: skip
        reached = stop
    if reached != rows:
        raise InvalidInput(
            f"pieces that end at row {reached} of a gallery of {rows} rows; expected each row in one piece"
        )


def coded(queries: Labels, gallery: Labels) -> tuple[Labels, Labels]:
    """Classes from 0 on, fewer than rows in the gallery: a key has few bits for them. Those of queries alone become -1."""
    if isinstance(queries, LabelSets) or isinstance(gallery, LabelSets):
        return queries, gallery
    if int(gallery.min()) >= OUTLIER and int(gallery.max()) < len(gallery):
        return queries, gallery
    classes = torch.unique(gallery[gallery != OUTLIER])

    def codes(labels: Tensor) -> Tensor:
        place = torch.searchsorted(classes, labels).clamp(max=len(classes) - 1)
        return torch.where(classes[place] == labels, place, OUTLIER)

    return codes(queries), codes(gallery)
