"""Two measures over the variants of a comparison, one rank correlation for each seed: the values that it is made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from losscope.errors import InvalidInput
from losscope.statistics import FEWEST_VARIANTS, Association, association
from losscope.summary.types import Estimate


def associated(
    estimates: Sequence[tuple[Estimate, Estimate]],
    *,
    epochs: int,
    blocks: Sequence[str] | None = None,
    without: Collection[int] = (),
) -> Association | str:
    """The rank correlation over variants with one pair of estimates each, or a sentence that says why there is none.

    Only seeds that all variants have count, but those of `without`, and in which both measures vary. What a run never reaches in its `epochs`
    ranks behind every epoch.
    """
    if len(estimates) < FEWEST_VARIANTS:
        return f"{len(estimates)} variants with both measures; a correlation needs {FEWEST_VARIANTS}"
    sides = [[_late(pair[side], epochs) for pair in estimates] for side in (0, 1)]
    shared = sorted(set.intersection(*(set(values) for side in sides for values in side)) - set(without))
    if not shared:
        return "the variants share no finished seed on the same data"
    first, second = ({seed: [values[seed] for values in side] for seed in shared} for side in sides)
    varying = [seed for seed in shared if len(set(first[seed])) > 1 and len(set(second[seed])) > 1]
    if not varying:
        return "all variants are equal by one of the measures"
    chosen = [{seed: side[seed] for seed in varying} for side in (first, second)]
    try:
        return association(chosen[0], chosen[1], blocks=blocks)
    except InvalidInput as error:
        return str(error)


def _late(estimate: Estimate, epochs: int) -> dict[int, float]:
    return {**estimate.values, **dict.fromkeys(estimate.never, float(epochs + 1))}
