"""Everything about a space of embeddings in one call: a pass for moments, one for rows against classes, one for pairs.

What is linear in the number of rows streams over chunks. What needs pairs or neighbors looks at all pairs where
there are few rows, and otherwise at a seeded sample of queries against all rows, with intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.geometry.alignment_uniformity import AlignmentUniformity, alignment_uniformity
from losscope.geometry.classes import PerClass, per_class
from losscope.geometry.collapse import CollapseAlarm, NeuralCollapse, collapse_alarm, neural_collapse
from losscope.geometry.density import Density, density
from losscope.geometry.duplicates import Duplicates, duplicates
from losscope.geometry.first_pass import first_pass
from losscope.geometry.hubness import Hubness, Occurrences, bad_share, hubness, occurrences
from losscope.geometry.moments import Moments
from losscope.geometry.nearest import Nearest
from losscope.geometry.overlap import Overlap
from losscope.geometry.pairs import Queries, draw_queries, watch
from losscope.geometry.rows import Rows, Similarity
from losscope.geometry.silhouette import Silhouette, ToClasses, silhouette, to_classes
from losscope.geometry.spectrum import Spectrum, spectrum
from losscope.geometry.suspects import Suspects, suspects, votes
from losscope.geometry.variance import Variance, variance
from losscope.geometry.watching import watched
from losscope.seeds import generator
from losscope.tasks import Run, cut, in_order, in_turn

HUB_SAMPLES = 5
"""Disjoint samples of rows whose hubness is measured where there are too many rows for all."""

COMPARED = 1e9
"""Rows times classes that are compared at most; beyond, only queries are compared with classes, and classes that no
query is of have no silhouette."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Geometry:
    """The description of a space: plain numbers and arrays. `exact` says that all pairs were looked at."""

    n: int
    dim: int
    classes: int
    outliers: int  # rows without a class
    zero_rows: int  # rows of length 0, which have no direction
    similarity: Similarity
    k: int
    seed: int
    exact: bool
    queries: int
    variance: Variance
    spectrum: Spectrum
    collapse: NeuralCollapse
    alarm: CollapseAlarm
    alignment_uniformity: AlignmentUniformity
    hubness: Hubness
    silhouette: Silhouette
    overlap: Overlap
    density: Density
    per_class: PerClass
    duplicates: Duplicates
    suspects: Suspects


def describe(
    embeddings: Any,
    labels: Any,
    *,
    similarity: Similarity = "cosine",
    k: int = 10,
    chunk: int = 16_384,
    sample: int = 2_000,
    exact_up_to: int = 20_000,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    pieces: Sequence[tuple[int, int]] | None = None,
    run: Run = in_turn,
) -> Geometry:
    """Describe embeddings (rows, dim), a tensor, an array or what gives arrays of its rows, with integer labels (rows,),
    -1 for no class. Moments and spectra are of `pieces`, first and last rows, that `run` works on and that merge.

    Raises InvalidInput for bad shapes and types, for rows that are not finite, or
    of more than LARGEST numbers, and for a k or sample below 1.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> describe(z, torch.tensor([0, 0, 1, 1])).overlap.auc.value
    1.0
    """
    for name, value in (("k", k), ("sample", sample)):
        if value < 1:
            raise InvalidInput(f"{name} is {value}; expected 1 or more")
    rows = Rows(embeddings, labels, similarity=similarity, chunk=chunk, device=device)
    say = progress or (lambda done, total, what: None)
    cuts = pieces or [(0, len(rows))]
    seen = first_pass(rows, embeddings, cuts, run, say)
    moments = seen.moments.compute()
    found = spectrum(moments)
    queries = draw_queries(rows, sample=sample, exact_up_to=exact_up_to, seed=seed)
    elsewhere = in_turn if queries.exact else run  # all rows as queries would be sent with each task
    around = watched(rows, embeddings, cuts, queries, seen.longest, k, elsewhere, say)
    near, own = around.near, len(queries.rows)
    of_queries, of_rows = _against_classes(rows, embeddings, cuts, queries, moments, run, say)
    shown = silhouette(
        of_rows.silhouettes,
        rows.places if of_rows is not of_queries else queries.places,
        len(rows.classes),
        "cosine" if similarity == "cosine" else "squared_euclidean",
        exact=of_rows is not of_queries or queries.exact,
    )
    spread = math.sqrt(max(float(moments.covariance.trace()), 0.0))
    return Geometry(
        n=len(rows),
        dim=rows.dim,
        classes=len(rows.classes),
        outliers=rows.outliers,
        zero_rows=seen.zero_rows,
        similarity=similarity,
        k=k,
        seed=seed,
        exact=queries.exact,
        queries=own,
        variance=variance(moments),
        spectrum=found,
        collapse=neural_collapse(moments),
        alarm=collapse_alarm(moments, found, unit=similarity == "cosine"),
        alignment_uniformity=alignment_uniformity(moments, around.uniformity.compute(own), unit=similarity == "cosine"),
        hubness=_hubness(rows, queries, near, k, sample, seed),
        silhouette=shown,
        overlap=around.distances.compute(),
        density=density(moments, unit=similarity == "cosine"),
        per_class=per_class(rows, moments, shown.by_class, seed=seed),
        duplicates=duplicates(rows, seen.hashes.groups(), queries.rows, near.rows, near.squared, spread=spread),
        suspects=suspects(
            queries.rows,
            queries.places,
            votes(near.rows, rows.places, queries.places),
            (of_queries.margins, of_queries.nearest),
            rows.classes,
        ),
    )


