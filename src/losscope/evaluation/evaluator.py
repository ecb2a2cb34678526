"""Exact evaluation of embeddings with labels, in blocks: means, what each query got, what each class got.

Memory is linear in the number of rows, and bounded for each block; the N x N matrix is never there. The query itself
is removed by row id. Ties count by expectation over random order, their bounds on request. Queries without a relevant
item are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from losscope.errors import InvalidInput, UnknownName
from losscope.evaluation.first_hit import FirstHits, first_hits
from losscope.evaluation.labels import Labels, LabelSets, checked_labels, described
from losscope.evaluation.measures import BY_K, DEEP, MEASURES, Scores, scores_of
from losscope.evaluation.mirrored import MirroredRanking
from losscope.evaluation.points import Similarity, check_embeddings, points_of
from losscope.evaluation.precision import exact_products
from losscope.evaluation.ranking import Ranking
from losscope.evaluation.ties import Order
from losscope.evaluation.votes import right_votes
from losscope.types import OUTLIER

Backend = Literal["torch", "faiss"]
Progress = Callable[[int, int], object]

COUNTED = {"recall_at_k", "mrr"}
"""Measures that the first relevant item decides alone."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What queries find in a gallery. Measures by k are dictionaries k -> value; see MEASURES."""

    n: int  # queries handed in
    gallery: int  # rows of the gallery
    excluded: int  # queries without a relevant item
    similarity: str
    ks: tuple[int, ...]
    queries: Tensor  # (asked,) rows of those that asked
    means: dict[str, Any]  # measure -> mean over the queries that asked
    each: Scores  # measure -> (asked,)
    classes: Tensor  # (classes,) labels of those that asked, ascending; a query with a set is in several
    class_queries: Tensor  # (classes,) how many of them
    of_classes: Scores  # measure -> (classes,) mean over the class's queries
    lowest: dict[str, Any] | None = None  # means over all orders of ties, on request; without knn_accuracy
    highest: dict[str, Any] | None = None

    def __repr__(self) -> str:
        listed = "; ".join(f"{name} {_listed(value)}" for name, value in self.means.items())
        return f"Evaluation({len(self.queries)} of {self.n} queries in a gallery of {self.gallery}: {listed})"


def _listed(value: float | dict[int, float]) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{one:.4f} @{k}" for k, one in value.items())
    return f"{value:.4f}"


