"""What a criterion was called with, as embeddings and labels: whatever the calling convention.

    criterion(embeddings, labels)            a batch with a class for each sample
    criterion(features, labels)              features (samples, views, dim): the views of a sample share its label
    criterion(first, second)                 two encoders, matched rows: row i of both is class i
    criterion(anchor, positive, negative)    rows of the first two are matched; a negative is of no class (-1)
    criterion(first, second, target)         target ±1 or 0/1: pairs; without classes, so composition is not measured

Reference embeddings and miners' indices (`ref_emb`, `indices_tuple`) are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.types import OUTLIER


class Batch(NamedTuple):
    """The embeddings of one call, as the criterion got them, and a label for each row of all parts, if any."""

    parts: tuple[Tensor, ...]  # each (rows, dim) or (rows, views, dim)
    labels: Tensor | None  # (rows of all parts, flattened) int64
    has_own_labels: bool = True  # and not numbers of matched rows

    @property
    def embeddings(self) -> Tensor:
        """All rows (samples, dim), without a graph."""
        return flat([part.detach() for part in self.parts])

    @property
    def kept(self) -> Batch:
        """The same without a graph, and without what its parts may be slices of."""
        return self._replace(parts=tuple(own(part.detach()) for part in self.parts))


def own(rows: Tensor) -> Tensor:
    """The same values; where they are a slice of a larger tensor, which they would keep, in memory of their own."""
    return rows.clone() if rows.untyped_storage().nbytes() > rows.numel() * rows.element_size() else rows


def flat(parts: Sequence[Tensor]) -> Tensor:
    """The rows of several tensors with one last axis, below one another."""
    rows = [part.reshape(-1, part.shape[-1]) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def batch_of(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Batch:
    """The batch in a criterion's arguments. Raises InvalidInput if there are no embeddings in them."""
    given = [*arguments, *(value for name, value in keywords.items() if not name.startswith("ref_"))]
    tensors = [value for value in given if isinstance(value, Tensor)]
    points = [one for one in tensors if one.is_floating_point() and one.ndim in (2, 3)]
    parts = tuple(one for one in points if one.shape[-1] == points[0].shape[-1])
    whole = (one for one in tensors if not one.is_floating_point() and not one.is_complex() and one.ndim == 1)
    if not parts:
        raise InvalidInput(
            f"the criterion was called with {_described(given)}; expected embeddings of shape (samples, dim): tap the "
            "criterion that gets them, or call monitor.step(embeddings, labels, ...) yourself"
        )
    if len(parts) == 1 and parts[0].ndim == 3 and parts[0].shape[1] == 1:
        parts = (parts[0].squeeze(1),)
    given_labels = next(whole, None)
    return Batch(parts, labels_of(parts, given_labels), given_labels is not None)


def labels_of(parts: Sequence[Tensor], labels: Tensor | None) -> Tensor | None:
    """A label (rows of all parts,) for each row, in memory of its own; None for pairs with a target."""
    device = parts[0].device
    counts = [part.shape[0] for part in parts]
    if labels is not None:
        if len(parts) == 1 and labels.shape[0] == counts[0]:
            given = labels.to(device, torch.int64, copy=True)
            views = parts[0].shape[1] if parts[0].ndim == 3 else 1
            return given.repeat_interleave(views)
        if labels.shape[0] == sum(counts):
            return labels.to(device, torch.int64, copy=True)
        return None
    if len(parts) == 1:
        if parts[0].ndim == 2:
            return None
        return torch.arange(counts[0], device=device).repeat_interleave(parts[0].shape[1])
    matched = torch.arange(counts[0], device=device)
    second = matched if counts[1] == counts[0] else torch.full((counts[1],), OUTLIER, device=device)
    rest = [torch.full((count,), OUTLIER, device=device) for count in counts[2:]]
    return torch.cat([matched, second, *rest])


def _described(given: Iterable[Any]) -> str:
    shown = (
        f"a tensor {tuple(one.shape)} of {one.dtype}" if isinstance(one, Tensor) else type(one).__name__
        for one in given
    )  # fmt: skip
    return ", ".join(shown) or "nothing"
