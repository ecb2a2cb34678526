"""Retrieval measures of the queries that ask: all of them, or a stated sample against the whole gallery.

Long work is done in parts of queries; with a folder each part is kept as soon as it is done, and the same command goes
on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losscope.diagnosis.embeddings import CHUNK
from losscope.diagnosis.intervals import QueryMean, query_mean
from losscope.diagnosis.labels import Labels
from losscope.diagnosis.shards import pieces
from losscope.diagnosis.space import Similarity, Space
from losscope.diagnosis.tensors import as_tensor
from losscope.errors import InvalidInput
from losscope.evaluation import Evaluation, LabelSets, evaluate
from losscope.evaluation.pieces import evaluate_pieces, whole_frame
from losscope.files import atomic
from losscope.report.space.words import flat
from losscope.seeds import generator
from losscope.tasks import Run, in_turn

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much is done, and of how much."""

EXACT_UP_TO, SAMPLE = 20_000, 2_000
"""Rows of which all query, and how many query where there are more, unless said otherwise."""
PART = 4_000_000_000
"""Pairs of a query and an item that are done between two saves: about a minute of one core."""
UNFINISHED = ".unfinished"


@dataclass(frozen=True, eq=False)
class Retrieved:
    """What each query got; `each` holds an array (asked,) for each number, named as `flat` of `report.space.words` does."""

    rows: np.ndarray  # (asked,) rows of the queries
    each: Mapping[str, np.ndarray]
    tried: int  # rows that were to query
    exact: bool

    @property
    def excluded(self) -> int:
        """Rows that were to query and have no relevant item."""
        return self.tried - len(self.rows)

    def means(self, labels: Labels) -> dict[str, QueryMean]:
        """Means over queries, with intervals over classes and over queries."""
        classes = None if labels.several else labels.single[self.rows]
        return {name: query_mean(values, classes) for name, values in self.each.items()}


def asking(space: Space, sample: int | None, exact: bool, seed: int) -> np.ndarray | None:
    """The rows that query, sorted; None: all."""
    wanted = sample if sample is not None else SAMPLE
    few = len(space) <= EXACT_UP_TO if sample is None else len(space) <= sample
    if exact or few:
        return None
    classed = np.flatnonzero(space.labels.counts)
    return np.sort(generator(seed, "queries").choice(classed, min(wanted, len(classed)), replace=False))


def retrieve(
    queries: Space,
    gallery: Space | None,
    rows: np.ndarray | None,
    *,
    ks: Sequence[int],
    similarity: Similarity,
    device: str = "cpu",
    folder: Path | None = None,
    progress: Progress | None = None,
    run: Run = in_turn,
) -> Retrieved:
    """Measures of the queries at `rows` (None: all) that have a relevant item. Without a gallery each queries the others.

    Where they are a sample, or the gallery is large, it is gone through in the pieces that it comes in, by `run`. Raises
    InvalidInput if none has a relevant item.
    """
    shown = queries if gallery is None else gallery
    asked = np.arange(len(queries)) if rows is None else rows
    tried, size = len(asked), max(256, PART // len(shown))
    options: dict[str, Any] = {"ks": tuple(ks), "similarity": similarity, "device": device}
    held = run is in_turn and all(isinstance(one.embeddings, np.ndarray) for one in (queries, shown))
    if held and len(asked) <= size and rows is None:
        others = () if gallery is None else (as_tensor(gallery.embeddings), _torch(gallery.labels))
        found = evaluate(
            as_tensor(queries.embeddings),
            _torch(queries.labels),
            *others,
            **options,
            progress=_of(progress, 0, len(asked)),
        )
        return Retrieved(found.queries.cpu().numpy(), _each(found), len(asked), exact=True)
    asked = asked[_answerable(queries.labels, shown.labels, same=gallery is None)[asked]]
    if not len(asked):
        raise InvalidInput(f"none of {tried:,} queries has a relevant item among {len(shown):,} rows; expected at least one "
                           "query whose class others have too")  # fmt: skip
    shown_labels = _torch(shown.labels)
    frame = whole_frame(shown.embeddings, similarity, None if gallery is None else queries.embeddings)
    place = None if folder is None else folder / UNFINISHED / _digest(queries, gallery, asked, options)
    parts = []
    for start in range(0, len(asked), size):
        part = asked[start : start + size]
        saved = None if place is None else place / f"{start}.npz"
        if saved is not None and saved.is_file():
            with np.load(saved, allow_pickle=False) as arrays:
                parts.append(dict(arrays))
            continue
        found = evaluate_pieces(
            as_tensor(queries.embeddings[part]), _torch(_taken(queries.labels, part)), shown.embeddings, shown_labels,
            pieces(shown.embeddings), **options, query_rows=torch.from_numpy(part) if gallery is None else None,
            frame=frame, run=run, progress=_of(progress, start, len(asked)),
        )  # fmt: skip
        parts.append({"rows": part[found.queries.cpu().numpy()], **_each(found)})
        if saved is not None:
            saved.parent.mkdir(parents=True, exist_ok=True)
            with atomic(saved) as temporary, temporary.open("wb") as file:
                np.savez(file, **parts[-1])
    each = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Retrieved(each.pop("rows"), each, tried, exact=rows is None)


def forget(folder: Path) -> None:
    """Remove what an interrupted run would have gone on with."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def _answerable(labels: Labels, shown: Labels, *, same: bool) -> np.ndarray:
    """Whether each row (rows,) has a relevant item in the gallery: one of its classes there, beside its own."""
    places = np.concatenate([labels.places, shown.places])
    there = np.bincount(shown.places, minlength=int(places.max(initial=0)) + 1) > int(same)
    found = np.zeros(len(labels), bool)
    found[labels.rows[there[labels.places]]] = True
    return found


def _each(found: Evaluation) -> dict[str, np.ndarray]:
    flattened: dict[str, np.ndarray] = {}
    for measure, values in found.each.items():
        by_k = values.items() if isinstance(values, dict) else [(None, values)]
        flattened |= {flat(measure, k): one.cpu().numpy() for k, one in by_k}
    return flattened


def _torch(labels: Labels) -> torch.Tensor | LabelSets:
    if not labels.several:
        return torch.from_numpy(labels.single)
    return LabelSets(torch.from_numpy(labels.offsets), torch.from_numpy(labels.places))


def _taken(labels: Labels, rows: np.ndarray) -> Labels:
    counts = labels.counts[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    places = np.concatenate([labels.places[labels.offsets[row] : labels.offsets[row + 1]] for row in rows.tolist()])
    return Labels(offsets, places, labels.several)


def _of(progress: Progress | None, before: int, total: int) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, _: progress("queries", before + done, total)


def _digest(queries: Space, gallery: Space | None, asked: np.ndarray, options: Mapping[str, object]) -> str:
    """What decides the results: content, rows and settings."""
    found = hashlib.blake2b(repr(sorted(options.items())).encode(), digest_size=16)
    for array in (
        asked,
        *(part for space in (queries, gallery) if space for part in (space.labels.offsets, space.labels.places)),
    ):
        found.update(np.ascontiguousarray(array).data)
    for space in (queries, gallery):
        for start in range(0, len(space) if space else 0, CHUNK):
            assert space is not None
            found.update(np.ascontiguousarray(space.embeddings[start : start + CHUNK]).data)
    return found.hexdigest()
