"""From a claim to its contrasts: what is compared with what, on which data, within each seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from losscope.claims.association import associated
from losscope.claims.order import Order, order
from losscope.claims.pairing import extremes, pairs, variants
from losscope.claims.types import Claim
from losscope.errors import InvalidInput
from losscope.statistics import FEWEST_VARIANTS, MINIMUM_SEEDS, Contrast, Interval, mean_interval, region_of
from losscope.summary.datasets import same_data
from losscope.summary.measures import BY_KEY, CENSORED, COMPACTIONS, Measure
from losscope.summary.pairing import Side as Runs
from losscope.summary.pairing import on_equal_data, seeds_of_other_data
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Estimate, Summary

Side = tuple[Subject, Measure]


@dataclass(frozen=True)
class Case:
    """One contrast before it is decided. `test` is None where something is missing, which `missing` says."""

    claim: Claim
    comparison: Comparison
    measure: Measure
    label: str
    pair: tuple[str, str]
    reading: Mapping[str, str]
    sides: tuple[Side, ...]  # whose rows it rests on
    test: Contrast | Order | None = None
    difference: Interval | None = None  # mean within seeds, in the measure's unit
    missing: str = ""
    alike: int = 0
    others: int = 0
    variants: int = 0  # that a correlation is over

    @property
    def population(self) -> str:
        """For whom a verdict on this contrast speaks."""
        return population(self.comparison) + (f"; for these {self.variants} variants" if self.variants else "")


def cases(claim: Claim, summary: Summary) -> list[Case]:
    """Every contrast of a claim, over all comparisons that were trained on the labels as given and that it speaks of."""
    spoken_of = [part for part in summary.given
                 if not claim.data or any(same_data(part.dataset, name) for name, _ in claim.data)]  # fmt: skip
    return [
        case
        for part in spoken_of
        for measure in claim.measures
        if _there(measure, part)
        for case in _FORMS[claim.kind](claim, part, measure)
    ]


def _there(measure: Measure, comparison: Comparison) -> bool:
    """Whether the data have the split of a measure."""
    if measure.where in ("train", "train_clean", "validation"):
        return measure.where in comparison.classes
    return measure.where != "evaluation" or comparison.evaluation is not None


def population(comparison: Comparison) -> str:
    """For whom a verdict on a comparison speaks."""
    if comparison.drawn_per_seed:
        return (
            f"other seeds under protocol {comparison.protocol}: each draws {comparison.dataset}, initial weights, batches and "
            "tuples anew"
        )
    return (
        f"other seeds (initial weights, batches, tuples) under protocol {comparison.protocol} on this split of "
        f"{comparison.dataset}; not other data or class splits"
    )


def _between_losses(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    for one, other, reading in pairs(claim, comparison):
        case = _case(claim, comparison, measure, (one, other), reading)
        if len(claim.losses) * len(claim.against) > 1:
            signs = _signs(claim, comparison, (one, measure), (other, claim.beside or measure))
            case = replace(case, alike=sum(signs), others=len(signs))
        yield _compared(case, (other, claim.beside or measure), (one, measure))


def _signs(claim: Claim, comparison: Comparison, spoken: Side, against: Side) -> list[bool]:
    """Of each pair of the two losses' other variants: whether most seeds (for epochs that may never be reached) or the mean
    difference within seeds have the claimed sign."""
    found = []
    for one in (subject for subject in comparison.trained if subject.loss == spoken[0].loss):
        for other in (subject for subject in comparison.trained if subject.loss == against[0].loss):
            if (one, other) == (spoken[0], against[0]):
                continue
            first, second = (other, against[1]), (one, spoken[1])
            if by_order(spoken[1]):
                ordered = _ordered(claim, comparison, first, second)
                found += [2 * ordered.wins > ordered.telling] if ordered.signs else []
            elif both := _both(comparison, first, second):
                mean = sum(both[1].values()) - sum(both[0].values())
                found.append(mean > 0 if claim.direction == "larger" else mean < 0)
    return found


def _over_training(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    start = BY_KEY[replace(measure, when="start").key]
    for loss in claim.losses:
        for subject in variants(comparison, loss, all_of_them=True):
            case = replace(
                _case(claim, comparison, measure, (subject, subject), {}),
                label=f"{subject.label}, after training / before",
                reading={"variant": subject.label},
            )
            yield _compared(case, (subject, start), (subject, measure))


def _against_level(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    for loss in claim.losses:
        for subject in variants(comparison, loss, all_of_them=True):
            case = replace(
                _case(claim, comparison, measure, (subject, subject), {}),
                label=f"{subject.label} / {claim.level:g}",
                reading={"variant": subject.label},
                sides=((subject, measure),),
            )
            if missing := _missing(case):
                yield replace(case, missing=missing)
            else:
                values = _values(comparison, subject, measure)
                yield _tested(case, dict.fromkeys(values, float(claim.level or 0)), values)


def _by_setting(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    for loss in claim.losses:
        for largest, smallest, reading in extremes(comparison, loss, claim.setting):
            case = _case(claim, comparison, measure, (largest, smallest), reading)
            yield _compared(case, (smallest, measure), (largest, measure))


def _lead(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    """The lead by `beside` against the lead by `measure`; a lead has a sign."""
    assert claim.beside  # the parser has seen to it
    for one, other, reading in pairs(claim, comparison):
        case = _case(claim, comparison, measure, (one, other), reading)
        case = replace(case, sides=((one, measure), (other, measure), (one, claim.beside), (other, claim.beside)))
        if missing := _missing(case):
            yield replace(case, missing=missing)
            continue
        leads = []
        for by in (measure, claim.beside):
            ours, theirs = _both(comparison, (one, by), (other, by)) or ({}, {})
            leads.append({seed: ours[seed] - theirs[seed] for seed in ours})
        yield _tested(case, *leads)


def _associated(claim: Claim, comparison: Comparison, measure: Measure) -> Iterator[Case]:
    assert claim.beside
    of_losses = [subject for loss in claim.losses for subject in variants(comparison, loss)]
    subjects = of_losses if claim.losses else list(comparison.trained)
    if len(subjects) < FEWEST_VARIANTS:
        return
    measured = [
        (subject, one, two)
        for subject in subjects
        if (one := comparison.get(subject, measure)) and (two := comparison.get(subject, claim.beside))
    ]
    # One variant that has hardly begun would leave all others its few seeds.
    whole = [entry for entry in measured if min(entry[1].n, entry[2].n) >= MINIMUM_SEEDS]
    estimates = whole if len(whole) >= FEWEST_VARIANTS else measured
    of = f" of {len(subjects)}" if len(estimates) < len(subjects) else ""
    kind = f"{len(estimates)}{of} {'losses' if claim.losses else 'variants'}"
    case = Case(
        claim, comparison, measure, f"{claim.beside.label} with {measure.label}, {kind}", ("", ""), {},
        tuple((subject, by) for subject, *_ in estimates for by in (measure, claim.beside)), variants=len(estimates),
    )  # fmt: skip
    apart = seeds_of_other_data(*(Runs(comparison, subject) for subject, *_ in estimates))
    families = [subject.loss for subject, *_ in estimates]
    for blocks, within in ((None, "all"), (families, "each loss")):
        if blocks and len(families) - len(set(families)) < FEWEST_VARIANTS - 1:
            continue  # too few variants of each loss
        own = replace(case, reading={} if claim.losses else {"over": within},
                      label=case.label if blocks is None else f"{case.label} within each loss")  # fmt: skip
        both = [(one, two) for _, one, two in estimates]
        found = associated(both, epochs=comparison.epochs, blocks=blocks, without=apart)
        if isinstance(found, str):
            yield replace(own, missing=found)
        else:
            yield replace(own, test=found.contrast(own.label, population=own.population,
                                                   direction=claim.direction))  # fmt: skip


_FORMS: Mapping[str, Callable[[Claim, Comparison, Measure], Iterator[Case]]] = {
    "losses": _between_losses,
    "course": _over_training,
    "level": _against_level,
    "setting": _by_setting,
    "lead": _lead,
    "association": _associated,
}


def _case(
    claim: Claim, comparison: Comparison, measure: Measure, sides: tuple[Subject, Subject], reading: Mapping[str, str]
) -> Case:
    one, other = sides
    label = f"{one.label} / {other.label}"
    return Case(claim, comparison, measure, label, (one.loss, other.loss), reading, ())


def _compared(case: Case, first: Side, second: Side) -> Case:
    """`second` against `first`, by the t test, or by order where a run may never get there."""
    case = replace(case, sides=(second, first))
    comparison = case.comparison
    if missing := _missing(case):
        return replace(case, missing=missing)
    if by_order(case.measure):
        found = _ordered(case.claim, comparison, first, second)
        return replace(case, test=found) if found.signs else replace(case, missing=NO_SEED)
    return _tested(case, *(_both(comparison, first, second) or ({}, {})))


NO_SEED = "the two share no finished seed on the same data"


def by_order(measure: Measure) -> bool:
    """Whether a run may never get there, so that seeds only say who came first."""
    return measure.diagnostic in (*CENSORED, *COMPACTIONS)


def _ordered(claim: Claim, comparison: Comparison, first: Side, second: Side) -> Order:
    """`second` against `first`, over the seeds of equal data, those that never got there included."""
    apart = seeds_of_other_data(*(Runs(comparison, subject) for subject, _ in (first, second)))
    one, two = (_without(comparison.get(*side) or Estimate({}, None), apart) for side in (first, second))
    region = region_of(second[1].diagnostic)
    return order(one.values, two.values, (one.never, two.never), claim.direction, region)


def _without(estimate: Estimate, seeds: set[int]) -> Estimate:
    kept = {seed: value for seed, value in estimate.values.items() if seed not in seeds}
    return replace(estimate, values=kept, never=tuple(seed for seed in estimate.never if seed not in seeds))


def _both(comparison: Comparison, first: Side, second: Side) -> tuple[dict[int, float], dict[int, float]] | None:
    """The values of two sides at the seeds of equal data."""
    return on_equal_data(Runs(comparison, first[0]), Runs(comparison, second[0]), first[1], second[1])


def _tested(case: Case, first: Mapping[int, float], second: Mapping[int, float]) -> Case:
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return replace(case, missing=NO_SEED)
    difference = mean_interval([second[seed] - first[seed] for seed in shared])
    try:
        contrast = Contrast.paired(
            case.label,
            first,
            second,
            region=region_of(case.measure.diagnostic),
            population=case.population,
            direction=case.claim.direction,
        )
    except InvalidInput as error:
        return replace(case, difference=difference, missing=str(error))
    return replace(case, test=contrast, difference=difference)


def _missing(case: Case) -> str:
    """What of a case's sides was not measured."""
    lacking = [
        f"{measure.label} of {subject.label}"
        for subject, measure in case.sides
        if case.comparison.get(subject, measure) is None
    ]
    return f"not measured: {', '.join(dict.fromkeys(lacking))}" if lacking else ""


def _values(comparison: Comparison, subject: Subject, measure: Measure) -> Mapping[int, float]:
    estimate = comparison.get(subject, measure)
    return estimate.values if estimate else {}
