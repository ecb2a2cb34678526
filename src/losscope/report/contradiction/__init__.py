"""The map of the contradiction: contrastive against triplet, setting by setting, where a study varies the settings.

One paper finds triplet losses ahead, others contrastive ones. The map shows under which settings which is, and how much of
the results the loss family explains at all. It is drawn for every data set on which both families were trained under at
least eight settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from losscope.report.contradiction.figure import shares_figure
from losscope.report.contradiction.outcomes import MEASURES, Outcome, outcomes
from losscope.report.contradiction.settings import Map, maps
from losscope.report.contradiction.shares import Shares, shares
from losscope.report.contradiction.tables import map_table
from losscope.report.contradiction.words import answer, explained, headline, turned, untrained_beside
from losscope.report.figures import Figure
from losscope.report.tables import Table
from losscope.summary.types import Summary

LIMITS = (
    "Settings were varied around one center, a few of them in pairs: what happens far from it, this does not say.",
    "A margin, a sampler or a number of updates that is equal for both families is not the best one for each: nothing was tuned "
    "here.",
    "A contrastive run stands beside several triplet losses where it does not know what these vary (squared, mining): such "
    "settings are no independent evidence on the contrastive side.",
)


@dataclass(frozen=True)
class Contradiction:
    """All that a report says of it."""

    maps: tuple[Map, ...]
    outcomes: tuple[Outcome, ...]
    shares: tuple[Shares, ...]
    headline: str  # what explains the results; empty where nothing could be decomposed
    answers: tuple[str, ...]  # who is ahead: one sentence for each measure of each data set
    sentences: tuple[str, ...]  # how much the family explains, and what turns the result
    figure: Figure | None
    table: Table
    limits: tuple[str, ...] = LIMITS


def contradiction(summary: Summary) -> Contradiction | None:
    """None if no data set has enough settings."""
    found = maps(summary)
    if not found:
        return None
    by_measure = {measure: outcomes(found, measure) for measure in MEASURES}
    decomposed: list[Shares] = []
    answers: list[str] = []
    sentences: list[str] = []
    for one in found:
        for of_all in by_measure.values():
            of = [outcome for outcome in of_all if outcome.dataset == one.dataset]
            if not of:
                continue
            parts = shares(one, of)
            answers.append(answer(of, parts))
            if parts:
                decomposed.append(parts)
                sentences.append(explained(parts))
            sentences += filter(None, [turned(of)])
        sentences += filter(None, [untrained_beside(one)])
    return Contradiction(
        maps=found,
        outcomes=tuple(outcome for of in by_measure.values() for outcome in of),
        shares=tuple(decomposed),
        headline=headline(decomposed) if decomposed else "",
        answers=tuple(answers),
        sentences=tuple(sentences),
        figure=shares_figure(decomposed, "shares"),
        table=map_table(found, by_measure),
    )