def _against_classes(
    rows: Rows, embeddings: Any, pieces: Sequence[tuple[int, int]], queries: Queries, moments: Moments, run: Run, say: Progress
) -> tuple[ToClasses, ToClasses]:  # fmt: skip
    """The queries against the classes, and all rows, or again the queries where that would take too long."""
    if queries.exact or len(rows) * len(rows.classes) > COMPARED:
        found = to_classes(queries.points, queries.places, moments)
        return found, found
    given = (
        (cut(embeddings, start, stop), rows.places[start:stop].clone(), rows.similarity, rows.chunk, str(rows.device), moments)
        for start, stop in pieces
    )  # fmt: skip
    parts = []
    for (_, stop), part in zip(pieces, in_order(run(piece_to_classes, given)), strict=True):
        parts.append(part)
        say(stop, len(rows), "classes")
    whole = _joined(parts).to(rows.device)
    return ToClasses(*(part[queries.rows] for part in vars(whole).values())), whole


def piece_to_classes(
    embeddings: Any, places: Tensor, similarity: Similarity, chunk: int, device: str, moments: Moments
) -> ToClasses:  # fmt: skip
    """The task: the rows of a piece (rows, dim), of the classes at `places`, against all classes."""
    rows = Rows(embeddings, places, similarity=similarity, chunk=chunk, device=device)
    there = moments.to(rows.device)
    return _joined([to_classes(points, rows.labels[here], there) for here, points in rows.chunks()]).to(
        torch.device("cpu")
    )


def _joined(parts: Sequence[ToClasses]) -> ToClasses:
    return ToClasses(*(torch.cat(part) for part in zip(*(vars(one).values() for one in parts), strict=True)))


def _hubness(rows: Rows, queries: Queries, near: Nearest, k: int, sample: int, seed: int) -> Hubness:
    """Of all rows where all asked, else of disjoint samples of rows among themselves."""
    bad = bad_share(near.rows, rows.places, queries.places, exact=queries.exact)
    if queries.exact:
        return hubness([occurrences(near.rows, queries.rows, rows.places)], k, bad)
    size = min(sample, len(rows) // HUB_SAMPLES)
    drawn = generator(seed, "geometry", "hubness").choice(len(rows), size=HUB_SAMPLES * size, replace=False)
    samples = torch.split(torch.from_numpy(drawn).to(rows.device), size)
    return hubness([_among(rows, one, k) for one in samples], k, bad)


def _among(rows: Rows, chosen: Tensor, k: int) -> Occurrences:
    inside = Rows(rows.take(chosen), rows.places[chosen], similarity="euclidean", device=rows.device)
    queries = draw_queries(inside, sample=1, exact_up_to=len(inside), seed=0)
    near = Nearest(queries, k)
    watch(inside, queries, [near])
    return occurrences(near.rows, chosen, rows.places[chosen])
