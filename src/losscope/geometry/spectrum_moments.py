"""What a spectrum is made from, in one pass over rows that come in any chunks, on any workers or ranks, and merge.

A matrix (dim, dim) of second moments and a mean of each class, in float64, around means (Chan, Golub and LeVeque 1979):
see `class_moments`. What merged states give equals one pass to rounding, and is equal to the bit on every rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.spectrum import Spectrum, spectrum


class SpectrumMoments:
    """Accumulates second moments over chunks of rows.

    >>> moments = SpectrumMoments()
    >>> moments.update(torch.eye(4))
    >>> round(moments.compute().effective_rank, 12)
    4.0
    """

    def __init__(self, *, device: torch.device | str | None = None) -> None:
        self._moments = ClassMoments(second_moment=True, device=device)

    def update(self, embeddings: Tensor, labels: Tensor | None = None) -> None:
        """Add rows (n, dim) with integer labels (n,), -1 for no class; without labels all rows are of one class, and what
        is said within classes is said around the mean. Raises InvalidInput as `ClassMoments.update`.
        """
        if labels is None:
            labels = torch.zeros(embeddings.shape[:1], dtype=torch.int64, device=embeddings.device)
        self._moments.update(embeddings, labels)

    def merge(self, other: SpectrumMoments) -> SpectrumMoments:
        """Take in what `other` has seen; returns self. Raises InvalidInput for rows of another length."""
        self._moments.merge(other._moments)
        return self

    def compute(self) -> Spectrum:
        """The spectrum of all rows so far; more may follow. Raises InvalidInput before the first row."""
        return spectrum(self._moments.compute())

    def covariance(self) -> Tensor:
        """Covariance (dim, dim) of all rows so far, divided by their number. Raises InvalidInput before the first row."""
        return self._moments.compute().covariance

    def state_dict(self) -> dict[str, Tensor]:
        """Everything as plain tensors, for a worker to send; empty before the first row."""
        return self._moments.state_dict()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], *, device: torch.device | str | None = None) -> SpectrumMoments:
        """The accumulator whose `state_dict` this is. Raises InvalidInput for anything else."""
        made = cls(device=device)
        if state:
            made._moments.merge(ClassMoments.from_state(state, device=device))
        return made

    def all_gather(self, group: Any = None) -> SpectrumMoments:
        """The moments of all ranks of a torch.distributed group, merged in order of rank: bit-equal on every rank."""
        made = SpectrumMoments(device=self._moments.device)
        made._moments = self._moments.all_gather(group)
        return made
