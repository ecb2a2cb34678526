"""Methodological checks: what a reader must know before believing a number. One function and one line for each.

They read the summary alone: rows, records and manifests, never a loss or a network. What each one detects, why it
matters and what to do stands in `checks.toml`, under its code. A code never changes its meaning.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

from losscope.checks import choices, classes, comparability, fairness, outcomes, records
from losscope.checks.finding import Check, Finding, Outcome, Severity
from losscope.summary.types import Summary

__all__ = ["CHECKS", "Check", "Finding", "Outcome", "Severity", "document", "findings"]

_FUNCTIONS: dict[str, Callable[[Summary], list[str] | None]] = {
    "damaged-records": records.damaged,
    "unfinished": records.unfinished,
    "lost-runs": records.lost,
    "unequal-data": comparability.unequal_data,
    "below-input": outcomes.below_input,
    "below-untrained": outcomes.below_untrained,
    "few-seeds": records.few_seeds,
    "unequal-seeds": records.unequal_seeds,
    "test-peeking": choices.peeking,
    "test-watched": choices.watched,
    "closed-set": choices.closed_set,
    "label-blind": outcomes.label_blind,
    "collapsed-loss": outcomes.collapsed,
    "fitted-preset": fairness.fitted,
    "unequal-work": fairness.unequal_work,
    "unequal-samples": fairness.unequal_samples,
    "unequal-budgets": fairness.unequal_budgets,
    "equal-margin": fairness.equal_margin,
    "unreachable-margin": comparability.unreachable_margin,
    "active-by-construction": fairness.active_by_construction,
    "gradient-scale": comparability.gradient_scale,
    "memorized": outcomes.memorized,
    "memorized-noise": outcomes.memorized_noise,
    "near-simplex": outcomes.near_simplex,
    "class-sizes": classes.sizes,
    "dropped-classes": classes.dropped,
    "same-numbers": records.same_numbers,
    "mixed-records": records.mixed,
}


def _checks() -> tuple[Check, ...]:
    texts = tomllib.loads((files("losscope.checks") / "checks.toml").read_text(encoding="utf-8"))
    return tuple(Check(code, **texts[code], function=function) for code, function in _FUNCTIONS.items())


CHECKS = _checks()
"""Every check, in the order in which reports show what they found."""


def findings(summary: Summary) -> tuple[Finding, ...]:
    """What every check finds, in the order of their table."""
    return tuple(_finding(check, check.function(summary)) for check in CHECKS)


def _finding(check: Check, sentences: list[str] | None) -> Finding:
    if sentences is None:
        return Finding(check, "not applicable")
    return Finding(check, check.severity, tuple(sentences)) if sentences else Finding(check, "passed")


def document(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain JSON types."""
    return [
        {
            "code": one.check.code,
            "outcome": one.outcome,
            "fired": one.fired,
            "applies": one.applies,
            "sentences": list(one.sentences),
            "detects": one.check.detects,
            "why": one.check.why,
            "remedy": one.check.remedy,
        }
        for one in found
    ]
