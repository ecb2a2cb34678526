"""The rows that are described: read in chunks from memory or a memory map, checked, and scaled to unit length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.errors import InvalidInput
from losscope.types import OUTLIER

Similarity = Literal["cosine", "euclidean"]
LARGEST = 8192
"""Numbers in a row at most where second moments are needed: a (dim, dim) matrix in float64 takes 0.5 GB, and there are
several."""

NAMED = 5
"""So many bad rows are named in an error."""


def check_dim(dim: int) -> None:
    """Raises InvalidInput if rows of `dim` numbers are too long for (dim, dim) matrices."""
    if dim > LARGEST:
        raise InvalidInput(
            f"rows of {dim:,} numbers; expected at most {LARGEST:,}, as matrices of (dim, dim) numbers are needed for "
            "spectra and CKA: reduce them first, for instance to their principal components"
        )


class Rows:
    """Embeddings (rows, dim) with a label each; nothing is read before it is asked for.

    `embeddings` is a tensor, an array, or what gives arrays of its rows, of floating point numbers. With "cosine" rows come out at unit
    length, and 0 stays 0. Raises InvalidInput for other shapes, types and similarities.
    """

    def __init__(
        self,
        embeddings: Any,
        labels: Any,
        *,
        similarity: Similarity = "cosine",
        chunk: int = 16_384,
        device: torch.device | str | None = None,
    ) -> None:
        if similarity not in ("cosine", "euclidean"):
            raise InvalidInput(f"the similarity is {similarity!r}; expected 'cosine' or 'euclidean'")
        if chunk < 1:
            raise InvalidInput(f"the chunk is {chunk}; expected at least one row")
        self.similarity, self.chunk, self.device = similarity, chunk, torch.device(device or "cpu")
        self._embeddings = embeddings
        if len(embeddings.shape) != 2 or 0 in embeddings.shape:
            raise InvalidInput(f"embeddings have the shape {tuple(embeddings.shape)}; expected (rows, dim), not empty")
        if not self._piece(slice(0, 1)).is_floating_point():
            raise InvalidInput(f"embeddings have the type {embeddings.dtype}; expected floating point numbers")
        found = labels if isinstance(labels, Tensor) else torch.from_numpy(np.ascontiguousarray(labels))
        if found.shape != embeddings.shape[:1] or found.is_floating_point() or found.dtype == torch.bool:
            raise InvalidInput(
                f"labels {tuple(found.shape)} of {found.dtype} for {len(self)} rows; expected one integer for each row, "
                "-1 where there is no class"
            )
        self.labels = found.to(self.device, torch.int64)
        self.classes, self.places = self._places()

    def __len__(self) -> int:
        return int(self._embeddings.shape[0])

    @property
    def dim(self) -> int:
        return int(self._embeddings.shape[1])

    @property
    def outliers(self) -> int:
        """Rows without a class."""
        return int((self.labels == OUTLIER).sum())

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows in order, (rows, points (n, dim)) at a time. Raises InvalidInput naming rows that are not finite."""
        for start in range(0, len(self), self.chunk):
            rows = slice(start, min(start + self.chunk, len(self)))
            yield rows, self._prepared(self._piece(rows), rows.start)

    def take(self, rows: Tensor) -> Tensor:
        """The points (n, dim) of some rows (n,). Raises InvalidInput as `chunks`, with the place within `rows`."""
        picked = rows.to(self._embeddings.device) if isinstance(self._embeddings, Tensor) else rows.cpu().numpy()
        return self._prepared(self._piece(picked), 0)

    def _places(self) -> tuple[Tensor, Tensor]:
        """The classes in order of label, and the place of each row's class among them; -1 for none."""
        kept = self.labels != OUTLIER
        classes, inverse = torch.unique(self.labels[kept], return_inverse=True)
        places = torch.full_like(self.labels, -1)
        places[kept] = inverse
        return classes, places

    def _piece(self, rows: Any) -> Tensor:
        found = self._embeddings[rows]
        if isinstance(found, Tensor):
            return found.detach()
        return torch.from_numpy(np.array(found))  # a copy, as a memory map may be read-only

    def _prepared(self, piece: Tensor, start: int) -> Tensor:
        points = piece.to(self.device)
        points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
        lengths = points.abs().amax(1)
        if not bool(lengths.isfinite().all()):
            bad = (~lengths.isfinite()).nonzero().squeeze(1)
            named = ", ".join(str(start + int(row)) for row in bad[:NAMED])
            more = f" and {len(bad) - NAMED} more of this chunk" if len(bad) > NAMED else ""
            raise InvalidInput(
                f"rows {named}{more} hold NaN or infinite values; expected finite numbers: leave these rows out, "
                "or look at how they were made"
            )
        if self.similarity == "cosine":
            points = normalize(points / torch.where(lengths > 0, lengths, 1).unsqueeze(1), dim=1)
        return points
