"""The abstract's claims, each answered from the rows: comparisons of losses paired by seed, and what they add up to.

A claim is data (`paper_b.toml`): of some losses it says that a measure is larger or smaller than of some others. Each
such pair of losses is one comparison, by the variants that speak for them (`Comparison.representatives`); how other
variants compare stands beside it. Holm's adjustment is over the comparisons of one measure of a claim, over all data and
protocols of the report. Nothing here is of the paper's own runs: verdicts are of its words, under our protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from losscope.report.paper_b.source import paper
from losscope.statistics import MINIMUM_SEEDS, PairedDifference, holm, paired_difference, verdict
from losscope.summary.datasets import same_data
from losscope.summary.measures import BY_KEY, Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

Direction = Literal["larger", "smaller"]
Word = Literal["holds", "contradicted", "not shown", "cannot tell"]
Pointing = Literal["towards", "against", "neither way"]


@dataclass(frozen=True)
class Part:
    """One measure of a claim: `losses` have it `direction` than each of `against`."""

    measure: Measure
    direction: Direction
    losses: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """One sentence that can come out either way. `data` maps data sets to the studies that measure them; empty: all."""

    name: str
    text: str
    source: str
    tag: str
    falsifier: str
    parts: tuple[Part, ...]
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pairing:
    """One comparison of a claim: `paired` is `subject` minus `other`."""

    claim: Claim
    part: Part
    comparison: Comparison
    subject: Subject
    other: Subject
    paired: PairedDifference
    adjusted_p: float | None
    alike: int  # of the pairs of other variants of the two losses, those whose mean difference has the claimed sign
    pairs: int  # how many such pairs there are

    @property
    def points(self) -> Pointing:
        """Where the whole 95 % interval lies."""
        low, high = self.paired.interval.low, self.paired.interval.high
        if low is None or high is None or low <= 0 <= high:
            return "neither way"
        return "towards" if (low > 0) == (self.part.direction == "larger") else "against"

    @property
    def word(self) -> Word:
        """What it allows to say for other seeds on this split."""
        said = verdict(self.paired, self.adjusted_p)
        if said == "cannot tell yet":
            return "cannot tell"
        if said == "no difference shown":
            return "not shown"
        return "holds" if said == self.part.direction else "contradicted"


@dataclass(frozen=True)
class Judgement:
    """A claim on one data set under one protocol. `missing` are measures that were not compared, or not
    for all of the losses and seeds."""

    claim: Claim
    comparison: Comparison
    pairings: tuple[Pairing, ...]
    missing: tuple[Measure, ...]

    @property
    def n(self) -> int:
        """Paired seeds of the comparison that has the fewest."""
        return min(pairing.paired.n for pairing in self.pairings)

    @property
    def word(self) -> Word:
        """It holds if all its comparisons do, and falls with one of them."""
        words = {pairing.word for pairing in self.pairings}
        if "contradicted" in words:
            return "contradicted"
        if "cannot tell" in words or self.missing:
            return "cannot tell"
        return "holds" if words == {"holds"} else "not shown"

    def count(self, points: Pointing) -> int:
        """Comparisons that point this way."""
        return sum(pairing.points == points for pairing in self.pairings)

    @property
    def sentence(self) -> str:
        """The verdict with what it rests on."""
        few = f", verdicts need {MINIMUM_SEEDS}" if self.n < MINIMUM_SEEDS else ""
        gaps = f"; not compared: {', '.join(measure.label for measure in self.missing)}" if self.missing else ""
        return (
            f"{self.word} (n = {self.n} paired seeds{few}): {self.count('towards')} of {len(self.pairings)} comparisons "
            f"point towards the claim, {self.count('against')} against it{gaps}"
        )


def claims() -> tuple[Claim, ...]:
    """The claims as the file has them."""
    return tuple(
        Claim(
            name=entry["name"],
            text=entry["text"],
            source=entry["source"],
            tag=entry["tag"],
            falsifier=entry["falsifier"],
            parts=tuple(
                Part(BY_KEY[part["measure"]], part["direction"], tuple(part["losses"]), tuple(part["against"]))
                for part in entry["parts"]
            ),
            data=tuple((place["name"], place["study"]) for place in entry.get("data", ())),
        )
        for entry in paper()["claim"]
    )


def judged(comparisons: Sequence[Comparison]) -> tuple[Judgement, ...]:
    """Every claim on every comparison that it speaks of and that has any of its measures, by claims."""
    return tuple(found for claim in claims() for found in _judged(claim, comparisons))


def _judged(claim: Claim, comparisons: Sequence[Comparison]) -> Iterator[Judgement]:
    spoken_of = [
        part for part in comparisons if not claim.data or any(same_data(part.dataset, name) for name, _ in claim.data)
    ]
    families: dict[Measure, list[Pairing]] = {}
    for part in claim.parts:
        for comparison in spoken_of:
            families.setdefault(part.measure, []).extend(_pairings(claim, part, comparison))
    pairings = [pairing for family in families.values() for pairing in _adjusted(family)]
    for comparison in spoken_of:
        own = tuple(pairing for pairing in pairings if pairing.comparison is comparison)
        missing = dict.fromkeys(part.measure for part in claim.parts if not _complete(part, comparison, own))
        if own:
            yield Judgement(claim, comparison, own, tuple(missing))


def _complete(part: Part, comparison: Comparison, pairings: Sequence[Pairing]) -> bool:
    """Whether all losses of a part were compared, on all seeds: a loss that never got there in some would be compared on
    the others alone."""
    own = [pairing for pairing in pairings if pairing.part is part]
    estimates = (comparison.get(one, part.measure) for pairing in own for one in (pairing.subject, pairing.other))
    censored = any(estimate is not None and estimate.never for estimate in estimates)
    return len(own) == len(part.losses) * len(part.against) and not censored


def _pairings(claim: Claim, part: Part, comparison: Comparison) -> Iterator[Pairing]:
    speaking = {subject.loss: subject for subject in comparison.representatives}
    for loss in part.losses:
        for against in part.against:
            if loss in speaking and against in speaking:
                subject, other = speaking[loss], speaking[against]
                one, two = _values(comparison, part, subject), _values(comparison, part, other)
                if one.keys() & two.keys():
                    signs = list(_signs(part, comparison, subject, other))
                    yield Pairing(
                        claim,
                        part,
                        comparison,
                        subject,
                        other,
                        paired_difference(two, one),
                        None,
                        sum(signs),
                        len(signs),
                    )


def _values(comparison: Comparison, part: Part, subject: Subject) -> Mapping[int, float]:
    estimate = comparison.get(subject, part.measure)
    return estimate.values if estimate else {}


def _signs(part: Part, comparison: Comparison, subject: Subject, other: Subject) -> Iterator[bool]:
    """Of each pair of the two losses' other variants: whether the mean difference within seeds has the claimed sign."""
    of = {loss: [one for one in comparison.trained if one.loss == loss] for loss in (subject.loss, other.loss)}
    for first in of[subject.loss]:
        for second in of[other.loss]:
            one, two = _values(comparison, part, first), _values(comparison, part, second)
            shared = one.keys() & two.keys()
            if shared and (first, second) != (subject, other):
                mean = sum(one[seed] - two[seed] for seed in shared)
                yield mean > 0 if part.direction == "larger" else mean < 0


def _adjusted(family: Iterable[Pairing]) -> list[Pairing]:
    pairings = list(family)
    adjusted = iter(holm([pairing.paired.p for pairing in pairings if pairing.paired.p is not None]))
    return [
        pairing if pairing.paired.p is None else replace(pairing, adjusted_p=next(adjusted)) for pairing in pairings
    ]