def evaluate(
    queries: Tensor,
    query_labels: Labels,
    gallery: Tensor | None = None,
    gallery_labels: Labels | None = None,
    *,
    ks: Sequence[int] = (1, 5, 10),
    similarity: Similarity = "cosine",
    measures: Sequence[str] | Literal["all"] = "all",
    query_rows: Tensor | None = None,
    bounds: bool = False,
    device: torch.device | str | None = None,
    backend: Backend = "torch",
    block: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate queries (n, dim) with labels (n,) on a gallery (m, dim) with labels (m,); without one, on each other.

    Labels are integers, -1 for no class, or LabelSets, where items are relevant whose sets overlap the query's; rows
    without a class are in the gallery but never query. `query_rows` (n,) are the rows of the gallery that the queries
    are, where they are some of its rows: each is left out of its own list. `measures` are some of MEASURES; `recall_at_k` and `mrr` alone
    are several times faster than with the others. `knn_accuracy` is of the same queries, and does not exist for sets.
    `bounds` adds the means at the worst and the best order of ties. `block` is the number of queries at a time, by
    default chosen by bytes, and without effect where `recall_at_k` and `mrr` are counted in tiles; `progress(done, n)` is called after each. `backend="faiss"` searches with faiss and
    scores its candidates again, with equal results (extra `faiss`).

    Raises InvalidInput for shapes, types and NaN (by row), and if no query has a relevant item; UnknownName;
    MissingDependency.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> evaluate(z, torch.tensor([0, 0, 1, 1]), ks=(1,), measures=("recall_at_k", "map_at_r"))
    Evaluation(4 of 4 queries in a gallery of 4: recall_at_k 1.0000 @1; map_at_r 1.0000)
    """
    names = _checked_measures(measures, sets=isinstance(query_labels, LabelSets))
    ks = checked_ks(ks)
    if (gallery is None) != (gallery_labels is None):
        raise InvalidInput("a gallery and its labels; expected both or neither")
    if query_rows is not None:
        check_query_rows(query_rows, queries, gallery)
    if block is not None and block < 1:
        raise InvalidInput(f"block = {block}; expected a number of queries, or None for a choice by bytes")
    check_embeddings(queries, "queries")
    query_labels = checked_labels(query_labels, len(queries), "labels")
    if gallery is not None:
        check_embeddings(gallery, "gallery")
        assert gallery_labels is not None
        gallery_labels = checked_labels(gallery_labels, len(gallery), "gallery labels")
        check_labels_agree(query_labels, gallery_labels, query_rows)
    if device is not None:
        queries, query_labels = queries.to(device), query_labels.to(torch.device(device))
        if gallery is not None and gallery_labels is not None:
            gallery, gallery_labels = gallery.to(device), gallery_labels.to(torch.device(device))
        query_rows = None if query_rows is None else query_rows.to(device)
    with exact_products(queries.device), torch.no_grad():
        points = points_of(queries, gallery, similarity)
        task = Task(*points, query_labels, gallery_labels, similarity, ks, names, query_rows, bounds, block, progress)
        if backend == "torch" and set(names) <= COUNTED and isinstance(query_labels, Tensor) and query_rows is None:
            rows, scores = _counted(task)
        else:
            rows, scores = _ranked(task, backend)
        classes, class_queries, of_classes = by_class(scores["random"], query_labels, rows)
    return Evaluation(
        n=len(points[0]),
        gallery=len(points[1]),
        excluded=len(points[0]) - len(rows),
        similarity=similarity,
        ks=ks,
        queries=rows,
        means=means_of(scores["random"]),
        each=scores["random"],
        classes=classes,
        class_queries=class_queries,
        of_classes=of_classes,
        lowest=means_of(scores["worst"]) if bounds else None,
        highest=means_of(scores["best"]) if bounds else None,
    )


@dataclass(frozen=True)
class Task:
    """What is asked for, checked: points of the queries and of the gallery, one tensor or two, and their labels."""

    queries: Tensor
    gallery: Tensor
    query_labels: Labels
    gallery_labels: Labels | None  # None: the queries are the gallery
    similarity: Similarity
    ks: tuple[int, ...]
    measures: tuple[str, ...]
    query_rows: Tensor | None  # rows of the gallery that the queries are
    bounds: bool
    block: int | None
    progress: Progress | None

    @property
    def orders(self) -> tuple[Order, ...]:
        return ("random", "worst", "best") if self.bounds else ("random",)

    @property
    def same(self) -> bool:
        return self.gallery_labels is None

    @property
    def symmetric(self) -> bool:
        """Whether x · y and y · x are one number to the last bit."""
        return self.same and self.similarity == "cosine"

    @property
    def shown_labels(self) -> Labels:
        return self.query_labels if self.gallery_labels is None else self.gallery_labels


def _counted(task: Task) -> tuple[Tensor, dict[Order, Scores]]:
    """Rows that asked, and their scores by the first relevant item alone."""
    assert isinstance(task.query_labels, Tensor)
    assert isinstance(task.shown_labels, Tensor)
    found = first_hits(
        task.queries,
        task.query_labels,
        task.gallery,
        task.shown_labels,
        same=task.same,
        symmetric=task.symmetric,
        progress=task.progress,
    )
    rows = (found.found > 0).nonzero().squeeze(1)
    _check_asked(rows, task)
    kept = FirstHits(found.before[rows], found.tied[rows], found.found[rows])
    scores: dict[Order, Scores] = {}
    for order in task.orders:
        scores[order] = {
            name: kept.reciprocal_rank(order) if name == "mrr" else {k: kept.recall(k, order) for k in task.ks}
            for name in task.measures
        }
    return rows, scores


def _ranked(task: Task, backend: Backend) -> tuple[Tensor, dict[Order, Scores]]:
    """Rows that asked, and their scores from the first places of their lists."""
    own = torch.arange(len(task.queries), device=task.queries.device) if task.same else task.query_rows
    labels = (task.query_labels, task.shown_labels)
    ranking = _ranking(backend, task)(task.queries, task.gallery, labels, own)
    wanted = ranking.relevance.count
    rows = (wanted > 0).nonzero().squeeze(1)
    _check_asked(rows, task)
    depth = wanted.new_full(wanted.shape, max(task.ks) if set(BY_K) & set(task.measures) else 1)
    if DEEP & set(task.measures):
        depth = torch.maximum(depth, wanted)
    place = torch.full_like(wanted, -1)
    place[rows] = torch.arange(len(rows), device=rows.device)
    gathered = _Gathered(task, len(rows), rows.device)
    ranked = tuple(name for name in task.measures if name != "knn_accuracy")
    votes = max(task.ks) if "knn_accuracy" in task.measures else 0
    done = 0
    for lists in ranking.lists(rows, depth[rows], votes=votes, block=task.block):
        for order in task.orders:
            gathered.add(order, place[lists.queries], scores_of(lists, wanted[lists.queries], task.ks, ranked, order))
        if lists.nearest is not None:
            assert isinstance(task.query_labels, Tensor)
            right = right_votes(lists.nearest, task.query_labels[lists.queries], task.ks)
            gathered.add("random", place[lists.queries], {"knn_accuracy": right})
        done += len(lists.queries)
        if task.progress is not None:
            task.progress(done, len(rows))
    if "mrr" in task.measures:
        _deepen(ranking, gathered, rows, depth[rows], task)
    return rows, gathered.scores


def _deepen(ranking: Ranking, gathered: _Gathered, rows: Tensor, depth: Tensor, task: Task) -> None:
    """Reciprocal ranks of the queries whose lists had no relevant item: longer and longer lists."""
    place = torch.arange(len(rows), device=rows.device)
    while len(place := place[gathered.scores["random"]["mrr"][place].isnan()]):
        depth = depth * 8
        of_row = torch.full((len(task.queries),), -1, device=rows.device).index_copy_(0, rows[place], place)
        for lists in ranking.lists(rows[place], depth[place], block=task.block):
            wanted = ranking.relevance.count[lists.queries]
            for order in task.orders:
                gathered.add(order, of_row[lists.queries], scores_of(lists, wanted, (1,), ("mrr",), order))


class _Gathered:
    """Scores of all queries that ask, filled block by block."""

    def __init__(self, task: Task, asked: int, device: torch.device) -> None:
        def empty() -> Tensor:
            return torch.full((asked,), torch.nan, dtype=torch.float64, device=device)

        self.scores: dict[Order, Scores] = {
            order: {
                name: {k: empty() for k in task.ks} if name in BY_K else empty()
                for name in task.measures
                if order == "random" or name != "knn_accuracy"
            }
            for order in task.orders
        }

    def add(self, order: Order, places: Tensor, scores: Scores) -> None:
        for name, value in scores.items():
            kept = self.scores[order][name]
            if isinstance(value, dict):
                for k, one in value.items():
                    kept[k][places] = one
            else:
                kept[places] = value


def _ranking(backend: Backend, task: Task) -> type[Ranking]:
    if backend == "torch":
        return MirroredRanking if task.symmetric else Ranking
    if backend == "faiss":
        from losscope.evaluation.faiss import FaissRanking

        return FaissRanking
    raise UnknownName.of("backend", backend, get_args(Backend))


def by_class(scores: Scores, labels: Labels, rows: Tensor) -> tuple[Tensor, Tensor, Scores]:
    """Classes that asked, how many queries each has, and their mean scores."""
    if isinstance(labels, LabelSets):
        sets = labels.take(rows)
        label, query = sets.values, sets.owners()
    else:
        label, query = labels[rows], torch.arange(len(rows), device=rows.device)
    classes, place = torch.unique(label, return_inverse=True)
    if isinstance(labels, LabelSets):  # a label that a set repeats counts once
        cell = torch.unique(query * len(classes) + place)
        query, place = cell // len(classes), cell % len(classes)
    count = torch.bincount(place, minlength=len(classes))

    def mean(values: Tensor) -> Tensor:
        total = values.new_zeros(len(classes)).index_add_(0, place, values[query])
        return total.div_(count)

    return classes, count, _mapped(scores, mean)


def means_of(scores: Scores) -> dict[str, Any]:
    return _mapped(scores, lambda values: values.mean().item())


def _mapped(scores: Scores, function: Callable[[Tensor], Any]) -> dict[str, Any]:
    return {
        name: {k: function(one) for k, one in value.items()} if isinstance(value, dict) else function(value)
        for name, value in scores.items()
    }


def _checked_measures(measures: Sequence[str] | Literal["all"], *, sets: bool) -> tuple[str, ...]:
    if isinstance(measures, str) and measures != "all":
        measures = (measures,)
    names = MEASURES if measures == "all" else tuple(measures)
    for name in names:
        if name not in MEASURES:
            raise UnknownName.of("measure", name, MEASURES)
    if not names:
        raise InvalidInput(f"no measures; expected some of {', '.join(MEASURES)}")
    if sets and "knn_accuracy" in names:
        if measures != "all":
            raise InvalidInput("knn_accuracy with label sets; expected one class for each row: leave it out")
        names = tuple(name for name in names if name != "knn_accuracy")
    return tuple(name for name in MEASURES if name in names)


def check_query_rows(rows: Tensor, queries: Tensor, gallery: Tensor | None) -> None:
    if gallery is None:
        raise InvalidInput("query_rows without a gallery; expected the gallery of which the queries are rows")
    if rows.shape != queries.shape[:1] or rows.dtype != torch.int64:
        raise InvalidInput(
            f"query_rows: {described(rows)}; expected an int64 tensor ({len(queries)},), a row for each query"
        )
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(gallery)):
        raise InvalidInput(f"query_rows from {int(rows.min())} to {int(rows.max())}; expected rows 0 to {len(gallery) - 1} "
                           "of the gallery")  # fmt: skip


def check_labels_agree(queries: Labels, gallery: Labels, rows: Tensor | None) -> None:
    if isinstance(queries, LabelSets) != isinstance(gallery, LabelSets):
        raise InvalidInput("one of queries and gallery has classes, the other label sets; expected the same kind")
    if rows is None or isinstance(queries, LabelSets) or isinstance(gallery, LabelSets):
        return
    given, own = queries, gallery.to(queries.device)[rows.to(queries.device)]
    other = ((given != own) & (given != OUTLIER)).nonzero().squeeze(1)
    if len(other):
        first = int(other[0])
        raise InvalidInput(
            f"{len(other)} queries have another class than their rows of the gallery, the first query {first}: "
            f"{int(given[first])}, and row {int(rows[first])} of the gallery {int(own[first])}; expected the same class"
        )


def checked_ks(ks: Sequence[int]) -> tuple[int, ...]:
    if not ks or any(k != int(k) or k < 1 for k in ks):
        raise InvalidInput(f"ks = {list(ks)}; expected whole numbers from 1 on, such as (1, 5, 10)")
    return tuple(sorted({int(k) for k in ks}))


def _check_asked(rows: Tensor, task: Task) -> None:
    if not len(rows):
        others = "other rows" if task.same else f"{len(task.gallery)} rows of the gallery"
        raise InvalidInput(
            f"none of {len(task.queries)} queries has a relevant item among {others}; expected at least one query "
            "with a class (a label other than -1) that the gallery has too"
        )
