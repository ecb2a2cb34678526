"""The k nearest other rows of each query, gathered tile by tile."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.geometry.pairs import Queries, Tile


class Nearest:
    """Watches a pass over pairs and keeps the nearest rows of each query, the nearer first.

    Among rows at equal distances the one that was seen first stays.
    """

    def __init__(self, queries: Queries, k: int) -> None:
        count = len(queries.rows)
        self.squared = queries.points.new_full((count, k), torch.inf)
        """(queries, k) squared distance; infinite where there are fewer than k other rows."""
        self.rows = torch.full((count, k), -1, device=queries.points.device)
        """(queries, k) row number; -1 where there are fewer."""

    def update(self, tile: Tile) -> None:
        held = self.squared[tile.queries]
        if bool(held[:, -1].isinf().any()):  # the list is not full yet
            k = min(held.shape[1], tile.squared.shape[1])
            limit = tile.squared.topk(k, dim=1, largest=False).values[:, -1:]
            near = (tile.squared <= limit) & tile.squared.isfinite()
        else:
            near = tile.squared < held[:, -1:]  # what is as far as the last one comes after it
        query, at = near.nonzero().unbind(1)
        if not len(query):
            return
        count = torch.bincount(query, minlength=len(held))
        place = torch.arange(len(query), device=query.device) - (count.cumsum(0) - count)[query]
        squared = held.new_full((len(held), int(count.max())), torch.inf)
        rows = torch.full_like(squared, -1, dtype=torch.int64)
        squared[query, place], rows[query, place] = tile.squared[query, at], at + tile.rows.start
        self._take(tile.queries, squared, rows)

    def state(self) -> tuple[Tensor, ...]:
        """For a worker to send."""
        return self.squared.cpu(), self.rows.cpu()

    def merge(self, state: tuple[Tensor, ...]) -> None:
        """Take in what was found among rows that come after those seen here."""
        squared, rows = (part.to(self.squared.device) for part in state)
        self._take(slice(None), squared, rows)

    def _take(self, queries: slice, near: Tensor, seen: Tensor) -> None:
        squared = torch.cat([self.squared[queries], near], dim=1)
        rows = torch.cat([self.rows[queries], seen], dim=1)
        order = squared.argsort(dim=1, stable=True)[:, : self.squared.shape[1]]
        self.squared[queries] = squared.gather(1, order)
        self.rows[queries] = torch.where(self.squared[queries].isinf(), -1, rows.gather(1, order))
