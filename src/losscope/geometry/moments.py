"""What one pass over the rows found: counts, centroids and variances of the classes, and second moments on request."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from losscope.diagnostics.variance import ClassStatistics
from losscope.errors import InvalidInput


@dataclass(frozen=True)
class Moments:
    """Classes in order of their label; all tensors float64 but the labels. `ClassMoments.compute` makes them."""

    labels: Tensor  # (classes,) int64
    counts: Tensor  # (classes,)
    centroids: Tensor  # (classes, dim)
    squares: Tensor  # (classes,) sum of squared distances to the centroid
    outliers: int  # rows without a class
    outlier_sum: Tensor  # (dim,) sum of the rows without a class
    scatter: Tensor | None = None  # (dim, dim) Σ (zᵢ - μ_c)(zᵢ - μ_c)ᵀ over the rows with a class
    outlier_scatter: Tensor | None = None  # (dim, dim) Σ zᵢ zᵢᵀ over the rows without

    def to(self, device: torch.device) -> Moments:
        """The same on another device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: one.to(device) if isinstance(one, Tensor) else one for name, one in parts.items()
        }
        return Moments(**moved)

    @property
    def rows(self) -> int:
        """All rows that were seen, with and without a class."""
        return int(self.counts.sum()) + self.outliers

    @property
    def variances(self) -> Tensor:
        """v_c of each class (classes,), biased; 0 for a class with one row."""
        return self.squares / self.counts

    @property
    def unbiased_variances(self) -> Tensor:
        """n_c/(n_c - 1) v_c of each class (classes,); NaN for a class with one row."""
        return torch.where(self.counts > 1, self.squares / (self.counts - 1).clamp_min(1), torch.nan)

    @cached_property
    def statistics(self) -> ClassStatistics:
        """What the functions of `losscope.diagnostics` take: the classes with at least two rows."""
        kept = self.counts >= 2
        return ClassStatistics(self.labels[kept], self.counts[kept], self.centroids[kept], self.variances[kept])

    @cached_property
    def mean(self) -> Tensor:
        """Mean (dim,) of all rows, with and without a class."""
        return (self.counts @ self.centroids + self.outlier_sum) / self.rows

    @property
    def within(self) -> Tensor:
        """Σ (zᵢ - μ_c)(zᵢ - μ_c)ᵀ (dim, dim) over the rows with a class. Raises InvalidInput if it was not summed."""
        if self.scatter is None:
            raise InvalidInput(
                "the moments hold no second moments; expected them for spectra and intervals: "
                "use ClassMoments(second_moment=True)"
            )
        return self.scatter

    @cached_property
    def second(self) -> Tensor:
        """Σ zᵢ zᵢᵀ (dim, dim) over all rows, not centered. Raises InvalidInput as `within`."""
        between = (self.centroids * self.counts.unsqueeze(1)).T @ self.centroids
        found = self.within + between
        return found if self.outlier_scatter is None else found + self.outlier_scatter

    @cached_property
    def covariance(self) -> Tensor:
        """Covariance (dim, dim) of all rows, divided by their number. Raises InvalidInput as `within`."""
        return self.second / self.rows - torch.outer(self.mean, self.mean)
