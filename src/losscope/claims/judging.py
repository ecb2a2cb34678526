"""Every claim judged: its contrasts decided as one family, and its entry in the ledger.

The rule is that of `losscope.statistics.decide` (for epochs that may never be reached, of `order`): a line holds if its
effect is beyond the region of practical equivalence in the claimed direction, at 5 % after Holm's adjustment over all
contrasts of the claim in the ledger, from 13 paired seeds on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from losscope.claims.cases import Case, cases
from losscope.claims.composing import compose
from losscope.claims.order import Order, decide_orders
from losscope.claims.rows import command_of, rows_of
from losscope.claims.types import Beside, Claim, Entry, Line, LineVerdict, Ruling, Scale
from losscope.statistics import FEWEST_VARIANTS, Contrast, Decision, Interval, cohen_d, decide, superiority
from losscope.summary.datasets import same_data
from losscope.summary.types import Summary

OPPOSITE: dict[LineVerdict, LineVerdict] = {"holds": "does not hold", "does not hold": "holds"}


def entry(claim: Claim, summary: Summary, *, anytime: bool = False) -> Entry:
    """A claim's lines and verdict on a summary. With `anytime` seeds may have been added after looking."""
    found = cases(claim, summary)
    rulings = _rulings(found, anytime)
    lines = tuple(_line(case, ruling, summary) for case, ruling in zip(found, rulings, strict=True))
    verdict, depends_on, reason = compose(claim, lines)
    return Entry(claim, lines, verdict, depends_on, reason, tuple(_missing(claim, found, summary)))


def _rulings(found: Sequence[Case], anytime: bool) -> list[Ruling]:
    """In the order of the cases. All t tests of a claim are one family, and so are all sign tests."""
    contrasts = [case.test for case in found if isinstance(case.test, Contrast)]
    orders = [case.test for case in found if isinstance(case.test, Order)]
    decided = iter(decide(contrasts, anytime=anytime) if contrasts else [])
    ordered = iter(decide_orders(orders, anytime=anytime) if orders else [])
    rulings = []
    for case in found:
        if case.test is None:
            rulings.append(Ruling("cannot tell", f"{case.missing}.", None, "difference", 0, None, None, 0, ""))
            continue
        ruling = _of(next(decided), case.claim) if isinstance(case.test, Contrast) else next(ordered)
        if case.claim.denies:
            ruling = replace(ruling, verdict=OPPOSITE.get(ruling.verdict, ruling.verdict))
        rulings.append(ruling)
    return rulings


def correlation(scores: Interval) -> Interval:
    """The correlation whose Fisher's z has this mean and interval."""
    bounds = [None if bound is None else math.tanh(bound) for bound in (scores.low, scores.high)]
    return Interval(scores.n, math.tanh(scores.mean), *bounds)


def _of(decision: Decision, claim: Claim) -> Ruling:
    scale: Scale = "ratio" if decision.region.scale == "log" else "difference"
    effect = decision.ratio if scale == "ratio" else decision.effect
    if claim.kind == "association":
        scale, effect = "correlation", effect and correlation(effect)
    return Ruling(
        verdict=decision.verdict,
        why=decision.why,
        effect=effect,
        scale=scale,
        n=decision.n,
        p=decision.p,
        p_adjusted=decision.p_adjusted,
        family=decision.family,
        region=decision.region.words,
        beside=_beside(decision, scale) if decision.n else None,
        cautions=decision.cautions,
    )


TO_SCALE: Mapping[Scale, Callable[[float], float]] = {"ratio": math.exp, "correlation": math.tanh}


def _beside(decision: Decision, scale: Scale) -> Beside:
    effects = dict(zip(decision.contrast.seeds, decision.contrast.effects, strict=True))
    seen = decision.detectable
    if seen is not None:
        seen = TO_SCALE.get(scale, float)(seen if decision.contrast.direction == "larger" else -seen)
    spread = len(effects) > 1 and not decision.contrast.constant
    return Beside(
        detectable=seen,
        p_sign_flip=decision.p_sign_flip,
        p_wilcoxon=decision.p_wilcoxon,
        p_smallest=decision.p_smallest,
        cohen_d=cohen_d(list(effects.values())) if spread else None,
        superiority=superiority(dict.fromkeys(effects, 0.0), effects),
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
        population=case.population,
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
        return f"{FEWEST_VARIANTS} or more losses or variants"
    if claim.kind == "course":
        return " or ".join(claim.losses)
    return f"all of {', '.join((*claim.losses, *claim.against))}"
