"""Hubness: rows that turn up among the neighbors of many others, and rows that never do.

With N_k(x) the number of queries that have x among their k nearest others (the k-occurrence):

    skewness        E (N_k - mean)³ / std³                         0 even; large where few rows are near everything
    anti-hub share  rows with N_k = 0
    bad share       neighbor slots that hold a row of another class; of the queries against all rows
    bad hub share   rows in more than twice k lists, and of another class than the query in most of them

Radovanović, Nanopoulos and Ivanović, "Hubs in space", 2010. The others depend on the number of rows, which is
therefore said: where the space is too large, disjoint samples of rows are measured, each among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.geometry.estimate import Estimate, over_groups, over_units

HUB = 2
"""A hub is in more than this many times k lists."""


@dataclass(frozen=True)
class Hubness:
    """Over all rows, or over disjoint samples of `rows` rows each."""

    skewness: Estimate
    antihub_share: Estimate
    bad_share: Estimate
    bad_hub_share: Estimate
    rows: int
    counts: np.ndarray | None  # (rows,) N_k; only where all rows were measured
    hubs: np.ndarray  # row numbers of the largest N_k, largest first; at most ten


@dataclass(frozen=True)
class Occurrences:
    """Who is near whom among one set of rows, all of which ask."""

    rows: Tensor  # (rows,) row numbers in the space
    counts: Tensor  # (rows,) N_k
    bad: Tensor  # (rows,) lists of another class's queries among them; queries without a class don't count


def occurrences(neighbors: Tensor, rows: Tensor, places: Tensor) -> Occurrences:
    """Counts from the neighbors (rows, k) of all `rows`, as places among them, -1 for none; `places` of their classes."""
    count = len(rows)
    there = neighbors >= 0
    query = torch.arange(count, device=rows.device).unsqueeze(1).expand_as(neighbors)[there]
    seen = neighbors[there]
    classed = places[query] >= 0
    bad = classed & (places[query] != places[seen])
    return Occurrences(rows, torch.bincount(seen, minlength=count), torch.bincount(seen[bad], minlength=count))


def bad_share(neighbors: Tensor, places: Tensor, own: Tensor, *, exact: bool) -> Estimate:
    """Share of the neighbors (queries, k) that are not of the query's class, over queries with a class.

    `places` are those of the classes of all rows, `own` (queries,) those of the queries; a sample has an interval.
    """
    there = (neighbors >= 0)[own >= 0]
    wrong = (places[neighbors.clamp_min(0)] != own.unsqueeze(1))[own >= 0] & there
    shares = (wrong.sum(1).double() / there.sum(1)).cpu().numpy()
    found = over_units(shares)
    return Estimate(found.value, n=found.n) if exact else found


def hubness(found: Sequence[Occurrences], k: int, bad: Estimate) -> Hubness:
    """Hubness of all rows (one set) or of disjoint samples (several), with the bad share at hand."""
    measured = np.array([_measures(one, k) for one in found])
    counts = torch.cat([one.counts for one in found])
    rows = torch.cat([one.rows for one in found])
    top = counts.argsort(descending=True, stable=True)[:10]
    whole = len(found) == 1
    skewness, antihub, bad_hub = (
        over_groups(float(values.mean()), [] if whole else values.tolist(), len(rows)) for values in measured.T
    )
    return Hubness(
        skewness=skewness,
        antihub_share=antihub,
        bad_share=bad,
        bad_hub_share=bad_hub,
        rows=len(found[0].rows),
        counts=counts.cpu().numpy() if whole else None,
        hubs=rows[top].cpu().numpy(),
    )


def _measures(found: Occurrences, k: int) -> tuple[float, float, float]:
    counts = found.counts.double()
    spread = float(counts.std(correction=0))
    skewness = float(((counts - counts.mean()) ** 3).mean()) / spread**3 if spread > 0 else 0.0
    bad_hub = (found.counts > HUB * k) & (2 * found.bad > found.counts)
    return skewness, float((found.counts == 0).double().mean()), float(bad_hub.double().mean())
