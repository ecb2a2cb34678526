"""Checks of what the loss is: at a value that says nothing was learned, blind to labels, or not a number."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from losscope.doctor.calls import Call
from losscope.doctor.case import Case, share
from losscope.doctor.traits import Traits
from losscope.types import OUTLIER

ONE_POINT = 1e-5
"""Variance on the unit sphere (1 - |mean|²) below which embeddings are one point. Untrained deep networks come to 1e-4."""

NEAR = 0.01
"""Relative distance from a closed-form value that counts as being there."""

LARGEST_HALF = 65504.0
"""The largest finite number of float16."""


def fails(case: Case) -> list[str] | None:
    """The model or the criterion raises."""
    return [one.failure for one in case.observed if one.failure is not None]


def not_finite(case: Case) -> list[str] | None:
    """NaN or infinity in embeddings, loss or gradients, and where it starts."""
    reached = [one for one in case.observed if one.loss is not None]
    if not reached:
        return None
    said = []
    for place, one in enumerate(reached):
        assert one.call is not None
        if one.wrong_module is not None or not bool(one.call.rows.isfinite().all()):
            said.append(f"batch {place}: the embeddings; it starts at the output of {one.wrong_module or 'the model'}.")
        elif one.loss is not None and not bool(one.loss.isfinite().all()):
            said.append(
                f"batch {place}: the loss is {one.value}; it starts in the criterion, the embeddings are finite."
            )
        elif one.gradient is not None and not bool(one.gradient.isfinite().all()):
            said.append(f"batch {place}: the loss is {one.value:.4g} and its gradient by the embeddings is not finite; it starts in the criterion.")  # fmt: skip
        else:
            wrong = [name for name, norm in one.gradients.items() if norm is not None and not math.isfinite(norm)]
            if wrong:
                said.append(f"batch {place}: the gradient, from {wrong[-1]} back; that of the embeddings is finite.")
    return [f"{share(len(said), len(reached))} have a loss or gradient that is not finite.", *said] if said else []


def collapsed(case: Case) -> list[str] | None:
    """All embeddings are one point, and the loss has the value that it has there."""
    several = [one for one in case.finite if one.call is not None and len(one.call.classes) > 1]
    finite = [one for one in several if one.call is not None and bool(one.call.rows.isfinite().all())]
    if not finite:
        return None
    variances = [_variance(one.call) for one in finite if one.call is not None]
    if max(variances) > ONE_POINT:
        return []
    value = sum(one.value for one in finite) / len(finite)
    said = f"all embeddings of a batch are one point: their variance on the unit sphere is {max(variances):.1e}"
    there = case.trials.collapsed if case.trials is not None else None
    if there is None or not math.isclose(value, there.value, rel_tol=NEAR, abs_tol=1e-4):
        return [f"{said}; the loss is {value:.4g}."]
    assert case.trials is not None
    call = case.trials.call
    positive, negative = (len(one) for one in _pair_distances(call))
    named = closed_forms(case.traits, len(call.classes), len(call.parts[0]), negative / max(1, positive + negative))
    known = [name for name, closed in named if math.isclose(closed, there.value, rel_tol=1e-3)]
    return [
        f"{said}; the loss is {value:.4g}, its value at total collapse" + (f", {known[0]}." if known else "."),
    ]


def label_blind_value(case: Case) -> list[str] | None:
    """A contrastive loss at q(1 - q) m², m²/4 for as many positive as negative pairs: its best without labels.

    Of q m² (1 - q) the distance of all pairs is q m, q the share of negatives: min_d (1 - q) d² + q (m - d)².
    """
    margin, calls = case.traits.margin, case.calls
    if not case.traits.contrastive or not margin or not case.finite or not calls:
        return None
    said = []
    for one in case.finite:
        assert one.call is not None
        positive, negative = _pair_distances(one.call)
        if not len(positive) or not len(negative):
            continue
        for what, q in (("m²/4", 0.5), ("q(1 - q) m²", len(negative) / (len(negative) + len(positive)))):
            at = q * (1 - q) * margin**2
            alike = math.isclose(float(positive.mean()), float(negative.mean()), rel_tol=0.05)
            if alike and math.isclose(one.value, at, rel_tol=2 * NEAR):
                said.append(
                    f"the loss is {one.value:.4g}, {what} = {at:.4g} with margin {margin:g}: positive pairs are {positive.mean():.3g} "
                    f"apart and negative ones {negative.mean():.3g}."
                )
                break
    return said[:1] if len(said) > len(case.finite) / 2 else []


def label_blind(case: Case) -> list[str] | None:
    """A loss that stays the same when labels are permuted."""
    trials = case.trials
    if trials is None or not trials.shuffled or _variance(trials.call) <= ONE_POINT:
        return None
    if not trials.is_label_blind:
        return []
    what = {
        "labeled": "labels", "matched": "partners", "pairs": "targets", "triplets": "positives and negatives",
    }[trials.call.kind]  # fmt: skip
    said = f"the loss is {trials.plain.value:.6g} with the {what} of the batch and the same after they were permuted."
    return [said]


def half_overflow(case: Case) -> list[str] | None:
    """Logits that float16 can't hold, where embeddings are float16."""
    trials = case.trials
    if not case.half:
        return None
    if trials is None or trials.whole is None or trials.half is None:
        failed = [one for one in case.observed if one.loss is not None and not one.is_finite]
        sharp = case.traits.sharpness
        if failed and sharp is not None and sharp > math.log(LARGEST_HALF):
            return [_sharp(sharp)]
        return None
    halves = [trials.half.value] + ([] if trials.half.gradient is None else trials.half.gradient.flatten().tolist())
    if all(map(math.isfinite, halves)):
        return []
    sharp = case.traits.sharpness
    what = "loss" if not math.isfinite(trials.half.value) else "gradient"
    said = (
        f"in float16 the {what} is not finite, in float32 the loss of the same embeddings is {trials.whole.value:.4g}."
    )
    return [said] if sharp is None else [said, _sharp(sharp)]


