"""Records with planted values: what each claim's measures are, seed by seed, whatever else the record holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from losscope.claims.types import Claim
from losscope.summary.measures import CENSORED, COMPACTIONS, Measure
from planted import LOSSES, SEVEN, Rows, noise

LAST = 3
SEEDS = 13
Level = Callable[[str, str, int], float | None]
"""(loss, variant, seed) -> value."""

MARGINS = [
    {"name": "contrastive", "margin": [0.5, 0.7, 1.0]},
    {"name": "triplet", "margin": [0.5, 1.0], "squared": [False, True]},
]


def plant(levels: Mapping[Measure, Level]) -> Callable[[Rows], Iterable[dict[str, Any]]]:
    """An edit that puts a measure's planted values in place of what the record has."""

    def edit(rows: Rows) -> Iterable[dict[str, Any]]:
        runs = {row["run"]: row for row in rows if row["loss"] != "none"}
        planted = [
            new for measure, level in levels.items() for row in runs.values() for new in _rows(row, measure, level)
        ]
        taken = {_place(row) for row in planted}
        yield from (row for row in rows if _place(row) not in taken)
        yield from planted

    return edit


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("run", "split", "epoch", "diagnostic", "item"))


def _rows(row: Mapping[str, Any], measure: Measure, level: Level) -> Iterable[dict[str, Any]]:
    split = {"evaluation": "heldout", "training": None}.get(measure.where, measure.where)
    epochs = {"last": [LAST], "start": [0], "mean over epochs": range(1, LAST + 1)}[measure.when]
    value = level(row["loss"], row["variant"], row["seed"])
    for epoch in epochs:
        new = {**row, "split": split, "epoch": epoch, "step": None, "item": measure.item}
        yield {**new, "diagnostic": measure.diagnostic, "value": value}
        if split == "train_clean":  # what tells a reader that there is such a split
            yield {**new, "diagnostic": "intra_class_variance", "item": 0, "value": 0.1}


def losses_of(claim: Claim) -> list[dict[str, Any]]:
    """Losses that a record must have for a claim to be judged."""
    if claim.kind == "setting":
        return MARGINS
    if claim.kind == "association" and not claim.losses:
        return SEVEN[:4]
    return SEVEN if {"sup_con", "n_pair"} & {*claim.losses, *claim.against} else LOSSES


def small(*parts: object) -> float:
    """Noise of half a percent."""
    return 1 + 0.005 * noise(*parts)


def levels(claim: Claim, truth: str) -> dict[Measure, Level]:
    """Values of a claim's measures under which it is "true", "reversed", or there is no effect ("null").

    A claim that denies something is true where nothing is; its "null" is an effect at the edge of what counts.
    """
    from losscope.summary.measures import BY_KEY  # keys of measures that a claim names by another

    up = (claim.direction == "larger") == (truth == "true")
    if claim.kind == "level":
        value = {"true": 1.0, "reversed": 0.5, "null": 0.98}[truth]
        wobble = {"true": 0.001, "reversed": 0.05, "null": 0.01}[truth]
        return {
            measure: lambda loss, variant, seed: value + wobble * noise("level", seed) for measure in claim.measures
        }
    if claim.kind == "lead":
        return _leads(claim, truth)
    if claim.kind == "association":
        return _associated(claim, truth)
    found: dict[Measure, Level] = {}
    for measure in claim.measures:
        base = 12.0 if measure.diagnostic in (*CENSORED, *COMPACTIONS) else 0.4
        if claim.kind == "course":
            start = BY_KEY[f"{measure.diagnostic}/{measure.where}/start"]
            found[start] = _flat(base, "start", measure)
            found[measure] = _flat(base * _factor(up, truth), "last", measure)
        elif claim.kind == "setting":
            found[measure] = _by_margin(base, measure, up, truth)
        else:
            found[measure] = _by_loss(claim, base, measure, up, truth)
            if claim.beside:
                found[claim.beside] = _by_loss(claim, base, claim.beside, up, truth)
    return found


def _factor(up: bool, truth: str) -> float:
    return 1.0 if truth == "null" else 1.5 if up else 1 / 1.5


def _flat(value: float, *name: object) -> Level:
    return lambda loss, variant, seed: value * small(*name, loss, variant, seed)


def _by_loss(claim: Claim, base: float, measure: Measure, up: bool, truth: str) -> Level:
    def level(loss: str, variant: str, seed: int) -> float:
        own = base * (_factor(up, truth) if loss in claim.losses else 1.0)
        return own * small(measure.key, loss, variant, seed)

    return level


def _by_margin(base: float, measure: Measure, up: bool, truth: str) -> Level:
    def level(loss: str, variant: str, seed: int) -> float:
        largest = "margin=1.0" in variant
        return base * (_factor(up, truth) if largest else 1.0) * small(measure.key, loss, variant, seed)

    return level


def _leads(claim: Claim, truth: str) -> dict[Measure, Level]:
    assert claim.beside
    first, later = {"true": (0.2, 0.02), "reversed": (0.02, 0.2), "null": (0.1, 0.1)}[truth]

    def lead(size: float, measure: Measure) -> Level:
        return lambda loss, variant, seed: (
            0.6 + size * (loss in claim.losses) + 0.004 * noise(measure.key, loss, variant, seed)
        )

    return {claim.beside: lead(first, claim.beside), **{measure: lead(later, measure) for measure in claim.measures}}


def _associated(claim: Claim, truth: str) -> dict[Measure, Level]:
    assert claim.beside

    def rank(loss: str, variant: str, seed: int) -> float:
        order = sorted({(entry["name"]) for entry in losses_of(claim)})
        return 0.1 * (1 + order.index(loss)) + 0.05 * ("squared=true" in variant)

    def other(loss: str, variant: str, seed: int) -> float:
        if truth == "null":
            return 0.5 + 0.1 * noise("null", loss, variant, seed)
        return (0.5 + 0.3 * rank(loss, variant, seed) * (1 if truth == "true" else -1)) * small(loss, variant, seed)

    scale = 10 if claim.measures[0].diagnostic in COMPACTIONS else 1
    return {claim.beside: other, **{m: (lambda *who: scale * rank(*who) * small(*who)) for m in claim.measures}}
