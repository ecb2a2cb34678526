"""Labels of queries and gallery: one class for each row, or a set of labels for each row; who is relevant to whom.

With classes, an item is relevant to a query of its class. With sets, an item is relevant if the two sets share a
label. The class -1 and the empty set are no class: such rows are in the gallery, and never query. Within a set, -1
is a label as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.types import OUTLIER

MATCHES = 2**18  # pairs of a query's label and an item that has it, handled at a time: about 10 MB


@dataclass(frozen=True, eq=False)
class LabelSets:
    """A set of integer labels for each row: row i has `values[offsets[i]:offsets[i + 1]]`.

    Within sets -1 is a label as any other: a row without a class has an empty set.
    Raises InvalidInput for offsets (rows + 1,) that don't rise from 0 to the number of values, and for other types.

    >>> LabelSets.of([[3, 5], [], [5]]).offsets.tolist()
    [0, 2, 2, 3]
    """

    offsets: Tensor  # (rows + 1,) int64
    values: Tensor  # (all labels of all rows,) int64

    def __post_init__(self) -> None:
        for name, given in (("offsets", self.offsets), ("values", self.values)):
            if not isinstance(given, Tensor) or given.ndim != 1 or not whole(given):
                raise InvalidInput(f"{name} of label sets: {described(given)}; expected a vector of integers")
            object.__setattr__(self, name, given.long())
        steps = self.offsets.diff()
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != len(self.values) or (steps < 0).any():
            raise InvalidInput(
                f"offsets of label sets {self.offsets[:8].tolist()}...; expected numbers that rise from 0 to "
                f"{len(self.values)}, the number of values"
            )

    @classmethod
    def of(cls, sets: Iterable[Iterable[int]]) -> LabelSets:
        """Label sets of a list with the labels of each row."""
        listed = [list(one) for one in sets]
        lengths = torch.tensor([0, *map(len, listed)])
        return cls(lengths.cumsum(0), torch.tensor([value for one in listed for value in one], dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: Tensor) -> LabelSets:
        """The sets of some rows, in their order."""
        lengths = self.offsets.diff()[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        return LabelSets(offsets, self.values[ranges(self.offsets[rows], lengths)])

    def owners(self) -> Tensor:
        """The row of each value."""
        return torch.arange(len(self), device=self.values.device).repeat_interleave(self.offsets.diff())

    def to(self, device: torch.device) -> LabelSets:
        return LabelSets(self.offsets.to(device), self.values.to(device))


Labels = Tensor | LabelSets


def ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """start, start + 1, ... for each start, as many as its length says, all in one vector.

    >>> ranges(torch.tensor([5, 0]), torch.tensor([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    shift = starts - (lengths.cumsum(0) - lengths)
    return shift.repeat_interleave(lengths) + torch.arange(int(lengths.sum()), device=starts.device)


def whole(given: Tensor) -> bool:
    """Whether a tensor holds integers."""
    return not (given.dtype.is_floating_point or given.dtype.is_complex or given.dtype == torch.bool)


def described(given: object) -> str:
    """Shape and type of what was handed in."""
    if isinstance(given, Tensor):
        return f"a tensor {tuple(given.shape)} of the type {given.dtype}"
    return f"a {type(given).__name__}"


def checked_labels(labels: Labels, rows: int, name: str) -> Labels:
    """The labels, classes as int64: an unsigned 255 is not -1. Raises InvalidInput unless they are integers (rows,) or
    LabelSets of as many rows.
    """
    if isinstance(labels, LabelSets):
        if len(labels) != rows:
            raise InvalidInput(f"{name} hold {len(labels)} sets; expected one for each of {rows} rows")
        return labels
    if not isinstance(labels, Tensor) or labels.shape != (rows,) or not whole(labels):
        raise InvalidInput(
            f"{name} are {described(labels)}; expected integers ({rows},), one class for each row, or LabelSets"
        )
    return labels.long()


class Relevance:
    """Who is relevant to whom, between `queries` and a `gallery` of classes or of label sets.

    `own` (queries,) is the place of each query in the gallery, None where the two are strangers: a query is never
    relevant to itself.
    """

    def __init__(self, queries: Labels, gallery: Labels, own: Tensor | None) -> None:
        self.queries, self.gallery, self.own = queries, gallery, own
        if isinstance(gallery, LabelSets):
            order = gallery.values.argsort(stable=True)
            self._sorted, self._items = gallery.values[order], gallery.owners()[order]
        self.count = self._count()

    def _count(self) -> Tensor:
        """Number (queries,) of relevant items of each query."""
        if isinstance(self.queries, LabelSets):
            rows = torch.arange(len(self.queries), device=self.queries.values.device)
            return torch.cat([self.mask(some).sum(1) for some in torch.split(rows, self.rows_at_once)])
        assert isinstance(self.gallery, Tensor)
        ordered = self.gallery.sort().values
        found = torch.searchsorted(ordered, self.queries, right=True) - torch.searchsorted(ordered, self.queries)
        return torch.where(self.queries == OUTLIER, 0, found - int(self.own is not None))

    @property
    def rows_at_once(self) -> int:
        """How many queries' masks over the gallery take at most about 16 MB."""
        return max(1, 2**24 // max(1, len(self.gallery)))

    def mask(self, rows: Tensor) -> Tensor:
        """Relevance (rows, gallery) of label sets, for some queries."""
        assert isinstance(self.queries, LabelSets)
        asked = self.queries.take(rows)
        first = torch.searchsorted(self._sorted, asked.values)
        lengths = torch.searchsorted(self._sorted, asked.values, right=True) - first
        found = torch.zeros(len(rows), len(self.gallery), dtype=torch.bool, device=first.device)
        part = lengths.cumsum(0) // MATCHES
        values = (asked.owners(), first, lengths)
        for number in torch.unique(part).tolist():
            owner, start, many = (one[part == number] for one in values)
            found[owner.repeat_interleave(many), self._items[ranges(start, many)]] = True
        if self.own is not None:
            found[torch.arange(len(rows), device=first.device), self.own[rows]] = False
        return found

    def hits(self, rows: Tensor, places: Tensor, items: Tensor) -> Tensor:
        """Whether each of the `items` is relevant to the query `rows[place]` beside it."""
        if isinstance(self.gallery, Tensor):
            assert isinstance(self.queries, Tensor)
            return self.queries[rows][places] == self.gallery[items]
        return self.mask(rows)[places, items]
