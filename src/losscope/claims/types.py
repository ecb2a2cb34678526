"""What a claim is, and what the ledger says of it: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from losscope.statistics import Interval
from losscope.summary.formatting import interval_text
from losscope.summary.measures import Measure
from losscope.summary.types import Comparison

Kind = Literal["losses", "course", "level", "setting", "lead", "association"]
"""What is contrasted, always within a seed: one loss with another; a loss after training with itself before; a loss with a
fixed level; a loss at the largest value of a hyper-parameter with itself at the smallest; the lead of one loss over another
by one measure with that by a second; two measures over variants or losses, as a correlation."""

Direction = Literal["larger", "smaller"]
LineVerdict = Literal["holds", "does not hold", "cannot tell"]
EntryVerdict = Literal["holds", "does not hold", "depends", "cannot tell"]
Scale = Literal["difference", "ratio", "correlation", "share of seeds"]


@dataclass(frozen=True)
class Claim:
    """One sentence of the literature that can come out either way. It names what to compare, never what will come out."""

    name: str
    text: str  # our paraphrase
    source: str  # paper and place
    tag: str  # where the words come from, such as A (text) or B-abs (abstract)
    kind: Kind
    measures: tuple[Measure, ...]  # alternatives: each has lines of its own
    direction: Direction
    losses: tuple[str, ...]  # all of them, for the claim to hold; of an association: none means every loss
    against: tuple[str, ...]
    beside: Measure | None  # the other side's measure, where it is not the same
    level: float | None  # the fixed value of a claim about one
    setting: str  # the hyper-parameter of a claim about one
    denies: bool  # the claim says that what `direction` says is not so
    data: tuple[tuple[str, str], ...]  # (data set, study that measures it) where it is said; none: everywhere
    study: str  # measures it where a record doesn't
    would_change: str
    note: str  # what a reader must know of the measure, such as a part that holds by construction
    printed: str  # numbers that stand behind it in the paper


@dataclass(frozen=True)
class Beside:
    """What stands beside a verdict of the t test, and decides nothing."""

    detectable: (
        float | None
    )  # the smallest effect on the ruling's scale, as claimed, that is found with a power of 80 %
    p_sign_flip: float | None  # about the edge of the region, as is the next
    p_wilcoxon: float | None
    p_smallest: float  # what these two can reach at best
    cohen_d: Interval | None  # None where all effects are equal
    superiority: Interval  # share of seeds in which the claim's loss is larger, ties half


@dataclass(frozen=True)
class Ruling:
    """What the rule says of one contrast. `effect` is of the claim's losses against the others, on `scale`."""

    verdict: LineVerdict
    why: str
    effect: Interval | None
    scale: Scale
    n: int  # paired seeds
    p: float | None
    p_adjusted: float | None  # Holm, over all contrasts of the claim
    family: int
    region: str  # of practical equivalence
    beside: Beside | None = None  # None without a t test
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Where a line's numbers stand in the record."""

    diagnostic: str
    item: int | None
    split: str | None  # None: of the training steps
    epoch: str  # "last", "0", or "all": a mean over epochs from 1 on
    commands: tuple[str, ...]  # print them, one for each folder
    runs: tuple[str, ...]  # digests


@dataclass(frozen=True)
class Line:
    """One contrast of a claim: on one data set, under one protocol, by one measure, of one pair of losses or variants."""

    claim: Claim
    comparison: Comparison
    measure: Measure
    label: str  # what is contrasted: "triplet squared=false / contrastive"
    pair: tuple[str, str]  # the losses contrasted, which a claim may have several of
    reading: Mapping[str, str]  # hyper-parameters that tell this line from others of the claim
    ruling: Ruling
    difference: Interval | None  # mean within seeds in the measure's own unit, whatever the scale of the effect
    population: str
    rows: tuple[Rows, ...]
    alike: int = 0  # of the pairs of other variants of the two losses, those whose mean difference has the claimed sign
    others: int = 0  # how many such pairs there are

    @property
    def verdict(self) -> LineVerdict:
        """The verdict of this contrast alone."""
        return self.ruling.verdict

    @property
    def split(self) -> str:
        """Where it was measured, and under which labels."""
        where = self.measure.where
        named = {"evaluation": self.comparison.evaluation or where, "train": "train (labels as given)",
                 "train_clean": "train (true labels)", "training": "training steps", "probe": "common probe"}  # fmt: skip
        when = ", mean over epochs" if self.measure.when == "mean over epochs" else ""
        return named.get(where, where) + when

    @property
    def effect_text(self) -> str:
        """The effect with its interval; a ratio with a times sign."""
        effect, scale = self.ruling.effect, self.ruling.scale
        if effect is None:
            return ""
        sign = "×" if scale == "ratio" else ""
        return sign + interval_text(effect, signed=scale in ("difference", "correlation"))

    @property
    def detectable_text(self) -> str:
        """The smallest effect that could have been seen, as claimed, with a power of 80 %; empty where it is unknown."""
        found = self.ruling.beside.detectable if self.ruling.beside else None
        if found is None:
            return ""
        text = f"×{found:.3g}" if self.ruling.scale == "ratio" else f"{found:+.2g}"
        return text.replace("-", "−")

    @property
    def levels(self) -> Mapping[str, str]:
        """Factor -> level: all that tells this line's place from others of its claim, but for the pair of losses."""
        return {
            "data set": self.comparison.dataset,
            "protocol": self.comparison.protocol,
            "measure": self.measure.diagnostic.replace("_", " ")
            + ("" if self.measure.item is None else f" {self.measure.item}"),
            "split": self.split,
            **self.reading,
        }


@dataclass(frozen=True)
class Entry:
    """A claim, its lines and what they add up to."""

    claim: Claim
    lines: tuple[Line, ...]
    verdict: EntryVerdict
    depends_on: tuple[str, ...]  # the factors, where it depends
    reason: str
    missing: tuple[str, ...]  # what was not measured, with the command that measures it

    def count(self, verdict: LineVerdict) -> int:
        """How many of its lines have this verdict."""
        return sum(line.verdict == verdict for line in self.lines)

    @property
    def n(self) -> tuple[int, int] | None:
        """The fewest and the most paired seeds of the lines that compare any; None where none does."""
        seeds = [line.ruling.n for line in self.lines if line.ruling.n]
        return (min(seeds), max(seeds)) if seeds else None

    @property
    def words(self) -> str:
        """The verdict as a reader sees it: "depends on protocol"."""
        if self.verdict != "depends":
            return self.verdict
        *others, last = self.depends_on
        return f"depends on {', '.join(others)} and {last}" if others else f"depends on {last}"


@dataclass(frozen=True)
class PrintedNumber:
    """A statement about printed numbers, held against what follows from others."""

    what: str
    source: str
    printed: str
    follows: str
    verdict: LineVerdict


@dataclass(frozen=True)
class Ledger:
    """All claims, and the printed numbers that were checked."""

    entries: tuple[Entry, ...]
    printed: tuple[PrintedNumber, ...]
    damaged: tuple[str, ...]  # files of the records that could not be read
    anytime: bool = False  # judged so that seeds may have been added after looking

    @property
    def lines(self) -> tuple[Line, ...]:
        """All contrasts of all claims."""
        return tuple(line for entry in self.entries for line in entry.lines)
