"""The place of each class in a growing table: labels may be any int64 and turn up in any order."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.types import OUTLIER

DIRECT = 2**22
"""Labels from 0 up to here are looked up in a table of their own (32 MB at most); others are searched for."""


class Places:
    """Places 0, 1, 2 ... given to labels in the order in which they turn up; within one call, in order of label.

    `labels` are those that have their places from the start.
    """

    def __init__(self, device: torch.device, labels: Tensor | None = None) -> None:
        self.labels = torch.empty(0, dtype=torch.int64, device=device) if labels is None else labels
        """The label at each place."""
        self._table = torch.full((1,), -1, device=device)  # place of label - 1, so that OUTLIER has the first entry
        self._index()

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, labels: Tensor) -> Tensor:
        """Places (n,) of `labels` (n,) int64, with a new place for each that was not seen before; OUTLIER gets -1."""
        if not len(labels):
            return labels
        places = self._find(labels)
        unknown = (places < 0) & (labels != OUTLIER)
        if bool(unknown.any()):
            self.labels = torch.cat([self.labels, torch.unique(labels[unknown])])
            self._index()
            places = self._find(labels)
        return places

    def _index(self) -> None:
        """Make the table of places where all labels are small, or else the sorted labels to search in."""
        self._sorted, self._order = self.labels.sort()
        self._direct = not len(self) or bool((self._sorted[0] >= 0) & (self._sorted[-1] < DIRECT))
        if self._direct and len(self):
            self._table = torch.full((int(self._sorted[-1]) + 2,), -1, device=self.labels.device)
            self._table[self.labels + 1] = torch.arange(len(self), device=self.labels.device)

    def _find(self, labels: Tensor) -> Tensor:
        """Place of each label, -1 where it has none."""
        if self._direct:
            inside = (labels >= OUTLIER) & (labels < len(self._table) - 1)
            return torch.where(inside, self._table[torch.where(inside, labels + 1, 0)], -1)
        at = torch.searchsorted(self._sorted, labels).clamp_max(len(self) - 1)
        return torch.where((self._sorted[at] == labels) & (labels != OUTLIER), self._order[at], -1)
