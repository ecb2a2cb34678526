"""The summary as JSON: the numbers of the page for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.checks import document as findings_document
from losscope.claims.document import claims_document
from losscope.report.cards import cards_document
from losscope.report.content import Content
from losscope.report.contradiction.document import contradiction_document
from losscope.report.granularity.document import granularity_document
from losscope.report.paper_b.document import paper_b_document
from losscope.report.populations.document import populations_document
from losscope.report.strict.document import strict_document
from losscope.summary.measures import BY_KEY
from losscope.summary.types import Comparison, Difference, Estimate, Summary
from losscope.table import SCHEMA_VERSION


def document(summary: Summary, content: Content) -> dict[str, Any]:
    """Headline, findings, estimates and differences, with every seed's value. Plain JSON types only."""
    return {
        "schema": SCHEMA_VERSION,
        "title": summary.title,
        "headline": {name: getattr(content.headline, name) for name in ("which", "how_much", "trust")},
        "findings": findings_document(content.findings),
        "studies": [
            {
                "name": study.study.name,
                "folder": study.folder.name,
                "planned": study.planned,
                "ended": len(study.trained),
            }
            for study in summary.studies
        ],
        "runs_lost": [
            {"run": run.run, "status": run.status, "seed": run.seed} for run in summary.runs if run.status != "done"
        ],
        "strict": strict_document(summary),
        "cards": cards_document(summary),
        "estimates": [row for comparison in summary.comparisons for row in _estimates(comparison)],
        "claims": claims_document(content.claims.ledger),
        "contradiction": contradiction_document(content.contradiction) if content.contradiction else None,
        "granularity": granularity_document(content.granularity) if content.granularity else None,
        "paper_b": paper_b_document(content.paper_b) if content.paper_b else None,
        "differences": [_difference(found) for found in summary.differences],
        "populations": populations_document(content.populations) if content.populations else None,
    }


def _place(comparison: Comparison) -> dict[str, Any]:
    return {"dataset": comparison.dataset, "protocol": comparison.protocol}


def _estimates(comparison: Comparison) -> list[dict[str, Any]]:
    splits = {"evaluation": comparison.evaluation, "training": None}
    return [
        {
            **_place(comparison),
            "subject": subject.kind,
            "loss": subject.loss,
            "variant": subject.variant,
            "measure": key,
            "split": splits.get(BY_KEY[key].where, BY_KEY[key].where),
            **_numbers(estimate),
        }
        for (subject, key), estimate in comparison.estimates.items()
    ]


def _numbers(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval
    return {
        "n": estimate.n,
        "mean": interval and interval.mean,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "values": {str(seed): value for seed, value in estimate.values.items()},
        "never": list(estimate.never),
    }


def _difference(found: Difference) -> dict[str, Any]:
    paired = found.paired
    return {
        **_place(found.comparison),
        "measure": found.measure.key,
        "first": {"loss": found.first.loss, "variant": found.first.variant},
        "second": {"loss": found.second.loss, "variant": found.second.variant},
        "second_minus_first": asdict(paired.interval),
        "seeds": list(paired.seeds),
        "p": paired.p,
        "p_holm": found.adjusted_p,
        "family": found.family,
        "p_sign_flip": paired.p_sign_flip,
        "p_wilcoxon": paired.p_wilcoxon,
        "p_smallest": paired.p_smallest,
        "region": found.region.words,
        "scale": found.region.scale,
        "simultaneous": found.simultaneous and asdict(found.simultaneous),
        "verdict": found.verdict,
        "population": found.population,
    }
