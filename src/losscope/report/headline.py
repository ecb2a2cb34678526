"""The first screen: which loss, by how much, and can I trust it? In words computed from rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from losscope.report.formatting import interval_text, number
from losscope.report.measures import INTRA_TRAIN, KNN, RATIO, RECALL_1, Measure
from losscope.report.subjects import INPUT, Subject
from losscope.report.summary import Comparison, Summary
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS, Interval, Verdict


@dataclass(frozen=True)
class Lead:
    """The loss with the best mean of a comparison, against the next."""

    comparison: Comparison
    measure: Measure
    leader: Subject
    runner_up: Subject | None
    interval: Interval | None  # leader minus runner-up, paired by seed
    verdict: Verdict | None

    @property
    def mean(self) -> float:
        """The leader's mean."""
        return self.comparison.mean(self.leader, self.measure) or 0.0

    @property
    def reference(self) -> float | None:
        """The raw input's mean."""
        return self.comparison.mean(INPUT, self.measure)

    @property
    def below_input(self) -> bool:
        """Whether not even the best loss does as well as the raw input."""
        return self.reference is not None and self.mean < self.reference

    @property
    def clearly_below(self) -> bool:
        """Whether the leader's whole interval lies below the raw input."""
        estimate = self.comparison.get(self.leader, self.measure)
        high = estimate.interval.high if estimate and estimate.interval else None
        return self.reference is not None and high is not None and high < self.reference


@dataclass(frozen=True)
class Headline:
    """Three answers and the table they are read from."""

    which: str
    how_much: str
    trust: str
    table: Table


def headline(summary: Summary, problems: int) -> Headline:
    """The three answers; `problems` is how many checks fired."""
    leads = [lead for part in summary.headline if (lead := _lead(summary, part))]
    return Headline(_which(leads), _how_much(summary, leads), _trust(summary, leads, problems), _table(leads))


def _lead(summary: Summary, comparison: Comparison) -> Lead | None:
    for measure in (RECALL_1, KNN):
        means = {subject: mean for subject in comparison.trained
                 if (mean := comparison.mean(subject, measure)) is not None}  # fmt: skip
        ranked = sorted(means, key=lambda subject: -means[subject])
        if ranked:
            found = summary.difference(comparison, measure, set(ranked[:2])) if len(ranked) > 1 else None
            if found is None:
                return Lead(comparison, measure, ranked[0], next(iter(ranked[1:]), None), None, None)
            interval = found.paired.interval
            if found.second != ranked[0]:
                interval = interval.negated
            return Lead(comparison, measure, ranked[0], ranked[1], interval, found.verdict)
    return None


def _which(leads: list[Lead]) -> str:
    if not leads:
        return "No run with an evaluation is finished yet, so there is nothing to compare."
    measure = leads[0].measure.label
    counts = Counter(lead.leader.label for lead in leads).most_common()
    if len(leads) == 1:
        said = f"On {leads[0].comparison.title}, {counts[0][0]} has the highest {measure}: {number(leads[0].mean)}."
    elif len(counts) == 1:
        said = f"{counts[0][0]} has the highest {measure} in all {len(leads)} comparisons."
    else:
        said = f"No loss leads everywhere. The highest {measure}: " + _list(
            [f"{label} in {count} of {len(leads)} comparisons" for label, count in counts]
        )
        said += "."
    return " ".join([said, *_against_input(leads)])


def _against_input(leads: list[Lead]) -> list[str]:
    """What the raw input says to the leaders."""
    said = []
    worse = [lead for lead in leads if lead.below_input and lead.clearly_below]
    level = [lead for lead in leads if lead.below_input and not lead.clearly_below]
    if worse:
        where = _list([f"{lead.comparison.title} ({number(lead.reference or 0)})" for lead in worse])
        said.append(f"The raw input does better on {where}: there training made retrieval worse.")
    if level:
        where = _list([f"{lead.comparison.title} ({number(lead.reference or 0)})" for lead in level])
        said.append(f"It is not shown to beat the raw input on {where}.")
    return said


