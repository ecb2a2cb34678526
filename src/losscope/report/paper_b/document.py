"""What a report says of paper B, as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.paper_b import PaperB
from losscope.report.paper_b.claims import Judgement, Pairing
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison


def paper_b_document(shown: PaperB) -> dict[str, Any]:
    """Claims with every comparison they rest on, tuned variants, orders that flip, profiles of the probe, limits."""
    return {
        "claims": [_judgement(judgement) for judgement in shown.judgements],
        "tuned": [_tuned(part) for part in shown.comparisons if part.tuned],
        "flips": [
            {
                **_place(part),
                "first": _variant(flip.first),
                "second": _variant(flip.second),
                "clear": flip.clear,
                "first_minus_second": {str(item): asdict(one) for item, one in flip.differences.items()},
            }
            for part, place in zip(shown.comparisons, shown.places, strict=True)
            if place.flips
            for flip in place.flips.found
        ],
        "profiles": [
            {
                **_place(part),
                **_variant(subject),
                "diagnostic": diagnostic,
                "items": {str(item): asdict(one.interval) for item, one in items.items() if one.interval},
            }
            for part in shown.comparisons
            for (subject, diagnostic), items in part.profiles.items()
        ],
        "limits": list(shown.limits),
    }


def _place(comparison: Comparison) -> dict[str, str]:
    return {"dataset": comparison.dataset, "protocol": comparison.protocol}


def _variant(subject: Subject) -> dict[str, str]:
    return {"loss": subject.loss, "variant": subject.variant}


def _judgement(judgement: Judgement) -> dict[str, Any]:
    claim = judgement.claim
    return {
        **_place(judgement.comparison),
        "claim": claim.name,
        "text": claim.text,
        "source": claim.source,
        "tag": claim.tag,
        "falsifier": claim.falsifier,
        "verdict": judgement.word,
        "says": judgement.sentence,
        "n": judgement.n,
        "missing": [measure.key for measure in judgement.missing],
        "comparisons": [_pairing(pairing) for pairing in judgement.pairings],
    }


def _pairing(found: Pairing) -> dict[str, Any]:
    interval = found.paired.interval
    return {
        "measure": found.part.measure.key,
        "wants": found.part.direction,
        "subject": _variant(found.subject),
        "other": _variant(found.other),
        "effect": interval.mean,
        "interval": [interval.low, interval.high],
        "n": found.paired.n,
        "p": found.paired.p,
        "p_holm": found.adjusted_p,
        "points": found.points,
        "verdict": found.word,
        "other_variants_alike": found.alike,
        "other_variants": found.pairs,
    }


def _tuned(comparison: Comparison) -> dict[str, Any]:
    return {
        **_place(comparison),
        "chosen": [
            {**_variant(subject), "variants": comparison.budgets[subject.loss]}
            for subject in comparison.representatives
        ],
    }
