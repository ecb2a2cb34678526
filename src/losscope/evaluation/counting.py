"""The tasks of evaluation over pieces: what queries find in one piece of a gallery, wherever the task runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.evaluation.kernels import reaches
from losscope.evaluation.labels import Labels, LabelSets, Relevance
from losscope.evaluation.points import Frame
from losscope.evaluation.precision import exact_products
from losscope.evaluation.standings import ITEMS, QUERIES, Asked, Standings, padded, same_class
from losscope.neighbors import floor_of_level, level_of


def count_piece(
    asked: Asked, frame: Frame, piece: Any, labels: Labels, first: int, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The task: what the queries find in a piece (rows, dim) with labels (rows,), the rows of the gallery from `first` on."""
    place = torch.device(device)
    standings = Standings(asked.to(place))
    with exact_products(place), torch.no_grad():
        for start, points, own in _blocks(frame, piece, labels, place):
            standings.update(points, own, first + start)
    keys, counts, best = standings.state()
    return keys.cpu(), counts.cpu(), best.cpu()


def count_before(
    asked: Asked, best: Tensor, frame: Frame, piece: Any, labels: Labels, first: int, device: str
) -> Tensor:
    """The task of a second pass: items at the level `best` (queries,), above it, and relevant at it: (3, queries)."""
    place = torch.device(device)
    asked, best = asked.to(place), best.to(place)
    floors = torch.stack([floor_of_level(best), floor_of_level(best + 1)]).unsqueeze(2)
    found = torch.zeros(3, len(asked), dtype=torch.int64, device=place)
    with exact_products(place), torch.no_grad():
        for start, points, own in _blocks(frame, piece, labels, place):
            for at in range(0, len(asked), QUERIES):
                found[:, at : at + QUERIES] += _before(
                    asked.of(at, at + QUERIES), best[at : at + QUERIES], floors[:, at : at + QUERIES], points, own, first + start
                )  # fmt: skip
    return found.cpu()


def _before(asked: Asked, best: Tensor, floors: Tensor, points: Tensor, labels: Labels, first: int) -> Tensor:
    tile = (padded(asked.points) @ padded(points).T)[: len(asked), : len(labels)].contiguous()
    if asked.rows is not None:
        own = asked.rows - first
        inside = ((own >= 0) & (own < len(labels))).nonzero().squeeze(1)
        tile[inside, own[inside]] = -torch.inf
    mask = torch.empty_like(tile, dtype=torch.bool)
    # Sums of bytes as floats, exact here, are twenty times faster than sums of bools.
    reached, above = (reaches(tile, floor, mask).view(torch.uint8).float().sum(1).long() for floor in floors)
    if isinstance(labels, LabelSets):
        assert isinstance(asked.labels, LabelSets)
        sets = Relevance(asked.labels, labels, None)
        rows = torch.arange(len(asked), device=tile.device)
        relevant = torch.cat([sets.mask(some) for some in torch.split(rows, sets.rows_at_once)])
        found = (relevant & (level_of(tile) == best.unsqueeze(1))).sum(1)
    else:
        assert isinstance(asked.labels, Tensor)
        row, item = same_class(asked.labels, labels)
        equal = (level_of(tile[row, item]) == best[row]).long()
        found = torch.zeros_like(reached).index_add_(0, row, equal)
    return torch.stack([reached - above, above, found])


def _blocks(frame: Frame, piece: Any, labels: Labels, device: torch.device) -> Iterator[tuple[int, Tensor, Labels]]:
    frame = frame.to(device)
    for start in range(0, len(labels), ITEMS):
        stop = min(start + ITEMS, len(labels))
        here = torch.arange(start, stop)
        own = labels.take(here) if isinstance(labels, LabelSets) else labels[start:stop]
        yield start, frame.points(tensor(piece[start:stop]).to(device), asks=False), own.to(device)


def tensor(rows: Any) -> Tensor:
    """Rows of an array as a tensor of their own."""
    return rows.detach() if isinstance(rows, Tensor) else torch.from_numpy(np.array(rows))
