"""Checks of the record: is everything there, and is it enough?"""

from __future__ import annotations

from itertools import combinations

from losscope.statistics import MINIMUM_SEEDS, smallest_p
from losscope.summary.formatting import p_text, span
from losscope.summary.measures import LOSS
from losscope.summary.types import Summary


def damaged(summary: Summary) -> list[str]:
    """Files that can't be read."""
    if not summary.damaged:
        return []
    count = f"{len(summary.damaged)} groups of runs" if len(summary.damaged) > 1 else "1 group of runs"
    return [f"{count} can't be read and are in no number of this report; all else is.", *summary.damaged]


def unfinished(summary: Summary) -> list[str]:
    """Runs that are missing."""
    said = []
    for study in summary.studies:
        if (ended := len(study.trained)) < study.planned:
            said.append(
                f"{study.study.name}: {ended} of {study.planned} runs have ended; the others are still running, were "
                "interrupted or not started. The same command goes on where it stopped."
            )
    return said


def lost(summary: Summary) -> list[str]:
    """Runs that diverged or failed."""
    said = []
    for run in summary.runs:
        what = f"{run.dataset}, {run.protocol}, {f'{run.loss} {run.variant}'.strip()}, seed {run.seed}"
        if run.status == "diverged":
            said.append(f"{what}: diverged at step {run.diverged_at}; a loss or gradient was not finite.")
        elif run.status == "failed":
            reason = (run.error or "").strip().splitlines()[-1:] or ["no traceback"]
            said.append(f"{what}: failed; {reason[0]}")
    count = f"{len(said)} runs" if len(said) > 1 else "1 run"
    return [f"{count} diverged or failed. What they measured is in no mean of this report.", *said] if said else []


def unequal_seeds(summary: Summary) -> list[str] | None:
    """Losses of one comparison whose means are over different seeds."""
    several = [comparison for comparison in summary.comparisons if len(comparison.trained) > 1]
    if not several:
        return None
    said = []
    for comparison in several:
        seeds = {subject.label: {run.seed for run in comparison.runs_of(subject)} for subject in comparison.trained}
        if len({frozenset(of) for of in seeds.values()}) > 1:
            counts = ", ".join(f"{label} {len(of)}" for label, of in seeds.items())
            said.append(f"{comparison.title}: {counts} seeds.")
    if not said:
        return []
    return ["Means of one table are over different seeds, so compare losses by their paired differences.", *said]


def few_seeds(summary: Summary) -> list[str] | None:
    """Fewer paired seeds than a verdict needs."""
    counts = {difference.paired.n for difference in summary.differences}
    if not counts:
        return None
    if min(counts) >= MINIMUM_SEEDS:
        return []
    return [
        f"n = {span(counts)} paired seeds, verdicts need {MINIMUM_SEEDS}: no difference here is called real. With n = "
        f"{min(counts)}, a test that assumes no distribution can't fall below p = {p_text(smallest_p(min(counts)))}."
    ]


def same_numbers(summary: Summary) -> list[str] | None:
    """Protocols that give a loss bit-identical results."""
    compared, said = 0, []
    for first, second in combinations(summary.comparisons, 2):
        if first.dataset != second.dataset:
            continue
        both = {
            subject: (one.values, other.values)
            for subject in first.trained
            if (one := first.get(subject, LOSS)) and (other := second.get(subject, LOSS))
        }
        compared += len(both)
        if same := [subject.label for subject, (one, other) in both.items() if one == other]:
            said.append(
                f"{first.dataset}, {', '.join(same)}: the same numbers under {first.protocol} and "
                f"{second.protocol}, which differ only in what this loss does not use. One result, shown twice."
            )
    return said if compared else None


def mixed(summary: Summary) -> list[str]:
    """Records that don't belong together."""
    said = []
    if summary.doubled:
        said.append(
            f"{summary.doubled} runs stand in a folder a second time, with other data or another numerics version; "
            "those on the present data are shown."
        )
    for study in summary.studies:
        said += [
            f"Protocol {old} means something else in {study.study.name} than in the studies before it; it is shown as {new}."
            for old, new in study.renamed.items()
        ]
    return said
