"""Methodological checks: what a reader must know before believing a number. One function and one line for each.

A check returns sentences, the first of which says it all; no sentence means passed, None that it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from losscope.checks import fairness, outcomes, records
from losscope.summary.types import Summary


@dataclass(frozen=True)
class Check:
    """One check. `looks_for` is what it would warn of."""

    code: str
    looks_for: str
    function: Callable[[Summary], list[str] | None]


@dataclass(frozen=True)
class Finding:
    """What one check found. `applies` is False if there was nothing to check."""

    check: Check
    sentences: tuple[str, ...]
    applies: bool

    @property
    def fired(self) -> bool:
        """Whether the check warns."""
        return bool(self.sentences)


CHECKS = (
    Check("unfinished", "runs that are missing", records.unfinished),
    Check("lost-runs", "runs that diverged or failed", records.lost),
    Check("below-input", "losses that do worse than the raw input", outcomes.below_input),
    Check("below-untrained", "losses that do worse than the untrained network", outcomes.below_untrained),
    Check("few-seeds", "fewer paired seeds than a verdict needs", records.few_seeds),
    Check("unequal-seeds", "losses whose means are over different seeds", records.unequal_seeds),
    Check("label-blind", "a contrastive loss that stalls at m²/4", outcomes.label_blind),
    Check("fitted-preset", "a protocol fitted to the numbers it is compared with", fairness.fitted),
    Check("unequal-work", "losses that had different amounts of training", fairness.unequal_work),
    Check("unequal-budgets", "losses tuned with different numbers of variants", fairness.unequal_budgets),
    Check("equal-margin", "one margin that means different things", fairness.equal_margin),
    Check("active-by-construction", "active ratios that can't fall", fairness.active_by_construction),
    Check("memorized", "training numbers that say little about new samples", outcomes.memorized),
    Check("near-simplex", "centroids as far apart as the sphere allows", outcomes.near_simplex),
    Check("same-numbers", "protocols that give a loss identical results", records.same_numbers),
    Check("mixed-records", "records that don't belong together", records.mixed),
)


def findings(summary: Summary) -> tuple[Finding, ...]:
    """All checks, in the order of their table."""
    results = ((check, check.function(summary)) for check in CHECKS)
    return tuple(Finding(check, tuple(result or ()), result is not None) for check, result in results)
