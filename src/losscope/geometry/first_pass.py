"""The pass over all rows that everything linear in their number is made from; its parts merge.

Moments, a hash of each row, rows that are 0, and how far from a middle the farthest row lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.duplicates import Hashes
from losscope.geometry.rows import Rows, Similarity
from losscope.tasks import Run, cut, in_order

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Seen:
    """What a pass found, as plain tensors, for a worker to send."""

    moments: dict[str, Tensor]  # state of ClassMoments
    hashes: Tensor  # (rows,)
    zero_rows: int
    radius: float


@dataclass(frozen=True)
class FirstPass:
    """What the pass found of all rows."""

    moments: ClassMoments
    hashes: Hashes
    zero_rows: int
    longest: float  # the longest distance that two rows can have


def first_pass(
    rows: Rows, embeddings: Any, pieces: Sequence[tuple[int, int]], run: Run, say: Progress
) -> FirstPass:  # fmt: skip
    """One pass over the `pieces` of `embeddings`, which `rows` are of; merged in their order, so that where the tasks run
    decides nothing.
    """
    moments = ClassMoments(second_moment=True, device=rows.device)
    hashes = Hashes(rows.dim, rows.device)
    middle = None if rows.similarity == "cosine" else next(iter(rows.chunks()))[1].mean(0)
    given = (
        (cut(embeddings, start, stop), rows.labels[start:stop].clone(), rows.similarity, rows.chunk, str(rows.device), middle)
        for start, stop in pieces
    )  # fmt: skip
    zero_rows, radius = 0, 0.0
    for (_, stop), seen in zip(pieces, in_order(run(look_at, given)), strict=True):
        moments.merge(ClassMoments.from_state(seen.moments, device=rows.device))
        hashes.extend(seen.hashes.to(rows.device))
        zero_rows, radius = zero_rows + seen.zero_rows, max(radius, seen.radius)
        say(stop, len(rows), "moments")
    return FirstPass(moments, hashes, zero_rows, 2.0 if rows.similarity == "cosine" else 2 * radius)


def look_at(
    embeddings: Any, labels: Tensor, similarity: Similarity, chunk: int, device: str, middle: Tensor | None
) -> Seen:  # fmt: skip
    """The task: one pass over a piece (rows, dim) with labels (rows,)."""
    rows = Rows(embeddings, labels, similarity=similarity, chunk=chunk, device=device)
    moments = ClassMoments(second_moment=True, device=rows.device)
    hashes = Hashes(rows.dim, rows.device)
    zero_rows, radius = 0, 0.0
    for here, points in rows.chunks():
        moments.update(points, rows.labels[here])
        hashes.update(points)
        zero_rows += int((points == 0).all(1).sum())
        if middle is not None:
            radius = max(radius, float(torch.linalg.vector_norm(points - middle.to(points.device), dim=1).max()))
    state = {name: part.cpu() for name, part in moments.state_dict().items()}
    return Seen(state, hashes.all().cpu(), zero_rows, radius)
