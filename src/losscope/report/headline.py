"""The first screen: which loss, by how much, and can I trust it? In words computed from rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from losscope.report.leads import Lead, leads, leads_table
from losscope.report.tables import Table
from losscope.statistics import MINIMUM_SEEDS
from losscope.summary.formatting import interval_text, number
from losscope.summary.measures import INTRA_TRAIN, RATIO
from losscope.summary.types import Summary


@dataclass(frozen=True)
class Headline:
    """Three answers and the table they are read from."""

    which: str
    how_much: str
    trust: str
    table: Table


def headline(summary: Summary, fired: int) -> Headline:
    """The three answers; `fired` is how many checks warn."""
    found = leads(summary)
    return Headline(_which(found), _how_much(summary, found), _trust(summary, found, fired), leads_table(found))


def _which(found: Sequence[Lead]) -> str:
    if not found:
        return "No run with an evaluation is finished yet, so there is nothing to compare."
    measure = found[0].measure.label
    counts = Counter(lead.subject.label for lead in found).most_common()
    if len(found) == 1:
        lead = found[0]
        said = f"On {lead.comparison.title}, {counts[0][0]} has the highest {measure}: {number(lead.interval.mean)}."
    elif len(counts) == 1:
        said = f"{counts[0][0]} has the highest {measure} in all {len(found)} comparisons."
    else:
        shares = listed([f"{label} in {count} of {len(found)} comparisons" for label, count in counts])
        said = f"No loss leads everywhere. The highest {measure}: {shares}."
    return " ".join([said, *_against_input(found)])


def _against_input(found: Sequence[Lead]) -> list[str]:
    """What the input (raw, or the backbone's features) says to the leaders."""
    said = []
    worse = [lead for lead in found if lead.clearly_below]
    level = [lead for lead in found if lead.below_input and not lead.clearly_below]
    if len(worse) > 2:
        said.append(f"The input itself retrieves better in {len(worse)} of them: training made retrieval worse there.")
    elif worse:
        said.append(f"The input itself retrieves better on {_inputs(worse)}: training made retrieval worse there.")
    if level:
        said.append(f"The best loss is not shown to beat the input itself on {_inputs(level)}.")
    return said


def _inputs(found: Sequence[Lead]) -> str:
    """Where, with what the input reaches: "synthetic, protocol as_run (raw input 0.9225)"."""
    return listed([f"{lead.comparison.title} ({lead.input_text})" for lead in found])


def _how_much(summary: Summary, found: Sequence[Lead]) -> str:
    rivals = [(lead, lead.rival) for lead in found if lead.rival]
    said = []
    if len(rivals) == 1:
        lead, rival = rivals[0]
        said.append(
            f"{interval_text(rival.interval, signed=True)} of {lead.measure.label} over {rival.subject.label} (mean of the "
            "differences within each seed [95 % interval])."
        )
    elif rivals:
        gaps = [rival.interval.mean for _, rival in rivals]
        said.append(
            f"The lead over the next loss is between {min(gaps):.2g} and {max(gaps):.2g} of {found[0].measure.label} (mean "
            "of the differences within each seed)."
        )
    return " ".join([*said, *_looseness(summary)]) or "Nothing can be compared yet."


def _looseness(summary: Summary) -> list[str]:
    """Paper A's question: does triplet loss keep classes looser than contrastive loss, and relative to separation?"""
    said = []
    for measure, words in (
        (INTRA_TRAIN, "intra-class variance (training split)"),
        (RATIO, "intra/inter ratio (evaluation split)"),
    ):
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
            extent = " to ".join(dict.fromkeys(f"{ratio:.2g}" for ratio in (min(ratios), max(ratios))))
            said.append(f"{extent} times contrastive's {words}")
    return [f"Triplet loss has {listed(said)}."] if said else []


def _trust(summary: Summary, found: Sequence[Lead], fired: int) -> str:
    rivals = [lead.rival for lead in found if lead.rival]
    fewest = min((rival.interval.n for rival in rivals), default=0)
    if not rivals:
        said = "Cannot tell yet: no two losses share a finished seed."
    elif fewest < MINIMUM_SEEDS:
        said = f"Cannot tell yet: n = {fewest} paired seeds, verdicts need {MINIMUM_SEEDS}."
    else:
        held = sum(rival.holds for rival in rivals)
        equal = sum(rival.difference.verdict == "equivalent" for rival in rivals)
        regions = listed(list(dict.fromkeys(rival.difference.region.words for rival in rivals)))
        whom = listed(list(dict.fromkeys(rival.difference.population for rival in rivals)))
        said = (
            f"n = {fewest} paired seeds: {held} of {len(rivals)} leads hold beyond {regions}, the region of practical "
            f"equivalence, {equal} {'is' if equal == 1 else 'are'} equal in practice. This speaks for {whom}, not for other "
            "data sets or protocols."
        )
    warned = f"{fired} checks fired" if fired != 1 else "1 check fired"
    return f"{said} {_progress(summary)} {warned}, see below."


def _progress(summary: Summary) -> str:
    planned = sum(study.planned for study in summary.studies)
    ended = [run.status for study in summary.studies for run in study.trained]
    done = ended.count("done")
    lost = [f"{count} {status}" for status in ("diverged", "failed") if (count := ended.count(status))]
    left = f" ({', '.join(lost)}: in no mean)" if lost else ""
    return f"{'All' if done == planned else f'{done} of'} {planned} runs are finished{left}."


def listed(parts: Sequence[str]) -> str:
    """Parts as a list in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
