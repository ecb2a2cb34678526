"""What the map says, in sentences computed from its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from losscope.report.contradiction.outcomes import CONTRASTIVE_AHEAD, EQUAL, TRIPLET_AHEAD, UNKNOWN, Outcome
from losscope.report.contradiction.settings import Map
from losscope.report.contradiction.shares import FAMILY, NOISE, SETTING, Shares, percent
from losscope.statistics.decomposition import INTERACTIONS
from losscope.summary.formatting import interval_text, number
from losscope.summary.measures import RECALL_1

NAMED = 3
"""Factors that a sentence names."""


def headline(shares: Sequence[Shares]) -> str:
    """What the loss family explains of each measure, what the settings, what both together, over all data sets."""
    measures = list(dict.fromkeys(one.measure for one in shares))
    whose = {
        FAMILY: "the loss family alone",
        SETTING: "settings alone",
        INTERACTIONS: "what a family makes of a setting",
    }
    parts = []
    for name, words in whose.items():
        means = [[one.families.shares[name].mean for one in shares if one.measure == measure] for measure in measures]
        verb = "explain" if name == SETTING else "explains"
        parts.append(f"{words} {verb} {_listed([_range(of) for of in means])}")
    return f"Of the variance of {_listed([measure.label for measure in measures])}, {'; '.join(parts)}{_respectively(measures)}."


def _range(shares: Sequence[float]) -> str:
    low, high = (max(round(100 * share), 0) for share in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _respectively(measures: Sequence[object]) -> str:
    return " (in this order)" if len(measures) > 1 else ""


def answer(outcomes: Sequence[Outcome], shares: Shares | None) -> str:
    """Which family is ahead by this measure on one data set, in one sentence."""
    first, counts = outcomes[0], Counter(outcome.larger for outcome in outcomes)
    told = [family for family in (CONTRASTIVE_AHEAD, TRIPLET_AHEAD) if counts[family]]
    named = f"{first.dataset}, {first.measure.label}"
    tally = _tally(counts, len(outcomes))
    if len(told) == 2:
        decisive = shares.decisive[:NAMED] if shares else ()
        return f"{named}: depends on {_listed(decisive) if decisive else 'the setting'}. {tally}"
    if told:
        rest = " or no clear difference" if counts[told[0]] < len(outcomes) else ""
        return f"{named}: larger for {told[0]}{rest}, whatever the setting. {tally}"
    return f"{named}: no setting shows a difference. {tally}"


def _tally(counts: Counter[str], settings: int) -> str:
    told = {family: f"larger for {family} in {counts[family]}" for family in (CONTRASTIVE_AHEAD, TRIPLET_AHEAD)}
    told |= {EQUAL: f"{EQUAL} in {counts[EQUAL]}", UNKNOWN: f"not to be told in {counts[UNKNOWN]}"}
    return f"Of {settings} settings it is {_listed([words for what, words in told.items() if counts[what]])}."


def explained(shares: Shares) -> str:
    """How much the family explains, how much the settings, in one or two sentences."""
    parts, factors = shares.families.shares, shares.factors.shares
    largest = sorted(
        (name for name in factors if name not in (FAMILY, INTERACTIONS, *NOISE)), key=lambda name: -factors[name].mean
    )
    settings = _listed([f"{name} {percent(factors[name])}" for name in largest[:NAMED]])
    return (
        f"{shares.dataset}, {shares.measure.label}: the loss family explains {percent(parts[FAMILY])} of the variance, the "
        f"settings {percent(parts[SETTING])} (most: {settings}), what one family makes of a setting and the other doesn't "
        f"{percent(parts[INTERACTIONS])}."
    )


def turned(outcomes: Sequence[Outcome]) -> str:
    """Where the center stands, and which single change of it shows otherwise; empty without a center."""
    center = next((outcome for outcome in outcomes if not outcome.setting.away), None)
    if center is None or center.shown is None:
        return ""
    sign = "−" if center.decision.region.scale == "absolute" else "/"
    numbers = f"contrastive {sign} triplet {interval_text(center.shown)}, n = {center.decision.n}"
    place = f"{center.dataset}, {center.measure.label}: at the center {_said(center)} ({numbers})."
    changes = [outcome for outcome in outcomes if len(outcome.setting.away) == 1 and outcome.larger != center.larger]
    other = [f"{outcome.setting.title} ({_said(outcome)})" for outcome in changes if outcome.larger != UNKNOWN]
    lost = [outcome.setting.title for outcome in changes if outcome.larger == UNKNOWN]
    said = f" A single change of it shows otherwise: {_listed(other)}." if other else ""
    said = said or " No single change of it shows otherwise."
    return place + said + (f" It can't be told after one change: {_listed(lost)}." if lost else "")


def untrained_beside(found: Map) -> str:
    """How many of the losses of a map retrieve better than their own inputs do; empty where these were not measured."""
    arms = {
        (arm.comparison.protocol, arm.subject): arm for one in found.settings for arm in (one.contrastive, one.triplet)
    }
    comparison = found.settings[0].triplet.comparison
    inputs = comparison.reference("input")
    level = comparison.mean(inputs, RECALL_1)
    means = [arm.comparison.mean(arm.subject, RECALL_1) for arm in arms.values()]
    known = [mean for mean in means if mean is not None]
    if inputs is None or level is None or not known:
        return ""
    better = sum(mean > level for mean in known)
    return (
        f"{found.dataset}: {inputs.label}, without any training: {RECALL_1.label} {number(level)}. {better} of the "
        f"{len(known)} losses under these settings have more."
    )


def _said(outcome: Outcome) -> str:
    if outcome.larger in (EQUAL, UNKNOWN):
        return {EQUAL: "both are equal in practice", UNKNOWN: "nothing can be told"}[outcome.larger]
    return f"it is larger for {outcome.larger}"


def _listed(parts: Sequence[str]) -> str:
    """ "a, b and c".

    >>> _listed(["a", "b", "c"]), _listed(["a"])
    ('a, b and c', 'a')
    """
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
