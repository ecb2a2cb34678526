"""The section on granularity: planted rows that decide its words, tables and tests; reports without it stay as they were."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.report import summarize, write_report
from losscope.report.granularity import Granularity, granularity
from losscope.report.granularity.kept import interval_of, parts
from losscope.report.tables import Table
from losscope.statistics import FEWEST_VARIANTS
from losscope.summary.measures import FINE_RECALL_1, FINE_SHARE_CORRECTED, FINE_WITHIN_1

LAST = 3
LOSSES = [{"name": name} for name in ("contrastive", "triplet", "n_pair", "info_nce", "sup_con")]
KEPT = {"contrastive": 0.03, "triplet": 0.15, "n_pair": 0.25, "info_nce": 0.35, "sup_con": 0.05, "none": 0.4}
SHARES = {"contrastive": 0.04, "triplet": 0.1, "n_pair": 0.2, "info_nce": 0.3, "sup_con": 0.06, "none": 0.6}
FINDS = {"contrastive": 0.5, "triplet": 0.7, "n_pair": 0.8, "info_nce": 0.9, "sup_con": 0.6, "none": 0.95}


def fine(
    kept: dict[str, float] = KEPT,
    shares: dict[str, float] = SHARES,
    finds: dict[str, float] = FINDS,
    *,
    spread: float = 1.0,
) -> Any:
    """An edit that adds the rows of finer labels: levels by loss, with noise over seeds that differs between losses."""

    def edit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        added = []
        for row in rows:
            if row["diagnostic"] != "knn_accuracy":
                continue
            loss = row["loss"]
            wobble = spread * (((row["seed"] + 1) * (2 + list(KEPT).index(loss))) % 7 - 3) / 3
            start = "none" if not row["epoch"] else loss
            for name, item, level, size in (
                ("within_coarse_variance", None, kept[start], 1e-3),
                ("fine_explained_share_corrected", None, shares[start], 2e-3),
                ("fine_explained_share", None, shares[start] + 0.01, 2e-3),
                ("fine_recall_at_k", 1, finds[start], 4e-3),
                ("fine_recall_at_k_within_coarse", 1, finds[start] + 0.01, 4e-3),
                ("fine_map_at_r", None, finds[start] / 2, 2e-3),
            ):
                added.append({**row, "diagnostic": name, "item": item, "value": level + size * wobble})
        return [*rows, *added]

    return edit


def of(write_record: Any, name: str = "coarse", *, seeds: int = 13, edit: Any = None, **settings: Any) -> Granularity:
    folder = write_record(name, **{"losses": LOSSES, "seeds": seeds, "edit": edit or fine(), **settings})
    found = granularity(summarize(folder))
    assert found is not None
    return found


def text(found: Granularity) -> str:
    (answer,) = found.answers
    return " ".join(answer.sentences)


def cells(table: Table, label: str) -> tuple[str, ...]:
    (row,) = [row for group in table.groups for row in group.rows if row.label == label]
    return row.cells


def test_reports_without_fine_labels_have_no_such_section(write_record: Any) -> None:
    folder = write_record("usual")
    assert granularity(summarize(folder)) is None
    html, markdown = write_report(folder)
    assert "ranularity" not in markdown.read_text() + html.read_text().split("<script")[0].split('id="glossary"')[0]
    assert json.loads((folder / "report.json").read_text())["granularity"] is None


def test_the_parts_are_products_run_by_run(write_record: Any) -> None:
    found = of(write_record)
    (comparison,) = found.comparisons
    for subject in comparison.trained:
        own = parts(comparison, subject)
        for seed, total in own["variance"].items():
            assert own["information"][seed] == total * own["share"][seed]
            assert own["information"][seed] + own["nuisance"][seed] == pytest.approx(total)
        shown = interval_of(comparison, subject, "information")
        values = np.array(list(own["information"].values()))
        half = stats.t.ppf(0.975, 12) * values.std(ddof=1) / np.sqrt(13)
        assert shown is not None
        assert shown.low is not None
        assert (shown.mean, shown.low) == pytest.approx((values.mean(), values.mean() - half))


def test_what_rises_together_is_said(write_record: Any) -> None:
    found = of(write_record)
    assert [one.part for one in found.associations] == ["variance", "information", "share"] * 2
    assert [one.measure for one in found.associations] == [FINE_RECALL_1] * 3 + [FINE_WITHIN_1] * 3
    for one in found.associations:
        assert one.decision.verdict == "holds"
        assert one.decision.family == 6
        recalls, kept = (
            [[values[seed] for values in of_losses] for seed in range(13)]
            for of_losses in (
                [found.comparisons[0].get(row, one.measure).values for row in found.comparisons[0].trained],  # type: ignore[union-attr]
                [parts(found.comparisons[0], row)[one.part] for row in found.comparisons[0].trained],
            )
        )
        for seed in range(13):
            assert one.association.values[seed] == pytest.approx(stats.spearmanr(kept[seed], recalls[seed]).statistic)
    said = text(found)
    assert "fine labels explain 4.0 % (contrastive) to 30 % (info_nce), against 60 % in the raw input" in said
    assert "The larger part of what every loss keeps is nuisance." in said
    assert "No loss is shown above the raw input (0.9" in said
    assert said.count("goes with a larger") == 6


def test_variance_that_does_not_help_is_said(write_record: Any) -> None:
    reversed_ = dict(zip(FINDS, [0.9, 0.7, 0.6, 0.5, 0.8, 0.55], strict=True))
    found = of(write_record, edit=fine(finds=reversed_))
    assert all(one.decision.verdict == "does not hold" for one in found.associations)
    assert text(found).count("goes with a smaller") == 6
    assert "contrastive, triplet, n_pair and sup_con are shown above the raw input (0.5" in text(found)


def test_information_and_nuisance_are_told_apart(write_record: Any) -> None:
    shares = {**SHARES, "triplet": 0.7, "n_pair": 0.5, "contrastive": 0.0}
    found = of(write_record, edit=fine(shares=shares))
    assert (
        "The larger part of what is kept is information for triplet, nuisance for contrastive, info_nce and sup_con and neither "
        "for n_pair. No share of information above 0.02 is shown in what contrastive keeps."
    ) in text(found)
    mostly = of(write_record, "mostly", edit=fine(shares=dict.fromkeys(SHARES, 0.8)))
    assert "The larger part of what every loss keeps is information." in text(mostly)


def test_differences_are_paired_and_stand_where_they_stand(write_record: Any) -> None:
    finds = {**FINDS, "sup_con": 0.502, "triplet": 0.4}
    found = of(write_record, edit=fine(finds=finds))
    of_recall = {one.subject.loss: one for one in found.differences if one.measure == FINE_RECALL_1}
    assert {loss: one.standing for loss, one in of_recall.items()} == {
        "triplet": "smaller", "n_pair": "larger", "info_nce": "larger", "sup_con": "equal in practice",
    }  # fmt: skip
    one = of_recall["n_pair"]
    comparison = found.comparisons[0]
    base, other = (comparison.get(row, FINE_RECALL_1) for row in (one.base, one.subject))
    assert base
    assert other
    assert one.decision.effect is not None
    assert one.decision.effect.mean == pytest.approx(np.mean([other.values[s] - base.values[s] for s in range(13)]))
    assert (
        "(n = 13) and over the whole family of 4 differences, fine Recall@1 is higher for n_pair and info_nce, lower for "
        "triplet and equal in practice for sup_con."
    ) in text(found)
    assert found.against is not None
    assert cells(found.against, "n_pair − contrastive")[1] == "larger"
    assert cells(found.against, "n_pair − contrastive")[-1] == "13"


def test_few_seeds_tell_nothing(write_record: Any) -> None:
    found = of(write_record, seeds=5)
    assert {one.standing for one in found.differences} == {"cannot tell"}
    assert {one.decision.verdict for one in found.associations} == {"cannot tell"}
    assert "may or may not go with" in text(found)
    assert "fine Recall@1 is not decided for triplet, n_pair, info_nce and sup_con." in text(found)


@pytest.mark.parametrize("seeds", [1, 2, 12])
def test_below_13_seeds_nothing_is_called_nuisance_or_better(write_record: Any, seeds: int) -> None:
    low = dict(zip(FINDS, [0.9, 0.8, 0.7, 0.85, 0.75, 0.3], strict=True))
    said = text(of(write_record, seeds=seeds, edit=fine(finds=low)))
    needed = f"is not decided: n = {seeds} seeds, and a verdict needs 13."
    assert f"What the larger part of it is, {needed}" in said
    for start in ("raw input", "untrained network"):
        (level,) = re.findall(rf"Which losses are above the {start} \((0\.\d+)\) {needed}", said)
        assert float(level) == pytest.approx(0.3, abs=0.005)
    for word in ("nuisance", "shown", "every loss"):
        assert word not in said


def test_verdicts_are_over_the_seeds_that_both_have(write_record: Any) -> None:
    lost = {("triplet", "", 3): "diverged"}
    low = {**FINDS, "none": 0.3}
    said = text(of(write_record, edit=fine(finds=low), status=lost))
    assert "contrastive, n_pair, info_nce and sup_con are shown above the raw input (0.2" in said
    assert "paired by seed (n = 12–13) and" in said
    assert "nuisance for contrastive, n_pair, info_nce and sup_con and not decided for triplet" in said


@pytest.mark.parametrize(("settings", "whom"), [
    ({}, "other draws of the data and seeds"), ({"fingerprint": "one"}, "other seeds on this split"),
])  # fmt: skip
def test_differences_and_associations_say_for_whom_they_speak(
    write_record: Any, settings: dict[str, str], whom: str
) -> None:
    found = of(write_record, **settings)
    assert {one.decision.population for one in found.differences} == {whom}
    assert {one.decision.population for one in found.associations} == {f"{whom}, for these 5 variants"}


def test_few_losses_have_no_association(write_record: Any) -> None:
    found = of(write_record, losses=LOSSES[: FEWEST_VARIANTS - 1])
    assert found.associations == ()
    assert "Across" not in text(found)


def test_losses_that_all_keep_the_same_have_no_association(write_record: Any) -> None:
    found = of(write_record, edit=fine(kept=dict.fromkeys(KEPT, 0.1), shares=dict.fromkeys(SHARES, 0.1), spread=0.0))
    assert found.associations == ()


def test_without_contrastive_there_is_nothing_to_differ_from(write_record: Any) -> None:
    found = of(write_record, losses=LOSSES[1:])
    assert (found.differences, found.against) == ((), None)
    assert "Against" not in text(found)


def test_undefined_shares_are_left_out(write_record: Any) -> None:
    """Collapsed classes vary no more: there is nothing to explain."""

    def edit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nothing = ("fine_explained_share_corrected", "fine_explained_share")
        return [
            {**row, "value": None}
            if row["loss"] == "sup_con" and row["epoch"] and row["diagnostic"] in nothing
            else row
            for row in fine()(rows)
        ]

    found = of(write_record, edit=edit)
    assert cells(found.kept, "sup_con")[5] == "–"
    assert float(cells(found.kept, "sup_con")[0].split()[0]) == pytest.approx(0.6, abs=0.01)
    assert {one.association.variants for one in found.associations} == {4}


def test_every_number_of_the_table_is_a_mean_of_rows(write_record: Any, values: Any) -> None:
    folder = write_record("coarse", losses=LOSSES, seeds=13, edit=fine())
    found = granularity(summarize(folder))
    assert found is not None
    wanted = {"loss": "n_pair", "epoch": LAST, "split": "heldout"}
    shown = cells(found.kept, "n_pair")
    for place, (name, item) in enumerate(
        (("fine_recall_at_k", 1), ("fine_recall_at_k_within_coarse", 1), ("fine_map_at_r", None), ("recall_at_k", 1),
         ("within_coarse_variance", None), ("fine_explained_share_corrected", None))
    ):  # fmt: skip
        mean = np.mean(values(folder, **wanted, diagnostic=name, item=item))
        assert float(shown[place].split()[0]) == pytest.approx(mean, abs=6e-4)
    assert shown[-1] == "13"
    assert [row.label for row in found.kept.groups[0].rows[:2]] == ["raw input", "untrained network"]


def test_both_pages_and_json_carry_it(write_record: Any) -> None:
    folder = write_record("coarse", losses=LOSSES, seeds=13, edit=fine())
    html, markdown = (path.read_text() for path in write_report(folder))
    for page in (html, markdown):
        assert "is the variance that a loss keeps information or nuisance?" in page
        assert "What this does not tell" in page
    assert '<section id="granularity">' in html
    assert '<a href="#granularity">' in html
    document = json.loads((folder / "report.json").read_text())["granularity"]
    assert [one["verdict"] for one in document["associations"]] == ["holds"] * 6
    assert len(document["differences"]) == 4 * 4
    for one in document["differences"]:  # what decides stands beside the verdict, and no p of another adjustment
        assert one["simultaneous"]["low"] < one["second_minus_first"]["low"]
        assert "p_adjusted" not in one
    keys = {row["measure"] for row in json.loads((folder / "report.json").read_text())["estimates"]}
    assert {FINE_RECALL_1.key, FINE_SHARE_CORRECTED.key} <= keys
