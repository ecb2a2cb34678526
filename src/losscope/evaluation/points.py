"""Embeddings as float32 points whose inner products rank as a similarity does.

cosine         x/|x| · y/|y|; a zero vector has similarity 0 with everything
inner_product  x/|x| · y/max|y|: the order of each query's list is that of x · y
euclidean      -|x - y|²/(2 m²), m the longest vector after the gallery's mean is taken from all: an inner product of
               (x, 1, -|x|²/2) and (y, -|y|²/2, 1), as a float32 matrix product can rank it

Ties are at a resolution of 2⁻²⁰ of these, so for Euclidean distance at squared distances within 2⁻¹⁹ m².
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import InvalidInput, UnknownName
from losscope.evaluation.labels import described

Similarity = Literal["cosine", "euclidean", "inner_product"]
ROWS = 8192  # converted at a time


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
    if similarity == "cosine":
        asked = _unit(queries)
        return asked, asked if gallery is None else _unit(gallery)
    if similarity == "inner_product":
        return _unit(queries), _shortened(queries if gallery is None else gallery)
    return _lifted(queries, gallery)


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


def _unit(given: Tensor) -> Tensor:
    found = torch.empty(given.shape, dtype=torch.float32, device=given.device)
    for start in range(0, len(given), ROWS):
        part = given[start : start + ROWS]
        found[start : start + ROWS] = F.normalize(_moderate(part, part.abs().amax(1, keepdim=True)), dim=-1)
    return found


def _shortened(given: Tensor) -> Tensor:
    """Divided by the longest vector."""
    largest = torch.stack([part.abs().amax() for part in torch.split(given, ROWS)]).amax()
    found = torch.cat([_moderate(part, largest) for part in torch.split(given, ROWS)])
    longest = found.norm(dim=1).max()
    return found.div_(torch.where(longest > 0, longest, 1.0))


def _centered(given: Tensor, reference: Tensor) -> Iterator[Tensor]:
    """Some rows at a time, less the mean of the reference, in float64."""
    total = sum((part.double().sum(0) for part in torch.split(reference, ROWS)), start=reference.new_zeros(()).double())
    mean = total / len(reference)
    return (part.double() - mean for part in torch.split(given, ROWS))


def longest_of(queries: Tensor, gallery: Tensor | None) -> float:
    """Length of the longest vector, once the gallery's mean is taken from all: m of Euclidean similarity."""
    reference = queries if gallery is None else gallery
    given = (queries,) if gallery is None else (queries, gallery)
    return max(float(part.norm(dim=1).max()) for one in given for part in _centered(one, reference))


def _lifted(queries: Tensor, gallery: Tensor | None) -> tuple[Tensor, Tensor]:
    reference = queries if gallery is None else gallery
    scale = longest_of(queries, gallery) or 1.0

    def lifted(given: Tensor, *, asks: bool) -> Tensor:
        found = torch.ones(len(given), given.shape[1] + 2, dtype=torch.float32, device=given.device)
        for start, part in zip(range(0, len(given), ROWS), _centered(given, reference), strict=True):
            rows = found[start : start + ROWS]
            rows[:, :-2] = (part / scale).float()
            rows[:, -1 if asks else -2] = -rows[:, :-2].double().square().sum(1).float() / 2
        return found

    return lifted(queries, asks=True), lifted(reference, asks=False)