def _how_much(summary: Summary, leads: list[Lead]) -> str:
    gaps = [lead.interval.mean for lead in leads if lead.interval]
    said = []
    if len(gaps) == 1:
        only = next(lead for lead in leads if lead.interval)
        assert only.interval and only.runner_up
        said.append(f"By {interval_text(only.interval, signed=True)} of {only.measure.label} over "
                    f"{only.runner_up.label} (mean of the differences within each seed, with its 95 % interval).")  # fmt: skip
    elif gaps:
        said.append(f"The lead over the next loss is between {number(min(gaps))} and {number(max(gaps))} of "
                    f"{leads[0].measure.label} (mean of the differences within each seed).")  # fmt: skip
    return " ".join([*said, *_looseness(summary)]) or "Nothing can be compared yet."


def _looseness(summary: Summary) -> list[str]:
    """Paper A's question: does triplet loss keep classes looser than contrastive loss, and relative to separation?"""
    said = []
    for measure, words in ((INTRA_TRAIN, "intra-class variance (training split)"),
                           (RATIO, "intra/inter ratio (evaluation split)")):  # fmt: skip
        ratios = [
            other / one
            for part in summary.headline
            for subject in part.trained
            for base in part.trained
            if (base.loss, subject.loss) == ("contrastive", "triplet")
            and (one := part.mean(base, measure))
            and (other := part.mean(subject, measure))
        ]
        if ratios:
            span = "–".join(dict.fromkeys(f"{ratio:.2g}" for ratio in (min(ratios), max(ratios))))
            said.append(f"{span} times contrastive's {words}")
    return [f"Triplet loss has {_list(said)}."] if said else []


def _trust(summary: Summary, leads: list[Lead], problems: int) -> str:
    counts = [lead.interval.n for lead in leads if lead.interval]
    if not counts:
        said = "Cannot tell yet: no two losses share a seed."
    elif min(counts) < MINIMUM_SEEDS:
        said = f"Cannot tell yet: n = {min(counts)} paired seeds, verdicts need {MINIMUM_SEEDS}."
    else:
        held = sum(lead.verdict == "larger" or lead.verdict == "smaller" for lead in leads)
        said = (f"n = {min(counts)} paired seeds; of {len(counts)} leads, {held} hold at 5 % after Holm's adjustment "
                "(for other seeds under the same protocol, not for other data).")  # fmt: skip
    return f"{said} {_progress(summary)} {_fired(problems)}"


def _progress(summary: Summary) -> str:
    planned = sum(study.planned for study in summary.studies)
    ended = [run for study in summary.studies for run in study.trained]
    done = sum(run.status == "done" for run in ended)
    lost = [
        f"{count} {status}"
        for status in ("diverged", "failed")
        if (count := sum(run.status == status for run in ended))
    ]
    left = f" ({', '.join(lost)}: in no mean)" if lost else ""
    return f"{'All' if done == planned else f'{done} of'} {planned} runs are finished{left}."


def _fired(problems: int) -> str:
    return f"{problems} checks fired, see below." if problems != 1 else "1 check fired, see below."


def _table(leads: list[Lead]) -> Table:
    rows = tuple(
        Row(
            lead.comparison.title,
            (
                lead.leader.label,
                number(lead.mean),
                lead.runner_up.label if lead.runner_up else "",
                interval_text(lead.interval, signed=True) if lead.interval else "",
                number(lead.reference) if lead.reference is not None else "",
                _verdict(lead),
            ),
            lead.leader,
        )
        for lead in leads
    )
    measure = leads[0].measure if leads else RECALL_1
    columns = (
        Column("leads"), Column(measure.label, measure.term), Column("next"), Column("lead, paired", "paired"),
        Column("raw input", "raw_input"), Column("verdict", "verdict"),
    )  # fmt: skip
    return Table("leads", "Who leads, by how much, and whether it would hold for other seeds.", "data, protocol",
                 columns, (Group("", rows),))  # fmt: skip


def _verdict(lead: Lead) -> str:
    if lead.verdict is None or lead.interval is None:
        return "nothing to compare with"
    if lead.verdict == "cannot tell yet":
        return f"cannot tell yet: n = {lead.interval.n} paired seeds, verdicts need {MINIMUM_SEEDS}"
    return "no difference shown" if lead.verdict == "no difference shown" else "holds at 5 %"


def _list(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
