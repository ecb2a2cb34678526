"""Checks of the criterion's settings: what a margin asks for, in which space, and whether the miner lives there too."""

from __future__ import annotations

import torch

from losscope.cards import card
from losscope.criterion import Criterion
from losscope.doctor.case import Case, Trials
from losscope.doctor.traits import Measure, measure_of

NOTHING = 1e-5
"""A loss below it is 0."""

NEXT_TO_NOTHING = 5e-3
"""A loss below it is what positives at the distance of nearly collapsed embeddings give."""


def margin_unreachable(case: Case) -> list[str] | None:
    """A margin that no embeddings of unit length meet: the loss at the collapsed simplex is above 0."""
    trials, margin = case.trials, case.traits.margin
    if trials is None or not case.traits.hinge or margin is None or not trials.on_the_sphere or trials.apart is None:
        return None
    if trials.is_label_blind:  # then the best embeddings are not those that lie apart
        return None
    if trials.apart.value <= NOTHING:
        return []
    classes = len(torch.unique(trials.call.classes))
    where = (
        f"{classes} classes collapsed and equally far"
        if trials.call.kind in ("labeled", "matched")
        else "pairs opposite"
    )
    known = _from_card(case, classes)
    return [
        f"with margin {margin:g} the loss of embeddings of unit length never falls below {trials.apart.value:.4g} ({where})"
        + (f"; the loss card says {known:.4g}." if known is not None else ".")
    ]


def margin_always_satisfied(case: Case) -> list[str] | None:
    """A loss of 0 when all embeddings are one point: negatives are never pushed."""
    trials = case.trials
    if trials is None or trials.collapsed is None or case.traits.class_vectors or _one_sided(trials):
        return None
    near = trials.gathered.value if trials.gathered is not None else 0.0
    if abs(trials.collapsed.value) > NOTHING or abs(near) > NEXT_TO_NOTHING:
        return []
    margin = f" with margin {case.traits.margin:g}" if case.traits.margin is not None else ""
    space = measure_of(case.criterion)
    of = f" and {space}" if space is not None else ""
    return [f"the loss{margin}{of} is 0 when all embeddings are one point, as if every negative were far enough."]


def not_normalized(case: Case) -> list[str] | None:
    """Embeddings of other lengths than 1 where temperature, scale or margin are meant for the unit sphere."""
    trials, traits = case.trials, case.traits
    ours = isinstance(case.criterion, Criterion)
    # At a scale of 1, SphereFace and large-margin softmax are meant for embeddings of any length.
    meant = ours or (traits.sharpness is not None and traits.sharpness > 1)
    if trials is None or not meant or trials.doubled is None:
        return None
    if trials.on_the_sphere:
        return []
    lengths = trials.call.rows.norm(dim=-1)
    sharp = traits.sharpness
    asks = f"multiplies dot products by {sharp:.4g}" if sharp is not None else "has a margin for the unit sphere"
    return [
        f"embeddings have lengths from {lengths.min():.3g} to {lengths.max():.3g}; {traits.name} {asks} and does not bring "
        "them to unit length itself."
    ]


def miner_distance(case: Case) -> list[str] | None:
    """A miner that ranks pairs by another distance than the loss."""
    both = _measures(case)
    if both is None:
        return None
    loss, miner = both
    return [] if loss.order == miner.order else [f"the loss compares by {loss}, the miner by {miner}."]


def miner_units(case: Case) -> list[str] | None:
    """A miner that ranks pairs as the loss does, with thresholds in another unit."""
    both = _measures(case)
    if both is None or both[0].order != both[1].order:
        return None
    loss, miner = both
    if (loss.name, loss.power) == (miner.name, miner.power):
        return []
    names = ("margin", "pos_margin", "neg_margin", "epsilon", "cutoff")
    held = {
        name: getattr(case.miner, name) for name in names if isinstance(getattr(case.miner, name, None), int | float)
    }
    said = f"the loss compares by {loss}, the miner by {miner}: one order on the unit sphere"
    if not held:
        return [f"{said}; the miner has no threshold, so it picks the same."]
    shown = ", ".join(f"{name} = {value:g}" for name, value in held.items())
    lengths = miner.name == "LpDistance" and miner.power == 1
    means = [
        f"{name} is a cosine of {1 - value**2 / 2:.3g}"
        for name, value in held.items()
        if lengths and name != "margin" and 0 <= value <= 2  # the margin of triplets is a difference
    ]
    return [f"{said}, and {shown} of the miner is in its own unit" + (f": {', '.join(means)}." if means else ".")]


def miner_margin(case: Case) -> list[str] | None:
    """A triplet miner and a loss in one space with different margins."""
    mined, margin = getattr(case.miner, "margin", None), case.traits.margin
    both = _measures(case)
    if (
        both is None
        or margin is None
        or not isinstance(mined, int | float)
        or both[0] != both[1]
        or not case.traits.hinge
    ):
        return None
    if mined == margin:
        return []
    if mined > margin:
        return [
            f"the miner's margin is {mined:g}, the loss's {margin:g}: triplets between the two are mined and have loss 0."
        ]
    return [f"the miner's margin is {mined:g}, the loss's {margin:g}: triplets between the two are never mined."]


def _measures(case: Case) -> tuple[Measure, Measure] | None:
    loss, miner = measure_of(case.criterion), measure_of(case.miner)
    return (loss, miner) if loss is not None and miner is not None else None


def _one_sided(trials: Trials) -> bool:
    """Whether the batch has no positive or no negative pair."""
    rows = len(trials.call.classes)
    if trials.call.kind == "pairs":
        return len(torch.unique(trials.call.positive_pairs)) < 2
    return len(torch.unique(trials.call.classes)) in (1, rows)


def _from_card(case: Case, classes: int) -> float | None:
    """The floor of the loss card, for the losses of this package and those that are the same."""
    trials, margin, name = case.trials, case.traits.margin, case.traits.name
    if trials is None or margin is None or trials.call.kind != "labeled":
        return None
    space = measure_of(case.criterion)
    if isinstance(case.criterion, Criterion) and name == "triplet":
        return card(name, **case.criterion.hyperparameters).floor(classes=classes)
    if name != "TripletMarginLoss" or space is None or space.order != ("sphere",):
        return None
    if space.name != "LpDistance":  # cosines: d² = 2 - 2s, so that a gap of m is a margin of 2m between squares
        return card("triplet", margin=2 * margin, squared=True).floor(classes=classes) / 2
    return (
        card("triplet", margin=margin, squared=space.power == 2).floor(classes=classes)
        if space.power in (1, 2)
        else None
    )
