"""The seven losses of paper B: what each does, side by side, from the rows."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from losscope.checks import findings
from losscope.report import summarize, write_report
from losscope.report.caveats import caveats
from losscope.report.paper_b import PaperB, paper_b
from losscope.report.paper_b.limits import limits
from losscope.report.tables import Table
from losscope.summary.measures import INTRA, RECALL_1, RECALL_1_VALIDATION
from losscope.summary.subjects import HUES
from losscope.summary.types import Summary

LAST = 3


def of_seven(folder: Any) -> tuple[Summary, PaperB]:
    summary = summarize(folder)
    shown = paper_b(summary)
    assert shown is not None
    return summary, shown


def cells(table: Table, label: str) -> list[str]:
    (row,) = [row for group in table.groups for row in group.rows if row.label == label]
    return list(row.cells)


def test_two_losses_are_no_study_of_paper_b(write_record: Any, write_seven: Any) -> None:
    assert paper_b(summarize(write_record())) is None
    three = [{"name": name} for name in ("contrastive", "triplet", "n_pair")]
    assert paper_b(summarize(write_seven("three", losses=three))) is None
    assert paper_b(summarize(write_seven("four", losses=[*three, {"name": "arcface"}]))) is not None
    shuffled = [{"name": "random", "epochs": 3, "labels": "shuffled"}]
    assert paper_b(summarize(write_seven("shuffled", protocols=shuffled))) is None


def test_the_report_leaves_out_what_was_not_measured(write_record: Any, write_seven: Any) -> None:
    _, shown = of_seven(write_seven(full=False))
    place = shown.places[0]
    assert (place.tradeoff, place.greediness, place.flips, place.budget) == (None, None, None, None)
    assert "compaction epoch" not in [column.label for column in place.losses.columns]
    write_report(write_seven("again", full=False))


def test_the_active_ratio_of_a_softmax_is_1_by_construction(write_seven: Any, set_values: Any) -> None:
    measured = {"arcface": 0.7, "triplet": 0.4}
    edit = set_values(lambda row: measured.get(row["loss"], 1.0), diagnostic="active_ratio", split=None, epoch=LAST)
    _, shown = of_seven(write_seven(edit=edit))
    table = shown.places[0].losses
    at = [column.label for column in table.columns].index("active ratio")
    assert cells(table, "sup_con (SCL)")[at] == "1 by construction"
    assert cells(table, "arcface")[at] == "1 by construction [measured 0.7000]"
    assert cells(table, "triplet squared=false")[at].startswith("0.400 [")


def test_losses_stand_under_both_names_with_every_interval(write_seven: Any) -> None:
    _, shown = of_seven(write_seven())
    table = shown.places[0].losses
    assert [row.label for row in table.groups[0].rows] == [
        "raw input", "whitened features", "untrained network", "contrastive", "triplet squared=false", "triplet squared=true",
        "n_pair", "info_nce temperature=0.07", "info_nce temperature=0.1", "arcface", "sup_con (SCL)",
        "center_contrastive (CCL) center_weight=0.0", "center_contrastive (CCL) center_weight=1.0",
    ]  # fmt: skip
    assert len(table.columns) == 15
    for row in table.groups[0].rows[3:]:
        assert sum("[" in cell or "by construction" in cell for cell in row.cells) == 14
        assert row.cells[-1] == "5"


def test_an_excess_that_never_decays_is_censored(write_seven: Any, set_values: Any) -> None:
    never = set_values(lambda row: None, diagnostic="loss_decay_epoch_excess")
    _, shown = of_seven(write_seven(edit=never))
    table = shown.places[0].losses
    at = [column.label for column in table.columns].index("above the floor")
    assert cells(table, "n_pair")[at] == "> 3; never in 5 of 5"


def test_a_loss_that_loosens_classes_never_compacts(write_seven: Any, set_values: Any) -> None:
    looser = set_values(
        lambda row: 0.9 if row["loss"] == "arcface" or (row["loss"] == "n_pair" and row["seed"] == 1) else row["value"],
        diagnostic="intra_inter_ratio",
        split="heldout",
        epoch=LAST,
    )
    summary, shown = of_seven(write_seven(edit=looser))
    table = shown.places[0].losses
    at = [column.label for column in table.columns].index("compaction epoch")
    assert cells(table, "arcface")[at] == "> 3; never in 5 of 5"
    assert cells(table, "n_pair")[at].endswith("; never in 1 of 5")
    figure = shown.places[0].tradeoff
    assert figure is not None
    assert figure.caption.endswith("Not here, because in some seeds they never compact: n_pair, arcface.")
    assert {subject.loss for subject in figure.legend} == {"none", "untrained", *HUES} - {"arcface", "n_pair"}
    estimate = summary.comparisons[0].estimates[
        summary.comparisons[0].representatives[2], "compaction_epoch/evaluation/last"
    ]
    assert (estimate.never, sorted(estimate.values)) == ((1,), [0, 2, 3, 4])


def test_orders_that_flip_are_read_from_the_rows(write_seven: Any, set_values: Any) -> None:
    activity = {
        "contrastive": {1: 0.5, 2: 0.6, 3: 0.7},
        "info_nce": {1: 0.1, 2: 0.3, 3: 0.9},  # overtakes contrastive at the last threshold
        "triplet": {1: 0.2, 2: 0.2, 3: 0.2},
    }
    losses = [{"name": name} for name in ("contrastive", "triplet", "info_nce", "sup_con")]
    edit = set_values(
        lambda row: activity.get(row["loss"], {1: 0.9, 2: 0.95, 3: 0.99})[row["item"]] + 0.001 * (row["seed"] % 2),
        diagnostic="relative_activity",
        epoch=LAST,
    )
    _, shown = of_seven(write_seven(losses=losses, edit=edit))
    found = shown.places[0].flips
    assert found is not None
    assert [(flip.first.loss, flip.second.loss, flip.clear) for flip in found.found] == [
        ("contrastive", "info_nce", True),
        ("triplet", "info_nce", True),
    ]
    assert found.sentence.startswith("The order by relative activity flips with the threshold in 2 of 6 pairs of losses, "
                                     "clearly in 2: contrastive and info_nce; triplet and info_nce.")  # fmt: skip
    assert found.table is not None
    assert cells(found.table, "contrastive − info_nce")[0].startswith("+0.4")
    assert cells(found.table, "contrastive − info_nce")[2].startswith("−0.2")


def test_one_order_at_all_thresholds_is_said_so(write_seven: Any, set_values: Any) -> None:
    order = list(HUES)
    edit = set_values(
        lambda row: 0.1 * order.index(row["loss"]) + 0.01 * len(row["variant"]), diagnostic="relative_activity"
    )
    _, shown = of_seven(write_seven(edit=edit))
    found = shown.places[0].flips
    assert found is not None
    assert found.table is None
    assert (
        found.sentence == "Every one of 45 pairs of losses has the same order by relative activity at all thresholds."
    )


TUNED = [{"name": name, "scale": [1.0, 2.0, 3.0]} for name in ("contrastive", "triplet", "n_pair", "arcface")]


def validated(best: dict[str, float], losses: Any = None) -> Any:
    """Recall@1: the best variant on validation classes is the worst on the evaluation split."""

    def edit(rows: Any) -> Any:
        for row in rows:
            if row["diagnostic"] == "recall_at_k" and row["item"] == 1 and row["epoch"] == LAST:
                chosen = row["variant"] == f"scale={best[row['loss']]}"
                high = chosen == (row["split"] == "validation")
                yield {**row, "value": (0.8 if high else 0.4) + 0.001 * row["seed"]}
            else:
                yield row

    return edit


BEST = {"contrastive": 2.0, "triplet": 3.0, "n_pair": 2.0, "arcface": 2.0}


def test_the_tuned_variant_is_chosen_on_validation_and_shown_on_the_evaluation_split(write_seven: Any) -> None:
    folder = write_seven(losses=TUNED, validation=True, edit=validated(BEST))
    summary, shown = of_seven(folder)
    (comparison,) = summary.comparisons
    assert comparison.tuned
    assert comparison.evaluation == "heldout"
    assert {one.loss: one.variant for one in comparison.representatives} == {
        loss: f"scale={value}" for loss, value in BEST.items()
    }
    assert shown.tuned is not None
    row = cells(shown.tuned, "triplet")
    assert row[:2] == ["scale=3.0", "3"]
    assert row[2].startswith("0.802")
    assert row[3].startswith("0.402")
    assert shown.tuned.notes[0].endswith("every loss had 3 variants to be chosen from.")
    assert shown.tuned.notes[1].endswith("so that others may do better: triplet scale = 3.")
    # Neither leads nor differences are of variants that were not chosen.
    assert {one.variant for found in summary.differences for one in (found.first, found.second)} <= {
        "scale=2.0",
        "scale=3.0",
    }
    assert len(comparison.trained) == 12
    assert comparison.get(comparison.trained[0], RECALL_1_VALIDATION)
    assert [found.fired for found in findings(summary) if found.check.code == "unequal-budgets"] == [False]


def test_unequal_budgets_are_warned_of(write_seven: Any) -> None:
    losses = [{"name": "contrastive", "scale": [2.0, 3.0]}, *TUNED[1:]]
    summary, shown = of_seven(write_seven(losses=losses, validation=True, edit=validated(BEST)))
    assert shown.tuned is not None
    assert "unequal budgets" in shown.tuned.notes[0]
    (found,) = [found for found in findings(summary) if found.check.code == "unequal-budgets"]
    assert found.sentences[1].endswith("contrastive 2, triplet 3, n_pair 3, arcface 3.")


def test_what_tuning_does_not_tell_is_said(write_seven: Any) -> None:
    tuned = caveats(summarize(write_seven(losses=TUNED, validation=True, edit=validated(BEST))))
    assert any(sentence.startswith("Which loss is better with other settings: each was tuned") for sentence in tuned)
    assert not any("which flatters it" in sentence for sentence in tuned)
    variants = caveats(summarize(write_seven("variants")))
    assert any(sentence.endswith("picked by the numbers that are shown, which flatters it.") for sentence in variants)


def test_validation_classes_that_are_trained_on_tune_nothing(write_seven: Any) -> None:
    def same_classes(rows: Any) -> Any:
        for row in rows:
            of_class = row["diagnostic"] == "intra_class_variance" and row["item"] >= 100
            yield {**row, "item": row["item"] - 100} if of_class else row

    summary, shown = of_seven(write_seven(losses=TUNED, validation=True, edit=same_classes))
    assert not summary.comparisons[0].tuned
    assert shown.tuned is None


PROTOCOLS = [
    {"name": "other", "epochs": 2},
    {"name": "given", "epochs": 3},
    {"name": "random", "epochs": 3, "labels": "shuffled"},
]


def test_shuffled_labels_are_a_baseline_and_nothing_else(write_seven: Any, values: Any) -> None:
    folder = write_seven(protocols=PROTOCOLS)
    summary, shown = of_seven(folder)
    assert [part.protocol for part in summary.comparisons] == ["other", "given", "random"]
    assert [part.shuffled for part in summary.comparisons] == [False, False, True]
    assert {found.comparison.protocol for found in summary.differences} == {"other", "given"}
    assert [part.protocol for part in summary.headline] == ["other", "given"]
    table = shown.places[1].baselines
    assert "labels shuffled: protocol random, 3 epochs" in table.groups[0].label
    labels = [row.label for row in table.groups[0].rows]
    assert labels[:5] == [
        "raw input",
        "whitened features",
        "untrained network",
        "contrastive",
        "contrastive, labels shuffled",
    ]
    mean = np.mean(
        values(folder, protocol="random", loss="n_pair", diagnostic="recall_at_k", item=1, epoch=3, split="heldout")
    )
    assert float(cells(table, "n_pair, labels shuffled")[0].split()[0]) == pytest.approx(mean, abs=0.001)


def test_the_trade_off_has_a_point_with_bars_for_every_variant(write_seven: Any) -> None:
    summary, shown = of_seven(write_seven())
    figure = shown.places[0].tradeoff
    assert figure is not None
    comparison = summary.comparisons[0]
    for panel, measure in zip(figure.panels, (RECALL_1, INTRA), strict=True):
        points = [trace for trace in panel.traces if trace["mode"] == "markers"]
        assert len(points) == len(comparison.trained) == 10
        for subject, trace in zip(comparison.trained, points, strict=True):
            found = comparison.interval(subject, measure)
            assert found is not None
            assert found.high is not None
            assert trace["y"][0] == pytest.approx(found.mean, rel=1e-4)
            assert trace["error_y"]["array"][0] == pytest.approx(found.high - found.mean, rel=1e-3)
            assert trace["error_x"]["visible"]


def test_the_budget_is_what_the_rows_say(write_seven: Any, values: Any) -> None:
    folder = write_seven()
    _, shown = of_seven(folder)
    figure = shown.places[0].budget
    assert figure is not None
    (panel,) = figure.panels
    place = panel.traces[0]["y"].index("arcface")
    for trace, name in zip(
        panel.traces, ("within_variance", "between_variance", "mean_resultant_squared"), strict=True
    ):
        rows = values(folder, loss="arcface", diagnostic=name, epoch=LAST, split="heldout")
        assert trace["x"][place] == pytest.approx(np.mean(rows), rel=1e-4)
    assert len(panel.traces[0]["y"]) == len(set(panel.traces[0]["y"])) == 13


def test_limits_name_what_is_here(write_seven: Any) -> None:
    data = [{"name": "cars196", "label": "cars196/class_disjoint", "backbone": "efficientnet_lite0"}]
    summary = summarize(write_seven(datasets=data))
    said = " ".join(limits(summary, summary.comparisons))
    for words in ("no formula", "a documented reading", "backbone is efficientnet_lite0", "only its official training half",
                  "cars196/class_disjoint: fresh_draw"):  # fmt: skip
        assert words in said
    other = summarize(write_seven("other", datasets=[{"name": "cifar10", "backbone": "vit_b32"}]))
    assert "backbone is" not in " ".join(limits(other, other.comparisons))


def test_pages_and_json_carry_the_same_numbers(write_seven: Any) -> None:
    data = [{"name": "cub200", "label": "cub200/class_disjoint"}]
    folder = write_seven(datasets=data, protocols=PROTOCOLS)
    page, text = (path.read_text() for path in write_report(folder))
    document = json.loads((folder / "report.json").read_text())["paper_b"]
    _, shown = of_seven(folder)
    plain = re.sub(r"<[^>]+>", "", page)
    for table in (shown.places[1].losses, shown.places[1].geometry):
        for row in (row for group in table.groups for row in group.rows):
            for cell in row.cells:
                assert cell.replace("<", "&lt;").replace("|", "\\|") in text
                assert cell.replace("<", "&lt;").replace(">", "&gt;") in plain
    assert {found["diagnostic"] for found in document["profiles"]} == {
        "gradient_share_curve",
        "relative_activity",
        "pair_weight",
    }
    assert document["limits"] == list(shown.limits)
