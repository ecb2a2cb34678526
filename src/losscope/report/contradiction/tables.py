"""The map as a table: for each setting, contrastive against triplet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from losscope.report.contradiction.outcomes import Outcome
from losscope.report.contradiction.settings import Map, Setting
from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.formatting import ABSENT, interval_text, span
from losscope.summary.measures import Measure


def map_table(found: Sequence[Map], outcomes: Mapping[Measure, Sequence[Outcome]]) -> Table:
    """Every setting of every data set, the center first, with the difference of each measure and who is ahead."""
    columns = []
    for measure, of in outcomes.items():
        ratio = bool(of) and of[0].decision.region.scale == "log"
        columns += [
            Column(f"contrastive {'/' if ratio else '−'} triplet", measure.term, measure.label),
            Column("larger for", group=measure.label, words=True),
        ]
    groups = []
    for one in found:
        rows = tuple(_row(one, setting, outcomes) for setting in one.settings)
        center = ", ".join(f"{name} {level}" for name, level in one.center.items())
        groups.append(Group(f"{one.dataset} · center: {center}", rows))
    sizes = {measure.label: len(of) for measure, of in outcomes.items()}
    regions = {of[0].decision.region.words for of in outcomes.values() if of}
    return Table(
        "map",
        "Contrastive against triplet, setting by setting",
        "Paired by seed: difference, or ratio of geometric means, [95 % t interval]. Larger by more than the region of practical "
        f"equivalence ({', '.join(sorted(regions))}) at a level that holds for all {max(sizes.values(), default=0)} settings of a "
        "measure together.",
        "setting: what differs from the center",
        (*columns, Column("n", "seeds")),
        tuple(groups),
    )


def _row(found: Map, setting: Setting, outcomes: Mapping[Measure, Sequence[Outcome]]) -> Row:
    cells: list[str] = []
    counts = set()
    for of in outcomes.values():
        outcome = next((one for one in of if one.dataset == found.dataset and one.setting is setting), None)
        shown = outcome.shown if outcome else None
        cells += [interval_text(shown, signed=outcome.decision.region.scale == "absolute"), outcome.larger] if (
            outcome and shown
        ) else [ABSENT, ABSENT]  # fmt: skip
        counts |= {outcome.decision.n} if outcome else set()
    return Row(setting.title, (*cells, span(counts)))
