"""How much each factor explains, as bars with intervals: one panel for each measure of each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from losscope.report.contradiction.shares import DECOMPOSITIONS, FAMILY, NOISE, Shares, percent
from losscope.report.figures import Figure, Panel, axis, csv_text, plain, short
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics.decomposition import INTERACTIONS
from losscope.summary.formatting import span
from losscope.summary.subjects import GRAYS, HUES

COLORS = {FAMILY: HUES["triplet"], INTERACTIONS: HUES["info_nce"], **dict.fromkeys(NOISE, GRAYS["input"])}
COVERAGE = (
    "in simulations they cover 95 % of normal effects, but 92 to 94 % of skewed and 81 to 85 % of strongly skewed ones "
    "(docs/statistics.md)."
)
SETTINGS_COLOR = HUES["contrastive"]
"""Of the factors of the settings."""


def shares_figure(found: Sequence[Shares], anchor: str) -> Figure | None:
    """None where nothing was decomposed."""
    if not found:
        return None
    counts = span({len(one.factors.seeds) for one in found})
    return Figure(
        anchor=anchor,
        title="What explains the results: the loss family, or the settings?",
        where=", ".join(dict.fromkeys(one.dataset for one in found)),
        caption="Share of the variance over all settings, both families and all seeds (ω², averaged over the orders in which "
        f"factors can enter), with 95 % intervals over n = {counts} seeds; "
        f"{COVERAGE} Variances and ratios as logarithms. Every setting "
        "counts once for each family. Interactions: what single factors can't explain, above all settings that do to one "
        "family what they don't do to the other. Shares are of these settings, others would give others; settings that differ from "
        "one center are not balanced against each other, so a factor also gets a little of its neighbors.",
        panels=tuple(_panel(one) for one in found),
        legend=(),
        table=_table(found, anchor),
        csv=csv_text(("dataset", "measure", "decomposition", "part", "n", "share", "low", "high"), _rows(found)),
        look="bars",
    )


def _panel(found: Shares) -> Panel:
    parts = found.factors.shares
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": short(max(share.mean, 0.0) for share in parts.values()),
        "y": [plain(name) for name in parts],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": short(max(share.high or 0.0, 0.0) - max(share.mean, 0.0) for share in parts.values()),
            "arrayminus": short(max(share.mean, 0.0) - max(share.low or 0.0, 0.0) for share in parts.values()),
            "thickness": 1.2,
            "width": 3,
        },
        "marker": {"color": [COLORS.get(name, SETTINGS_COLOR) for name in parts]},
        "name": found.measure.label,
    }
    said = "; ".join(f"{name} {percent(share)}" for name, share in parts.items())
    layout = {
        "bargap": 0.25,
        "xaxis": axis("share of the variance", range=[0, 1.01], tickformat=".0%"),
        "yaxis": {"autorange": "reversed", "tickfont": {"size": 11}},
    }
    return Panel(
        f"{found.dataset}: {found.measure.label}", f"Shares of the variance of {found.measure.label} on {found.dataset}: {said}",
        (bar,), layout,
    )  # fmt: skip


def _table(found: Sequence[Shares], anchor: str) -> Table:
    groups = []
    for dataset in dict.fromkeys(one.dataset for one in found):
        of = [one for one in found if one.dataset == dataset]
        parts = dict.fromkeys(name for one in of for name in one.factors.shares)
        rows = []
        for name in parts:
            cells = [
                percent(share) if (share := where.shares.get(name)) else ""
                for where in (*(one.factors for one in of), *(one.deciding for one in of))
            ]
            rows.append(Row(name, tuple(cells)))
        groups.append(Group(f"{dataset}, {of[0].settings} settings, n = {len(of[0].factors.seeds)}", tuple(rows)))
    labels = list(dict.fromkeys(one.measure.label for one in found))
    columns = (*(Column(label, group="of the measure") for label in labels),
               *(Column(label, group="of contrastive − triplet") for label in labels))  # fmt: skip
    caption = (
        "Share of the variance [95 % interval over seeds]: of the measure itself, and of the difference between families. Of the intervals: "
        + COVERAGE
    )
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "part", columns, tuple(groups))


def _rows(found: Sequence[Shares]) -> Iterator[tuple[Any, ...]]:
    for one in found:
        for kind in DECOMPOSITIONS:
            for name, share in getattr(one, kind).shares.items():
                yield one.dataset, one.measure.key, kind, name, share.n, share.mean, share.low, share.high
