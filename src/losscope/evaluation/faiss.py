"""Lists searched by faiss, their similarities computed again as everywhere here (Douze et al., arXiv 2401.08281).

faiss returns the first items by its own float32 arithmetic, without a word on ties. Candidates whose level could also
belong to an item that was not returned are dropped; queries left with too few, and deep lists, go the usual way.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import MissingDependency
from losscope.evaluation.labels import Labels
from losscope.evaluation.ranking import FEWEST, Candidates, Ranking
from losscope.neighbors import level_of

try:
    import faiss
except ImportError as missing:
    raise MissingDependency.of("faiss-cpu", "faiss", 'backend="faiss"') from missing

SPARE = 3  # places beyond those asked for: itself, and room for a tie
DEEP = 64  # places beyond which the heaps of faiss cost more than a threshold
TOGETHER = 32  # queries whose candidates' similarities are computed in one product
GAP = 2  # levels by which the two arithmetics can differ, and more


class FaissRanking(Ranking):
    """As Ranking, on a CPU. Raises MissingDependency without faiss."""

    def __init__(self, queries: Tensor, gallery: Tensor, labels: tuple[Labels, Labels], own: Tensor | None) -> None:
        super().__init__(queries, gallery, labels, own)
        self.index = faiss.IndexFlatIP(self.gallery.shape[1])
        self.index.add(self.gallery[: self.shown].cpu().numpy())

    def _block(self, depth: int) -> int:
        return super()._block(depth) if depth > DEEP else 4096

    def _candidates(self, rows: Tensor, depth: Tensor, votes: int, tries: int) -> Candidates | None:
        deepest = max(int(depth.max()), votes)
        if tries or deepest > DEEP or (votes and self.labeled < self.shown):
            return super()._candidates(rows, depth, votes, tries)
        places = min(deepest + SPARE, self.shown)
        theirs, items = self.index.search(self.queries[rows].cpu().numpy(), places)
        item = torch.from_numpy(items).to(rows.device)
        level = level_of(self._similarities(rows, item))
        whole = places == self.shown  # nothing is left out
        beyond = level_of(torch.from_numpy(theirs[:, -1:]).to(rows.device)) + GAP
        kept = level > (-math.inf if whole else beyond)
        if self.own is not None:
            kept &= item != self.own[rows].unsqueeze(1)
        length = kept.sum(1)
        row, column = kept.nonzero().unbind(1)
        place = (kept.cumsum(1) - 1)[row, column]
        asked = depth.clamp_min(min(votes, self.offered))
        return Candidates(row, place, item[row, column], level[row, column], length, length >= asked)

    def _similarities(self, rows: Tensor, item: Tensor) -> Tensor:
        """Similarities (rows, places) from products of matrices, which round as those of all similarities do."""
        found = []
        for some, of in zip(torch.split(item, TOGETHER), torch.split(rows, TOGETHER), strict=True):
            columns = F.pad(some.reshape(-1), (0, max(0, FEWEST - some.numel())))
            product = (self.points(of) @ self.gallery[columns].T)[: len(of), : some.numel()]
            found.append(product.reshape(len(of), *some.shape).diagonal(dim1=0, dim2=1).T)
        return torch.cat(found)
