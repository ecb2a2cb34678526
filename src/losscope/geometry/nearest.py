"""The k nearest other rows of each query, gathered tile by tile."""

from __future__ import annotations

import torch

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
        k = self.squared.shape[1]
        near, at = tile.squared.topk(min(k, tile.squared.shape[1]), dim=1, largest=False)
        squared = torch.cat([self.squared[tile.queries], near], dim=1)
        rows = torch.cat([self.rows[tile.queries], at + tile.rows.start], dim=1)
        order = squared.argsort(dim=1, stable=True)[:, :k]
        self.squared[tile.queries] = squared.gather(1, order)
        self.rows[tile.queries] = torch.where(self.squared[tile.queries].isinf(), -1, rows.gather(1, order))
