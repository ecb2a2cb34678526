"""What both pages show, in order: the first screen, then the data's way from protocol to differences."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from losscope.checks import Finding, findings
from losscope.report.bands import bands_table
from losscope.report.cards import LossCard, loss_cards
from losscope.report.caveats import caveats
from losscope.report.claims import Claims, claims_section
from losscope.report.contradiction import Contradiction, contradiction
from losscope.report.differences import differences_tables
from losscope.report.figures import Figure
from losscope.report.figures.plane import plane_figure
from losscope.report.figures.response import response_figure
from losscope.report.figures.training import training_figure
from losscope.report.figures.variance import variance_figure
from losscope.report.granularity import Granularity, granularity
from losscope.report.headline import Headline, headline
from losscope.report.paper import has_measurements, paper_tables
from losscope.report.paper_b import PaperB, paper_b
from losscope.report.populations import Populations, populations
from losscope.report.protocol import data_table, losses_table, protocol_table, studies_table
from losscope.report.strict import strict_tables
from losscope.report.tables import Table, overview
from losscope.summary.types import Summary


@dataclass(frozen=True)
class Content:
    """All parts of a report."""

    title: str
    headline: Headline
    overview: Table
    claims: Claims
    findings: tuple[Finding, ...]
    data: Table
    strict: tuple[Table, ...]
    protocol: Table
    losses: Table
    studies: Table
    paper: Mapping[int, Table]
    paper_b: PaperB | None
    granularity: Granularity | None
    contradiction: Contradiction | None
    unmeasured: frozenset[int]  # tables of paper A that hold nothing of a report on paper B, and wait to be opened
    planes: tuple[Figure, ...]
    variances: tuple[Figure, ...]
    trainings: tuple[Figure, ...]
    cards: tuple[LossCard, ...]
    response: Figure | None
    differences: tuple[Table, ...]
    populations: Populations | None
    bands: Table | None
    caveats: tuple[str, ...]
    folded: frozenset[str]  # anchors of figures that wait to be opened: all but the first protocol of each data set

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        of_paper_b = self.paper_b.figures if self.paper_b else ()
        kept = self.granularity.figures if self.granularity else ()
        shares = self.contradiction.figure if self.contradiction else None
        return (
            *kept,
            *filter(None, [shares]),
            *of_paper_b,
            *self.planes,
            *self.variances,
            *self.trainings,
            *filter(None, [self.response]),
        )


def content(summary: Summary) -> Content:
    """Every part, computed from the summary."""
    found = findings(summary)
    of_paper_a, of_paper_b = paper_tables(summary), paper_b(summary)
    of_settings = contradiction(summary)
    numbered = list(enumerate(summary.comparisons, start=1))
    datasets = [part.dataset for part in summary.comparisons]
    later = [nth for nth, part in numbered if part.dataset in datasets[: nth - 1]]
    return Content(
        title=summary.title,
        headline=headline(summary, sum(finding.fired for finding in found)),
        overview=overview(summary),
        claims=claims_section(summary),
        findings=found,
        data=data_table(summary),
        strict=strict_tables(summary),
        protocol=protocol_table(summary),
        losses=losses_table(summary),
        studies=studies_table(summary),
        paper=of_paper_a,
        paper_b=of_paper_b,
        granularity=granularity(summary),
        contradiction=of_settings,
        unmeasured=frozenset(
            number for number, table in of_paper_a.items() if of_paper_b and not has_measurements(table)
        ),
        planes=tuple(
            plane_figure(part, f"plane-{nth}")
            for nth, part in numbered
            if part.planes
            # Many losses or settings: a picture of each once for each data set.
            and not ((of_paper_b or of_settings) and nth in later)
        ),
        variances=tuple(variance_figure(part, f"variance-{nth}") for nth, part in numbered if part.class_variances),
        trainings=tuple(training_figure(part, f"training-{nth}") for nth, part in numbered if part.curves),
        cards=loss_cards(summary),
        response=response_figure(summary, "response"),
        differences=tuple(differences_tables(summary)),
        populations=populations(summary),
        bands=bands_table(summary),
        caveats=tuple(caveats(summary)),
        folded=frozenset(f"{name}-{nth}" for nth in later for name in ("plane", "variance", "training")),
    )


@cache
def glossary() -> Mapping[str, Mapping[str, str]]:
    """Term -> its label and text."""
    return tomllib.loads((files("losscope.report") / "glossary.toml").read_text(encoding="utf-8"))
