"""Exact evaluation of some queries on a gallery in pieces, such as the files that it lies in: as `evaluate`, to the bit.

    frame, floors -> a task for each piece: its rows -> points -> tiles -> Standings -> merged -> lists -> scores

No piece is held as a whole, and no list is longer than it has to be. A task is a plain function of plain arguments, so
that it runs here, in a process or on another machine. Each query's floor, the level that its list is likely to end at,
comes from a sample of the gallery: it decides how much is counted and sent, and never the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation.admitting import admitted, check_pieces, coded
from losscope.evaluation.counting import count_before, count_piece, tensor
from losscope.evaluation.evaluator import Evaluation, by_class, checked_ks, means_of
from losscope.evaluation.first_hit import FirstHits
from losscope.evaluation.floors import floors_of
from losscope.evaluation.labels import Labels, LabelSets, Relevance
from losscope.evaluation.measures import Scores
from losscope.evaluation.points import ROWS, Chunks, Frame, Similarity, frame_of
from losscope.evaluation.precision import exact_products
from losscope.evaluation.standings import Asked, Standings
from losscope.evaluation.tallies import joined, scores_of_counts
from losscope.tasks import Run, cut, in_turn
from losscope.types import OUTLIER

TOGETHER = 4096  # queries that are counted in one task

Progress = Callable[[int, int], object]


def evaluate_pieces(
    queries: Tensor,
    query_labels: Labels,
    gallery: Any,
    gallery_labels: Labels,
    pieces: Sequence[tuple[int, int]],
    *,
    ks: Sequence[int] = (1, 5, 10),
    similarity: Similarity = "cosine",
    query_rows: Tensor | None = None,
    frame: Frame | None = None,
    run: Run = in_turn,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """All measures of the queries (n, dim) on a `gallery` (m, dim) that is read slice by slice, an array or like one.

    Labels are classes, -1 for none, or LabelSets; `pieces` are the first row and the row beyond the last of each piece of the gallery, which
    `run` works on, cut out of it by its `part` where it has one. `query_rows` as in `evaluate`, and so is what is found. `frame` is that of
    the whole space, found here if it is not given. The gallery's rows are finite, as whoever opened them has checked.

    Raises InvalidInput as `evaluate` does, and for pieces that leave rows out or hold them twice; UnknownName.
    """
    ks = checked_ks(ks)
    query_labels, gallery_labels = admitted(queries, query_labels, gallery, gallery_labels, query_rows)
    check_pieces(pieces, len(gallery))
    given, place = query_labels, torch.device(device)
    query_labels, gallery_labels = coded(query_labels, gallery_labels)
    with exact_products(place), torch.no_grad():
        frame = frame or whole_frame(gallery, similarity, None if query_rows is not None else queries)
        wanted = Relevance(query_labels, gallery_labels, query_rows).count
        kept = (wanted > 0).nonzero().squeeze(1)
        if not len(kept):
            raise InvalidInput(f"none of {len(queries)} queries has a relevant item among {len(gallery)} rows of the gallery; "
                               "expected at least one query with a class (a label other than -1) that the gallery has too")  # fmt: skip
        depth = wanted[kept].clamp_min(max(ks))
        sets = isinstance(query_labels, LabelSets)
        labels = query_labels.take(kept) if isinstance(query_labels, LabelSets) else query_labels[kept]
        own = None if query_rows is None else query_rows[kept]
        classes = 0 if isinstance(gallery_labels, LabelSets) else int(gallery_labels.max()) + 1
        points = frame.points(queries[kept], asks=True)
        votes = 0 if sets else max(ks)
        floor = floors_of(points, own, depth, votes, gallery, gallery_labels, frame)
        asked = Asked(points, labels, own, depth, votes, floor, classes)
        each = _Counted(asked, gallery, gallery_labels, pieces, frame, run, str(device))
        size, parts = min(asked.most, TOGETHER), []
        for start in range(0, len(asked), size):
            some = slice(start, start + size)
            parts.append(each.scores(asked.of(start, start + size), wanted[kept[some]], ks, progress))
    scores = joined(parts)
    found_classes, class_queries, of_classes = by_class(scores, given, kept)
    return Evaluation(
        n=len(queries), gallery=len(gallery_labels), excluded=len(queries) - len(kept), similarity=similarity,
        ks=ks, queries=kept, means=means_of(scores), each=scores, classes=found_classes,
        class_queries=class_queries, of_classes=of_classes,
    )  # fmt: skip


def whole_frame(gallery: Any, similarity: Similarity, queries: Any = None) -> Frame:
    """The frame of a gallery and of queries, read slice by slice; without any, the queries are among its rows."""

    def chunks(of: Any) -> Chunks:
        return lambda: (tensor(of[start : start + ROWS]) for start in range(0, len(of), ROWS))

    return frame_of(chunks(gallery if queries is None else queries), chunks(gallery), similarity)


class _Counted:
    """The tasks over all pieces, and what they say together."""

    def __init__(
        self, whole: Asked, gallery: Any, labels: Labels, pieces: Sequence[tuple[int, int]], frame: Frame, run: Run, device: str
    ) -> None:  # fmt: skip
        self.gallery, self.labels, self.pieces, self.frame, self.run, self.device = (
            gallery,
            labels,
            pieces,
            frame,
            run,
            device,
        )
        self.total, self.rows = len(whole), sum(stop - start for start, stop in pieces)
        self.done = 0
        own = int(whole.rows is not None)
        self.offered = len(labels) - own
        self.voters = 0 if isinstance(labels, LabelSets) else int(labels.ne(OUTLIER).sum()) - own

    def scores(self, asked: Asked, wanted: Tensor, ks: Sequence[int], progress: Progress | None) -> Scores:
        """Scores of some queries with `wanted` relevant items each."""
        standings = self._standings(asked, progress)
        short = standings.lacking(torch.full_like(asked.depth, self.offered), torch.full_like(asked.depth, self.voters))
        if len(short):
            standings.replace(short, self._standings(asked.without_floor(short), None))
        found = scores_of_counts(standings, wanted, ks)
        missing = found["mrr"].isnan().nonzero().squeeze(1)
        if len(missing):
            found["mrr"][missing] = self._reciprocal_ranks(asked.without_floor(missing), standings.best[missing])
        return found

    def _standings(self, asked: Asked, progress: Progress | None) -> Standings:
        standings = Standings(asked)
        for place, state in self.run(count_piece, ((asked, *given) for given in self._given())):
            standings.merge(state)
            if progress is not None:  # None: these queries were counted already
                start, stop = self.pieces[place]
                self.done += len(asked) * (stop - start)
                progress(self.done // self.rows, self.total)
        return standings

    def _reciprocal_ranks(self, asked: Asked, best: Tensor) -> Tensor:
        """Of queries whose lists end before their first relevant item."""
        counted = torch.zeros(3, len(asked), dtype=torch.int64)
        for _, part in self.run(count_before, ((asked, best, *given) for given in self._given())):
            counted += part
        at, above, found = counted
        return FirstHits(above, at - found, found).reciprocal_rank("random")

    def _given(self) -> Iterator[tuple[Any, ...]]:
        for start, stop in self.pieces:
            here = torch.arange(start, stop)
            own = self.labels.take(here) if isinstance(self.labels, LabelSets) else self.labels[start:stop].clone()
            yield self.frame, cut(self.gallery, start, stop), own, start, self.device
