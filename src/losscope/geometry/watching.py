"""The pass over pairs of queries and rows, in tasks over pieces of the space: what the watchers found merges in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from losscope.geometry.alignment_uniformity import Uniformity
from losscope.geometry.nearest import Nearest
from losscope.geometry.overlap import Distances
from losscope.geometry.pairs import Queries, watch
from losscope.geometry.rows import Rows, Similarity
from losscope.tasks import Run, cut, in_order

State = tuple[Tensor, ...]


class Watchers(NamedTuple):
    """The measures that look at pairs."""

    near: Nearest
    uniformity: Uniformity
    distances: Distances

    @classmethod
    def of(cls, queries: Queries, longest: float, k: int) -> Watchers:
        return cls(Nearest(queries, k), Uniformity(queries), Distances(queries, longest))


def watched(
    rows: Rows, embeddings: Any, pieces: Sequence[tuple[int, int]], queries: Queries, longest: float, k: int, run: Run,
    say: Callable[[int, int, str], None],
) -> Watchers:  # fmt: skip
    """What the watchers find in all pairs of the `queries` and the `pieces` of `embeddings`, which `rows` are of."""
    found = Watchers.of(queries, longest, k)
    given = (
        (cut(embeddings, start, stop), rows.places[start:stop].clone(), rows.similarity, rows.chunk, str(rows.device),
         start, queries, longest, k)
        for start, stop in pieces
    )  # fmt: skip
    for (_, stop), states in zip(pieces, in_order(run(watch_piece, given)), strict=True):
        near, uniformity, distances = states
        found.near.merge(near)
        found.uniformity.merge(uniformity)
        found.distances.merge(distances)
        say(stop, len(rows), "pairs")
    return found


def watch_piece(
    embeddings: Any, places: Tensor, similarity: Similarity, chunk: int, device: str, first: int, queries: Queries,
    longest: float, k: int,
) -> tuple[State, ...]:  # fmt: skip
    """The task: a piece (rows, dim) whose rows, those of the space from `first` on, are of the classes at `places`."""
    rows = Rows(embeddings, places, similarity=similarity, chunk=chunk, device=device)
    rows.places = rows.labels  # as in the whole space, not among the classes of the piece
    asked = queries.to(rows.device)
    found = Watchers.of(asked, longest, k)
    watch(rows, asked, found, first=first)
    return found.near.state(), found.uniformity.state(), found.distances.state()
