"""Moments of the classes in one pass, which merge: chunks, shards, workers and ranks give what one pass gives.

Rows may come in any order; counts are exact and everything else equals one pass to rounding in float64. For each
class c with a provisional center a_c

    n_c,   s_c = Σ (zᵢ - a_c),   q_c = Σ |zᵢ - a_c|²,      on request  T = Σᵢ (zᵢ - a_c)(zᵢ - a_c)ᵀ over all classes

from which μ_c = a_c + s_c/n_c and the sum of squares around it is q_c - |s_c|²/n_c. Two states merge around their
common mean (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm", 1979). Where rows are float64, or
second moments are asked for, a_c is the first row of the class, so that tiny variances far from 0 keep their digits.
Rows of float16 and float32 are otherwise summed around 0, still in float64, in half the time: what cancels then is a
tenth of what rounding the rows themselves adds, and variances below it read 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.geometry.moments import Moments
from losscope.geometry.places import Places
from losscope.geometry.rows import check_dim

BLOCK = 2**18
"""Numbers handled at a time: 2 MB in float64, to stay in cache."""

RESOLUTION = 8 * torch.finfo(torch.float64).eps
"""Variances below this share of |μ_c|² are rounding where rows are summed around 0."""

STATE = {"labels", "counts", "means", "squares", "outliers", "outlier_sum"}
SECOND = {"scatter", "outlier_scatter"}


class ClassMoments:
    """Accumulates moments over chunks of rows.

    >>> moments = ClassMoments()
    >>> moments.update(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([7, 7]))
    >>> moments.compute().variances.tolist()
    [1.0]
    """

    def __init__(self, *, second_moment: bool = False, device: torch.device | str | None = None) -> None:
        self.second_moment = second_moment
        self.device = torch.device(device or "cpu")
        self._places = Places(self.device)
        self._dim: int | None = None
        self._centered = second_moment  # whether classes have provisional centers other than 0

    def update(self, embeddings: Tensor, labels: Tensor) -> None:
        """Add rows (n, dim) with integer labels (n,); -1 is no class. Raises InvalidInput for other shapes or types, and
        with second moments for rows of more than 8,192 numbers.
        """
        self._check(embeddings, labels)
        self._begin(embeddings.shape[1])
        self._centered |= embeddings.dtype == torch.float64
        before = len(self._places)
        places = self._places.of(labels.to(self.device, torch.int64))
        self._grow()
        if self._centered and len(self._places) > before:
            self._center(embeddings, places, before)
        complete = not bool((places < 0).any())
        self._counts += torch.bincount(places if complete else places[places >= 0], minlength=len(self._counts))
        step = max(BLOCK // max(embeddings.shape[1], 1), 1)
        room = torch.empty(step, embeddings.shape[1], dtype=torch.float64, device=self.device)  # one, to stay in cache
        for start in range(0, len(embeddings), step):
            here = places[start : start + step]
            points = room[: len(here)].copy_(embeddings[start : start + step].detach())
            if not complete:
                self._add_outliers(points[here < 0])
                points, here = points[here >= 0], here[here >= 0]
            self._add(points, here)

    def merge(self, other: ClassMoments) -> ClassMoments:
        """Take in what `other` has seen, as if its rows had come here; returns self. `other` stays as it is.

        Raises InvalidInput if only one of the two has second moments, or if their rows are of different length.
        """
        if other._dim is None:
            return self
        if self.second_moment != other.second_moment:
            raise InvalidInput("only one of the two has second moments; expected both or neither")
        self._begin(other._dim)
        self._settle()
        theirs = {name: part.to(self.device) for name, part in other.state_dict().items()}
        places, counts = self._places.of(theirs["labels"]), theirs["counts"]
        self._grow()
        total = self._counts[places] + counts
        gap = theirs["means"] - self._centers[places]
        weight = self._counts[places] * (counts / total)
        self._squares[places] += theirs["squares"] + weight * gap.square().sum(1)
        self._centers[places] += gap * (counts / total).unsqueeze(1)
        self._counts[places] = total
        if self.second_moment:
            self._scatter += theirs["scatter"] + (gap * weight.unsqueeze(1)).T @ gap
            self._outlier_scatter += theirs["outlier_scatter"]
        self._outliers += int(theirs["outliers"])
        self._outlier_sum += theirs["outlier_sum"]
        return self

    def compute(self) -> Moments:
        """The moments of all rows so far; more may follow. Raises InvalidInput before the first row."""
        found = self.state_dict()
        if not found:
            raise InvalidInput("no rows have come; expected at least one update before compute")
        labels, order = found["labels"].sort()
        sorted_already = torch.equal(labels, found["labels"])
        counts, means, squares = (
            found[name] if sorted_already else found[name][order] for name in ("counts", "means", "squares")
        )
        return Moments(
            labels=labels,
            counts=counts,
            centroids=means,
            squares=squares,
            outliers=int(found["outliers"]),
            outlier_sum=found["outlier_sum"],
            scatter=found.get("scatter"),
            outlier_scatter=found.get("outlier_scatter"),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Everything as plain tensors, for a worker to send; empty before the first row."""
        if self._dim is None:
            return {}
        known = len(self._places)
        means, squares = self._around_means()
        state = {
            "labels": self._places.labels.clone(),
            "counts": self._counts[:known].clone(),
            "means": means[:known],
            "squares": squares[:known],
            "outliers": torch.tensor(self._outliers),
            "outlier_sum": self._outlier_sum.clone(),
        }
        if self.second_moment:
            state |= {"scatter": self._scatter_around_means(), "outlier_scatter": self._outlier_scatter.clone()}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], *, device: torch.device | str | None = None) -> ClassMoments:
        """The accumulator whose `state_dict` this is. Raises InvalidInput for anything else."""
        made = cls(second_moment="scatter" in state, device=device)
        expected = (STATE | SECOND if made.second_moment else STATE) if state else set()
        if set(state) != expected:
            raise InvalidInput(f"the state has {sorted(state)}; expected {sorted(expected)}, as state_dict() gives")
        if not state:
            return made
        given = {name: part.to(made.device, copy=True) for name, part in state.items()}
        made._begin(given["means"].shape[1])
        made._places = Places(made.device, given["labels"])
        made._grow()
        known = len(made._places)
        made._counts[:known], made._centers[:known], made._squares[:known] = (
            given[name] for name in ("counts", "means", "squares")
        )
        made._centered = True
        made._outliers, made._outlier_sum = int(given["outliers"]), given["outlier_sum"]
        if made.second_moment:
            made._scatter, made._outlier_scatter = given["scatter"], given["outlier_scatter"]
        return made

    def all_gather(self, group: Any = None) -> ClassMoments:
        """The moments of all ranks of a torch.distributed group, merged in order of rank: bit-equal on every rank."""
        import torch.distributed as distributed

        states: list[dict[str, Tensor]] = [{} for _ in range(distributed.get_world_size(group))]
        distributed.all_gather_object(states, {name: part.cpu() for name, part in self.state_dict().items()}, group)
        merged = ClassMoments(second_moment=self.second_moment, device=self.device)
        for state in filter(None, states):
            merged.merge(ClassMoments.from_state(state, device=self.device))
        return merged

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1] or not embeddings.is_floating_point():
            raise InvalidInput(
                f"embeddings {tuple(embeddings.shape)} of {embeddings.dtype} and labels {tuple(labels.shape)}; "
                "expected floating point (rows, dim) and (rows,)"
            )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise InvalidInput(f"labels have the type {labels.dtype}; expected integers, one for each class")

    def _begin(self, dim: int) -> None:
        """Tables for rows of `dim` numbers, on the first call; later ones must agree."""
        if self._dim not in (None, dim):
            raise InvalidInput(f"rows of {self._dim} and of {dim} numbers; expected rows of equal length")
        if self._dim is None:
            if self.second_moment:
                check_dim(dim)
            self._dim, self._outliers = dim, 0
            self._counts, self._squares, self._outlier_sum = self._zeros(0), self._zeros(0), self._zeros(dim)
            self._centers, self._sums = self._zeros(0, dim), self._zeros(0, dim)
            square = dim if self.second_moment else 0
            self._scatter, self._outlier_scatter = self._zeros(square, square), self._zeros(square, square)

    def _zeros(self, *shape: int) -> Tensor:
        if self.device.type != "cpu":
            return torch.zeros(shape, dtype=torch.float64, device=self.device)
        return torch.from_numpy(np.zeros(shape))  # numpy asks for huge pages: a tenth faster with many classes

    def _grow(self) -> None:
        """Room for all classes that have a place."""
        known, wanted = len(self._counts), len(self._places)
        if wanted > known:
            room = max(wanted, 2 * known)
            for name in ("_counts", "_squares", "_centers", "_sums"):
                table: Tensor = getattr(self, name)
                grown = self._zeros(room, *table.shape[1:])
                grown[:known] = table
                setattr(self, name, grown)

    def _center(self, embeddings: Tensor, places: Tensor, before: int) -> None:
        """The first row of each class with a place from `before` on becomes its provisional center."""
        fresh = (places >= before).nonzero().squeeze(1)
        first = torch.full((len(self._places) - before,), len(places), device=self.device)
        first.scatter_reduce_(0, places[fresh] - before, fresh, "amin")
        self._centers[before : len(self._places)] = embeddings[first.to(embeddings.device)].detach().to(self._centers)

    def _add(self, points: Tensor, places: Tensor) -> None:
        if self._centered:
            points -= self._centers[places]
        self._sums.index_add_(0, places, points)
        self._squares.index_add_(0, places, torch.linalg.vector_norm(points, dim=1).square())
        if self.second_moment:
            self._scatter.addmm_(points.T, points)

    def _add_outliers(self, points: Tensor) -> None:
        self._outliers += len(points)
        self._outlier_sum += points.sum(0)
        if self.second_moment:
            self._outlier_scatter.addmm_(points.T, points)

    def _around_means(self) -> tuple[Tensor, Tensor]:
        """Mean of each class, and sum of squares around it."""
        counts = self._counts.clamp_min(1)
        means = self._sums / counts.unsqueeze(1)
        lost = counts * torch.linalg.vector_norm(means, dim=1).square()
        squares = self._squares - lost
        if self._centered:
            return means.add_(self._centers), squares.clamp_min_(0)
        return means, torch.where(squares > RESOLUTION * lost, squares, 0.0)

    def _scatter_around_means(self) -> Tensor:
        return self._scatter - (self._sums / self._counts.clamp_min(1).unsqueeze(1)).T @ self._sums

    def _settle(self) -> None:
        """Make the means the provisional centers."""
        if self.second_moment:
            self._scatter = self._scatter_around_means()
        self._centers, self._squares = self._around_means()
        self._sums.zero_()
        self._centered = True
