"""Scores of queries from what was counted for them: entries become lists, as many at a time as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.evaluation.labels import ranges
from losscope.evaluation.measures import BY_K, MEASURES, Scores, scores_of
from losscope.evaluation.ranking import Lists
from losscope.evaluation.standings import LOWEST, Standings
from losscope.evaluation.votes import right_of_counts

PLACES = 2**21  # of lists that are scored at a time


def scores_of_counts(standings: Standings, wanted: Tensor, ks: Sequence[int]) -> Scores:
    """Scores of all queries, as many lists at a time as there is room for."""
    row, level, of, counts = standings.entries()
    hit = standings.hits()
    length = counts.new_zeros(len(standings.asked)).index_add_(0, row, counts)
    entries = torch.bincount(row, minlength=len(length))
    first, parts = entries.cumsum(0) - entries, []
    measures = tuple(name for name in MEASURES if name != "knn_accuracy")
    start = 0
    while start < len(length):
        stop, longest = start + 1, int(length[start])
        while stop < len(length) and max(longest, int(length[stop])) * (stop - start + 1) <= PLACES:
            longest, stop = max(longest, int(length[stop])), stop + 1
        here = slice(int(first[start]), int(first[stop - 1] + entries[stop - 1]))
        lists = _lists(row[here] - start, level[here], hit[here], counts[here], length[start:stop])
        found = scores_of(lists, wanted[start:stop], ks, measures, "random")
        truth = standings.asked.labels
        if isinstance(truth, Tensor):
            counted = (row[here] - start, level[here], of[here], counts[here])
            found["knn_accuracy"] = right_of_counts(*counted, truth[start:stop], ks, none=standings.asked.classes)
        parts.append(found)
        start = stop
    return joined(parts)


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of all queries from those of some at a time."""

    def values(name: str) -> Any:
        if name not in BY_K:
            return torch.cat([one[name] for one in parts])
        return {k: torch.cat([one[name][k] for one in parts]) for k in parts[0][name]}

    return {name: values(name) for name in parts[0]}


def _lists(row: Tensor, level: Tensor, hit: Tensor, counts: Tensor, length: Tensor) -> Lists:
    """Entries of some queries as lists, the relevant items of a tie first."""
    order = torch.argsort((~hit).long(), stable=True)
    order = order[torch.argsort(-level[order], stable=True)]
    order = order[torch.argsort(row[order], stable=True)]
    row, level, hit = (one[order].repeat_interleave(counts[order]) for one in (row, level, hit))
    place = ranges(torch.zeros_like(length), length)
    levels = torch.full((len(length), max(1, int(length.max()))), int(LOWEST), dtype=torch.int32)
    hits = torch.zeros_like(levels, dtype=torch.bool)
    levels[row, place], hits[row, place] = level.int(), hit
    return Lists(torch.arange(len(length)), length, levels, hits, None)
