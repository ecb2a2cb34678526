"""Embeddings as float32 points whose inner products rank as a similarity does.

cosine         x/|x| · y/|y|; a zero vector has similarity 0 with everything
inner_product  x/|x| · y/max|y|: the order of each query's list is that of x · y
euclidean      -|x - y|²/(2 m²), m the longest vector after the gallery's mean is taken from all: an inner product of
               (x, 1, -|x|²/2) and (y, -|y|²/2, 1), as a float32 matrix product can rank it

Ties are at a resolution of 2⁻²⁰ of these, so for Euclidean distance at squared distances within 2⁻¹⁹ m².
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import InvalidInput, UnknownName
from losscope.evaluation.labels import described

Similarity = Literal["cosine", "euclidean", "inner_product"]
ROWS = 8192  # converted at a time

Chunks = Callable[[], Iterable[Tensor]]
"""Reads all rows again, ROWS of them at a time."""


@dataclass(frozen=True)
class Frame:
    """What turns rows into points, a few at a time: what has to be known of all rows is known."""

    similarity: Similarity
    center: Tensor | None = None  # (dim,) float64, Euclidean: the mean of the gallery
    largest: Tensor | None = None  # inner product: the largest number of the gallery
    longest: float = 1.0  # Euclidean: the longest vector; inner product: the longest over about `largest`

    def to(self, device: torch.device) -> Frame:
        center, largest = (None if part is None else part.to(device) for part in (self.center, self.largest))
        return Frame(self.similarity, center, largest, self.longest)

    def points(self, rows: Tensor, *, asks: bool) -> Tensor:
        """Float32 points (n, dim') of rows (n, dim) that ask or are shown."""
        lifted = 2 * (self.similarity == "euclidean")
        found = torch.ones(len(rows), rows.shape[1] + lifted, dtype=torch.float32, device=rows.device)
        for start in range(0, len(rows), ROWS):
            part, to = rows[start : start + ROWS], found[start : start + ROWS]
            if self.center is not None:
                to[:, :-2] = ((part.double() - self.center) / self.longest).float()
                to[:, -1 if asks else -2] = -to[:, :-2].double().square().sum(1).float() / 2
            elif asks or self.largest is None:
                to[:] = F.normalize(_moderate(part, part.abs().amax(1, keepdim=True)), dim=-1)
            else:
                to[:] = _moderate(part, self.largest) / self.longest
        return found


def frame_of(queries: Chunks, gallery: Chunks | None, similarity: Similarity) -> Frame:
    """The frame of queries and a gallery; None: the queries are the gallery. Raises UnknownName."""
    if similarity not in get_args(Similarity):
        raise UnknownName.of("similarity", similarity, get_args(Similarity))
    shown = queries if gallery is None else gallery
    if similarity == "cosine":
        return Frame(similarity)
    if similarity == "inner_product":
        largest = torch.stack([part.abs().amax() for part in shown()]).amax()
        longest = max(float(_moderate(part, largest).norm(dim=1).max()) for part in shown())
        return Frame(similarity, largest=largest, longest=longest or 1.0)
    center = _mean(shown)
    return Frame(similarity, center=center, longest=_longest(queries, gallery, center) or 1.0)


def points_of(queries: Tensor, gallery: Tensor | None, similarity: Similarity) -> tuple[Tensor, Tensor]:
    """Float32 points of the queries (n, dim') and of the gallery (m, dim'); one tensor where the two are the same.

    Raises InvalidInput for other shapes and types than floating (n, dim) and (m, dim), and for rows with NaN or
    infinite values, by number; UnknownName for a similarity that does not exist.
    """
    if similarity not in get_args(Similarity):
        raise UnknownName.of("similarity", similarity, get_args(Similarity))
    check_embeddings(queries, "queries")
    check_finite(queries, "queries")
    if gallery is not None:
        check_embeddings(gallery, "gallery")
        check_finite(gallery, "gallery")
    if gallery is not None and gallery.shape[1] != queries.shape[1]:
        raise InvalidInput(f"queries {tuple(queries.shape)} and a gallery {tuple(gallery.shape)}; expected equal dims")
    frame = frame_of(_chunks(queries), None if gallery is None else _chunks(gallery), similarity)
    asked = frame.points(queries, asks=True)
    if similarity == "cosine" and gallery is None:
        return asked, asked
    return asked, frame.points(queries if gallery is None else gallery, asks=False)


def check_embeddings(given: object, name: str) -> None:
    """Raises InvalidInput unless `given` is a floating tensor (rows, dim)."""
    if not isinstance(given, Tensor) or given.ndim != 2 or not given.dtype.is_floating_point:
        raise InvalidInput(f"{name}: {described(given)}; expected a floating tensor (rows, dim)")
    if not given.shape[0] or not given.shape[1]:
        raise InvalidInput(f"{name} of the shape {tuple(given.shape)}; expected at least one row and one dimension")


def check_finite(given: Tensor, name: str) -> None:
    """Raises InvalidInput that names the rows with NaN or infinite values."""
    bad = torch.cat([~part.isfinite().all(1) for part in torch.split(given, ROWS)]).nonzero().squeeze(1)
    if len(bad):
        listed = ", ".join(map(str, bad[:5].tolist())) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(
            f"{name} hold NaN or infinite values in {len(bad)} of {len(given)} rows ({listed}); expected finite "
            "numbers: leave these rows out, or look for what made them"
        )


def _moderate(part: Tensor, largest: Tensor) -> Tensor:
    """Float32 copy divided by about `largest`, so that no square overflows or vanishes; float32 without rounding."""
    if part.dtype == torch.float64:
        return (part / torch.where(largest > 0, largest, 1.0)).float()
    return torch.ldexp(part.float(), -torch.frexp(largest.float()).exponent.clamp(-120, 120))


def _chunks(given: Tensor) -> Chunks:
    return lambda: torch.split(given, ROWS)


def _mean(chunks: Chunks) -> Tensor:
    """Mean (dim,) of all rows in float64."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for part in chunks():
        total, count = total.to(part.device) + part.double().sum(0), count + len(part)
    return total / count


def longest_of(queries: Tensor, gallery: Tensor | None) -> float:
    """Length of the longest vector, once the gallery's mean is taken from all: m of Euclidean similarity."""
    shown = None if gallery is None else _chunks(gallery)
    return _longest(_chunks(queries), shown, _mean(shown or _chunks(queries)))


def _longest(queries: Chunks, gallery: Chunks | None, center: Tensor) -> float:
    given = (queries,) if gallery is None else (queries, gallery)
    return max(float((part.double() - center).norm(dim=1).max()) for one in given for part in one())