def _sharp(sharpness: float) -> str:
    return (
        f"cosines are multiplied by {sharpness:.4g}, and e^x overflows float16 above x = {math.log(LARGEST_HALF):.2f}: at a "
        f"temperature below {1 / math.log(LARGEST_HALF):.3f}."
    )


def closed_forms(
    traits: Traits, rows: int, samples: int, negatives: float | None = None
) -> Iterator[tuple[str, float]]:
    """Values at total collapse that have a name, of a batch of `rows` embeddings of `samples` samples.

    `negatives` is the share of negative pairs, where it is known.

    >>> from losscope.doctor.traits import traits_of
    >>> dict(closed_forms(traits_of(torch.nn.TripletMarginLoss(0.2)), 8, 4))["its margin 0.2"]
    0.2
    """
    if traits.margin:
        yield f"its margin {traits.margin:g}", traits.margin
        if negatives is not None:
            at = negatives * traits.margin**2
            yield f"the share of negatives times m² = {negatives:.3g} x {traits.margin**2:.4g}", at
    yield "ln 2 (soft margin)", math.log(2)
    factor = "" if traits.factor == 1 else f" x {traits.factor:.4g} (temperature / base temperature)"
    for count in (rows - 1, samples, rows):
        if count > 1:
            yield f"log({count}){factor}", math.log(count) * traits.factor


def _variance(call: Call) -> float:
    """Variance of the directions, 1 - |mean|²."""
    return 1 - float(F.normalize(call.rows, dim=-1).mean(0).square().sum())


def _pair_distances(call: Call) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances of positive and of negative pairs."""
    if call.kind == "pairs":
        first, second = (part.detach().float() for part in call.parts)
        distances = torch.linalg.vector_norm(first - second, dim=-1)
        return distances[call.positive_pairs], distances[~call.positive_pairs]
    rows, labels = call.rows.cpu(), call.classes
    first, second = torch.triu_indices(len(rows), len(rows), 1)
    distances = torch.linalg.vector_norm(rows[first] - rows[second], dim=-1)
    same = labels[first] == labels[second]
    known = (labels[first] != OUTLIER) | (labels[second] != OUTLIER)
    return distances[same & known], distances[~same]
