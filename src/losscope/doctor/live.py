"""The same codes from what a monitor measures anyway: `watch` looks at its steps, `look` at the space after an epoch.

A line holds what one step measured, each as a list of one number: `{"step": 7, "loss": [0.3], ...}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from losscope.doctor.case import share
from losscope.doctor.finding import Finding
from losscope.doctor.table import CHECKS
from losscope.doctor.traits import Traits, traits_of
from losscope.doctor.values import NEAR, closed_forms

Lines = Sequence[Mapping[str, Any]]

ENOUGH = 3
"""Steps from which a share means something."""

EARLY = 200
"""Steps in which a gradient of 0 is a fault; later, a hinge loss may have met all its margins."""

LASTING = 20
"""Measured steps for which a collapse must have lasted."""

ONE_POINT = 1e-4
"""Variance of a batch on the unit sphere below which it is one point, if it lasts."""

GROWTH = 1e3
"""Times the median gradient norm of the steps before it."""

AGREES = 0.9
"""Share of labels that a space must agree with before it is asked which are wrong."""


def watch(lines: Lines, criterion: Any = None, *, scaled: bool = False) -> tuple[Finding, ...]:
    """The issues that steps of a run show, in the order of the table of checks.

    With the criterion, its collapse value is told by name, and one with class vectors isn't asked for positives.
    `scaled` under a GradScaler, which tries scales until gradients overflow and skips such steps: they are no fault.

    >>> steps = [{"step": step, "batch_negative_share": [0.0]} for step in range(3)]
    >>> [one.code for one in watch(steps)]
    ['single-class-batches']
    """
    traits = traits_of(criterion) if criterion is not None else None
    if scaled:
        lines = [line for line in lines if math.isfinite(line.get("gradient_norm_embedding", [0.0])[0])]
    return tuple(
        Finding(check, check.severity, (said,))
        for check in CHECKS
        if check.code in LIVE and (said := LIVE[check.code](lines, traits))
    )


def look(geometry: Any, where: str) -> tuple[Finding, ...]:
    """What the description of a space (`losscope.geometry.Geometry`) shows; `where` says of which epoch and split.

    Suspects are told where the space agrees with most labels: before that they say more of the space than of the labels.
    """
    found = []
    code = {"total": "collapsed", "dimensional": "dimensional-collapse"}.get(geometry.alarm.kind)
    if code is not None:
        found.append(_finding(code, f"{where}: {'; '.join(geometry.alarm.evidence)}."))
    doubts = geometry.suspects
    if doubts.total and doubts.agreement >= AGREES:
        of = f"{share(int(doubts.total), int(doubts.looked_at), 'rows')} fit another class better"
        found.append(_finding("label-suspects", f"{where}: {of}, by their {doubts.ranked_by}."))
    return tuple(found)


def _finding(code: str, said: str) -> Finding:
    check = next(one for one in CHECKS if one.code == code)
    return Finding(check, check.severity, (said,))


def _single_class(lines: Lines, traits: Traits | None) -> str | None:
    found = _values(lines, "batch_negative_share")
    alone = [step for step, value in found if value == 0]
    return _often(alone, len(found), "had a batch of a single class: no negatives")


def _no_positives(lines: Lines, traits: Traits | None) -> str | None:
    if traits is not None and traits.class_vectors:
        return None
    found = _values(lines, "batch_positive_share")
    return _often([step for step, value in found if value == 0], len(found), "had no positive pair in their batch")


def _not_finite(lines: Lines, traits: Traits | None) -> str | None:
    for name in ("loss", "gradient_norm_embedding"):
        for line in lines:
            if name in line and not math.isfinite(line[name][0]):
                return f"step {line['step']}: {name} is {line[name][0]}."
    return None


def _zero_gradient(lines: Lines, traits: Traits | None) -> str | None:
    found = [(step, value) for step, value in _values(lines, "gradient_norm_embedding") if step < EARLY]
    return _often([step for step, value in found if value == 0], len(found), "had a gradient of 0")


def _exploding(lines: Lines, traits: Traits | None) -> str | None:
    name = "gradient_norm" if _values(lines, "gradient_norm") else "gradient_norm_embedding"
    before: list[float] = []
    for step, value in _values(lines, name):
        if len(before) >= ENOUGH and value > GROWTH * median(before) > 0:
            return f"step {step}: {name} is {value:.3g}, the median of the steps before it {median(before):.3g}."
        before.append(value)
    return None


def _collapsed(lines: Lines, traits: Traits | None) -> str | None:
    """By the variance within classes and the distance between them, both next to 0 for long: a deep network may start there."""
    within = dict(_values(lines, "intra_class_variance_batch"))
    between = dict(_values(lines, "inter_class_squared_distance_batch"))
    latest = [step for step in within if step in between][-LASTING:]
    if len(latest) < LASTING or any(within[step] + between[step] / 2 > ONE_POINT for step in latest):
        return None
    step = latest[-1]
    loss = dict(_values(lines, "loss")).get(step)
    size = int(dict(_values(lines, "batch_size")).get(step, 0))
    shown = f", the loss is {loss:.4g}" if loss is not None else ""
    named = closed_forms(traits, size, size) if traits is not None else ()
    known = [name for name, closed in named if loss is not None and math.isclose(closed, loss, rel_tol=NEAR)]
    shown += f", {known[0]}" if known else ""
    return (
        f"steps {latest[0]} to {step}: variance within classes {within[step]:.1e}, squared distance between classes "
        f"{between[step]:.1e}{shown}: all embeddings are one point."
    )


LIVE: dict[str, Callable[[Lines, Traits | None], str | None]] = {
    "single-class-batches": _single_class,
    "no-positives": _no_positives,
    "not-finite": _not_finite,
    "zero-gradient": _zero_gradient,
    "exploding-gradient": _exploding,
    "collapsed": _collapsed,
}
"""Checks of the table that the lines of a monitor are enough for."""


def _values(lines: Lines, name: str) -> list[tuple[int, float]]:
    """(step, value) of a scalar where it was measured and is finite."""
    return [(line["step"], line[name][0]) for line in lines if name in line and math.isfinite(line[name][0])]


def _often(steps: list[int], total: int, what: str) -> str | None:
    """More than half of enough steps."""
    if total < ENOUGH or 2 * len(steps) <= total:
        return None
    return f"{share(len(steps), total, 'steps')} {what}, first step {steps[0]}."
