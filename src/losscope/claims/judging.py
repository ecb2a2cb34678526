"""Every claim judged: its contrasts decided as one family, and its entry in the ledger.

The rule is that of `losscope.statistics.decide` (for epochs that may never be reached, of `order`): a line holds if its
effect is beyond the region of practical equivalence in the claimed direction, at 5 % after Holm's adjustment over all
contrasts of the claim in the ledger, from 13 paired seeds on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from losscope.claims.cases import Case, cases, population
from losscope.claims.composing import compose
from losscope.claims.order import Order, decide_orders
from losscope.claims.rows import command_of, rows_of
from losscope.claims.types import Claim, Entry, Line, LineVerdict, Ruling, Scale
from losscope.statistics import Contrast, Decision, Interval, decide
from losscope.summary.datasets import same_data
from losscope.summary.types import Summary

OPPOSITE: dict[LineVerdict, LineVerdict] = {"holds": "does not hold", "does not hold": "holds"}


def entry(claim: Claim, summary: Summary) -> Entry:
    """A claim's lines and verdict on a summary."""
    found = cases(claim, summary)
    rulings = _rulings(found)
    lines = tuple(_line(case, ruling, summary) for case, ruling in zip(found, rulings, strict=True))
    verdict, depends_on, reason = compose(claim, lines)
    return Entry(claim, lines, verdict, depends_on, reason, tuple(_missing(claim, found, summary)))


def _rulings(found: Sequence[Case]) -> list[Ruling]:
    """In the order of the cases. All t tests of a claim are one family, and so are all sign tests."""
    contrasts = [case.test for case in found if isinstance(case.test, Contrast)]
    orders = [case.test for case in found if isinstance(case.test, Order)]
    decided = iter([_of(decision) for decision in decide(contrasts)] if contrasts else [])
    ordered = iter(decide_orders(orders) if orders else [])
    rulings = []
    for case in found:
        if case.test is None:
            rulings.append(Ruling("cannot tell", f"{case.missing}.", None, "difference", 0, None, None, 0, ""))
            continue
        ruling = next(decided) if isinstance(case.test, Contrast) else next(ordered)
        if case.claim.kind == "association":
            ruling = replace(ruling, scale="correlation", effect=ruling.effect and correlation(ruling.effect))
        if case.claim.denies:
            ruling = replace(ruling, verdict=OPPOSITE.get(ruling.verdict, ruling.verdict))
        rulings.append(ruling)
    return rulings


def correlation(scores: Interval) -> Interval:
    """The correlation whose Fisher's z has this mean and interval."""
    bounds = [None if bound is None else math.tanh(bound) for bound in (scores.low, scores.high)]
    return Interval(scores.n, math.tanh(scores.mean), *bounds)


def _of(decision: Decision) -> Ruling:
    scale: Scale = "ratio" if decision.region.scale == "log" else "difference"
    return Ruling(
        verdict=decision.verdict,
        why=decision.why,
        effect=decision.ratio if scale == "ratio" else decision.effect,
        scale=scale,
        n=decision.n,
        p=decision.p,
        p_adjusted=decision.p_adjusted,
        family=decision.family,
        region=decision.region.words,
        cautions=decision.cautions,
    )


def _line(case: Case, ruling: Ruling, summary: Summary) -> Line:
    return Line(
        claim=case.claim,
        comparison=case.comparison,
        measure=case.measure,
        label=case.label,
        pair=case.pair,
        reading=case.reading,
        ruling=ruling,
        difference=case.difference,
        population=population(case.comparison),
        rows=rows_of(case.sides, case.comparison, summary),
        alike=case.alike,
        others=case.others,
    )


def _missing(claim: Claim, found: Sequence[Case], summary: Summary) -> list[str]:
    """What of a claim is not in the record, with the command that measures it."""
    said = [
        f"{case.comparison.title}: {case.missing}; {command_of(claim.study)}" for case in found if case.test is None
    ]
    said += [
        f"{name}: not measured; {command_of(study)}"
        for name, study in claim.data
        if not any(same_data(part.dataset, name) for part in summary.given)
    ]
    if not (found or said) or _lacks_losses(claim, found):
        said.append(f"no comparison here has {_needs(claim)}; {command_of(claim.study)}")
    return list(dict.fromkeys(said))


def _lacks_losses(claim: Claim, found: Sequence[Case]) -> bool:
    """Whether no comparison has all losses of a claim that was made of several."""
    needed = {(one, other) for one in claim.losses for other in claim.against}
    places: dict[str, set[tuple[str, str]]] = {}
    for case in found:
        places.setdefault(case.comparison.title, set()).add(case.pair)
    return bool(found) and not any(needed <= pairs for pairs in places.values())


def _needs(claim: Claim) -> str:
    """What a comparison must have for a claim to be judged whole."""
    if claim.kind == "setting":
        return f"two values of the {claim.setting} of {' or '.join(claim.losses)}"
    if claim.kind == "association":
        return "several losses or variants"
    if claim.kind == "course":
        return " or ".join(claim.losses)
    return f"all of {', '.join((*claim.losses, *claim.against))}"
