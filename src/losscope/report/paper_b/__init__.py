"""The part of a report that compares the seven losses of paper B, where a study has at least four of them.

"Variance & Greediness: A comparative study of metric-learning losses", Zeng et al. 2026 (arXiv 2601.21450).
"""

from __future__ import annotations

from dataclasses import dataclass

from losscope.report.figures import Figure
from losscope.report.paper_b.baselines import baselines_table
from losscope.report.paper_b.flips import Flips, flips
from losscope.report.paper_b.geometry import budget_figure, geometry_table
from losscope.report.paper_b.greediness import greediness_figure
from losscope.report.paper_b.limits import limits
from losscope.report.paper_b.losses import losses_table
from losscope.report.paper_b.source import SEVEN
from losscope.report.paper_b.tradeoff import tradeoff_figure
from losscope.report.paper_b.tuned import tuned_table
from losscope.report.tables import Table
from losscope.summary.types import Comparison, Summary

ENOUGH = 4
"""Of the seven losses: a comparison with fewer is not what the paper is about."""


@dataclass(frozen=True)
class Place:
    """One data set under one protocol. `folded`: another protocol of the data set is shown before it."""

    title: str
    folded: bool
    losses: Table
    tradeoff: Figure | None
    greediness: Figure | None
    flips: Flips | None
    geometry: Table
    budget: Figure | None
    baselines: Table

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Those that there are."""
        return tuple(figure for figure in (self.tradeoff, self.greediness, self.budget) if figure)


@dataclass(frozen=True)
class PaperB:
    """All that a report says of the seven losses."""

    comparisons: tuple[Comparison, ...]  # of which `places` shows one each
    tuned: Table | None
    places: tuple[Place, ...]
    limits: tuple[str, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        return tuple(figure for place in self.places for figure in place.figures)


def paper_b(summary: Summary) -> PaperB | None:
    """None if no comparison, trained on the labels as given, has at least four of the seven losses."""
    comparisons = tuple(part for part in summary.given if _has_enough(part))
    if not comparisons:
        return None
    datasets = [part.dataset for part in comparisons]
    return PaperB(
        comparisons=comparisons,
        tuned=tuned_table(comparisons),
        places=tuple(
            _place(summary, part, nth, folded=part.dataset in datasets[: nth - 1])
            for nth, part in enumerate(comparisons, start=1)
        ),
        limits=limits(summary, comparisons),
    )


def _has_enough(comparison: Comparison) -> bool:
    return len({subject.loss for subject in comparison.trained}.intersection(SEVEN)) >= ENOUGH


def _place(summary: Summary, comparison: Comparison, nth: int, *, folded: bool) -> Place:
    return Place(
        title=comparison.title,
        folded=folded,
        losses=losses_table(comparison, f"seven-{nth}"),
        tradeoff=tradeoff_figure(comparison, f"tradeoff-{nth}"),
        greediness=greediness_figure(comparison, f"greediness-{nth}"),
        flips=flips(comparison, f"flips-{nth}"),
        geometry=geometry_table(comparison, f"geometry-{nth}"),
        budget=budget_figure(comparison, f"budget-{nth}"),
        baselines=baselines_table(summary, comparison, f"baselines-{nth}"),
    )
