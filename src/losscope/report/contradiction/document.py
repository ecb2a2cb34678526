"""The map of the contradiction as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.contradiction import Contradiction
from losscope.report.contradiction.outcomes import Outcome
from losscope.report.contradiction.settings import Arm
from losscope.report.contradiction.shares import DECOMPOSITIONS, Shares


def contradiction_document(shown: Contradiction) -> dict[str, Any]:
    """Answers, the center of every map, every difference with its verdict, and every share."""
    return {
        "headline": shown.headline,
        "answers": list(shown.answers),
        "sentences": list(shown.sentences),
        "centers": {one.dataset: dict(one.center) for one in shown.maps},
        "outcomes": [_outcome(outcome) for outcome in shown.outcomes],
        "shares": [row for one in shown.shares for row in _shares(one)],
        "limits": list(shown.limits),
    }


def _outcome(found: Outcome) -> dict[str, Any]:
    decision = found.decision
    return {
        "dataset": found.dataset,
        "measure": found.measure.key,
        "levels": dict(found.setting.levels),
        "contrastive": _arm(found.setting.contrastive),
        "triplet": _arm(found.setting.triplet),
        "scale": decision.region.scale,
        "effect": decision.effect and asdict(decision.effect),
        "simultaneous": decision.simultaneous and asdict(decision.simultaneous),
        "region": decision.region.words,
        "n": decision.n,
        "family": decision.family,
        "larger_for": found.larger,
        "population": decision.population,
    }


def _arm(arm: Arm) -> dict[str, str]:
    return {"protocol": arm.comparison.protocol, "variant": arm.subject.variant}


def _shares(found: Shares) -> list[dict[str, Any]]:
    return [
        {"dataset": found.dataset, "measure": found.measure.key, "of": kind, "part": name, **asdict(share)}
        for kind in DECOMPOSITIONS
        for name, share in getattr(found, kind).shares.items()
    ]
