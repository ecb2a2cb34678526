"""The paper's tables and the presets' bands: printed numbers as printed, ours beside them, nothing vanishes."""

from __future__ import annotations

from typing import Any

import pytest

from losscope.report import summarize
from losscope.report.bands import bands_table
from losscope.report.content import content, glossary
from losscope.report.paper import paper_tables
from losscope.report.tables import Group, Table
from losscope.summary.formatting import estimate_text
from losscope.summary.measures import MEASURES

PRINTED = {  # table -> data -> loss -> what the paper prints, in order of columns
    1: {"synthetic": {"contrastive": "0.031 6.4e-5 1.2149 0.0710", "triplet": "0.074 1e-4 1.4399 0.0342"},
        "mnist": {"contrastive": "0.0030 0.0001 1.0347 0.0064", "triplet": "0.0059 0.0001 1.4840 0.0047"}},
    2: {name: {"contrastive": "0.65 0.12 27", "triplet": "0.38 0.27 43"} for name in ("synthetic", "mnist", "cifar10")},
    3: {"mnist": {"contrastive": "0.9869", "triplet": "0.9933"}, "cifar10": {"contrastive": "0.8998", "triplet": "0.9371"}},
    4: {"cifar10": {"contrastive": "0.8433 0.9701 0.9899", "triplet": "0.9192 0.9694 0.9793"},
        "cars196": {"contrastive": "0.2542 0.5249 0.6596", "triplet": "0.2982 0.5540 0.6667"},
        "cub200": {"contrastive": "0.3154 0.5489 0.6897", "triplet": "0.3421 0.5876 0.7234"}},
}  # fmt: skip
STUDIES = {"synthetic": "paper_a_synthetic", "mnist": "paper_a_mnist", "cifar10": "paper_a_cifar10",
           "cars196": "paper_a_cars", "cub200": "paper_a_cub"}  # fmt: skip


def column(table: Table, group: Group, row: int, kind: str) -> list[str]:
    cells = zip(table.columns, group.rows[row].cells, strict=True)
    return [cell for column, cell in cells if column.label == kind and cell]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_data_that_were_not_measured_keep_their_numbers(write_record: Any, number: int) -> None:
    table = paper_tables(summarize(write_record(datasets=[{"name": "digits"}])))[number]
    assert len(table.groups) == len(PRINTED[number])
    for group, (name, losses) in zip(table.groups, PRINTED[number].items(), strict=True):
        assert group.label == f"{name}: not measured in this study; run losscope study {STUDIES[name]}"
        for row, (loss, printed) in enumerate(losses.items()):
            assert group.rows[row].label == loss
            assert column(table, group, row, "paper") == printed.split()
            assert column(table, group, row, "measured") == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_measured_numbers_stand_beside_the_papers(write_record: Any, number: int) -> None:
    names = list(PRINTED[number])
    summary = summarize(write_record(datasets=[{"name": name, "label": f"{name}/some_split"} for name in names]))
    table = paper_tables(summary)[number]
    for group, name, comparison in zip(table.groups, names, summary.comparisons, strict=True):
        assert f"{name}/some_split · protocol as_printed" in group.label
        labels = [row.label for row in group.rows]
        trained = [
            "contrastive",
            "triplet squared=false (as in the paper's code)",
            "triplet squared=true (the paper's eq. 2)",
        ]
        assert labels == ([] if number == 2 else ["raw input", "untrained network"]) + trained
        for place, row in enumerate(group.rows):
            printed = PRINTED[number][name].get(row.subject.loss if row.subject else "", "")
            assert column(table, group, place, "paper") == printed.split()
            own = [estimate_text(comparison.estimates[row.subject, key], 3) for key in _keys(number) if row.subject]
            assert column(table, group, place, "measured") == own
            assert row.cells[-1] == "5"


def _keys(number: int) -> list[str]:
    from losscope.report.paper import paper

    return next(entry["columns"] for entry in paper()["table"] if entry["number"] == number)  # type: ignore[no-any-return]


def test_another_data_set_is_not_taken_for_the_papers(write_record: Any) -> None:
    tables = paper_tables(summarize(write_record(datasets=[{"name": "cifar10", "label": "cifar100"}])))
    assert all("not measured" in group.label for table in tables.values() for group in table.groups)


def test_the_train_half_of_cars_is_named(write_record: Any) -> None:
    summary = summarize(write_record(datasets=[{"name": "cars196", "label": "cars196/train_half_closed"}]))
    table = paper_tables(summary)[4]
    assert any("cars196/train_half_closed" in group.label for group in table.groups)
    assert any("train half" in note for note in table.notes)


def test_provenance_is_told(write_record: Any) -> None:
    notes = " ".join(note for table in paper_tables(summarize(write_record())).values() for note in table.notes)
    for fact in ("0.2516", "0.0517", "at epoch 100", "mixes training lengths", "official splits", "eq. (2)"):
        assert fact in notes


def bands(write_record: Any, set_values: Any, protocol: str, epochs: int, levels: Any) -> Table | None:
    edit = set_values(
        lambda row: levels.get((row["loss"] + row["variant"], row["diagnostic"]), row["value"]), split="train"
    )
    name = f"{protocol}{epochs}"
    return bands_table(summarize(write_record(name, protocols=[{"name": protocol, "epochs": epochs}], edit=edit)))


def test_bands_say_inside_and_outside(write_record: Any, set_values: Any) -> None:
    intra = "intra_class_variance_mean"
    levels = {("contrastive", intra): 0.03, ("tripletsquared=false", intra): 0.15}
    table = bands(write_record, set_values, "best_fit", 50, levels)
    assert table is not None
    rows = {(row.label, row.cells[0]): row.cells for row in table.groups[0].rows}
    assert rows["contrastive", "intra-class variance: mean"] == (
        "intra-class variance: mean", "0.02 to 0.045", "0.03000", "[0.03000, 0.03000]", "5", "yes"
    )  # fmt: skip
    assert rows["triplet squared=false", "intra-class variance: mean"][-1] == "no, above"
    over = "triplet squared=false over contrastive"
    assert rows[over, "intra-class variance: mean, ratio of means"][1:3] == ("2.5 to 4.5", "5")
    assert rows[over, "intra-class variance: mean, seeds in which it is larger"][2] == "5 of 5"
    assert len(table.groups[0].rows) == 10


def test_bands_are_of_presets_as_shipped(write_record: Any, set_values: Any) -> None:
    assert bands(write_record, set_values, "best_fit", 3, {}) is None
    assert bands(write_record, set_values, "other", 50, {}) is None
    table = bands(write_record, set_values, "as_run", 100, {})
    assert table is not None
    assert [row.cells[1] for row in table.groups[0].rows] == [
        "0.009 to 0.014", "0.033 to 0.041", "0.58 to 0.66", "0.06 to 0.12"
    ]  # fmt: skip


def test_every_term_is_in_the_glossary(write_record: Any) -> None:
    shown = content(summarize(write_record(protocols=[{"name": "best_fit", "epochs": 50}])))
    tables = [shown.headline.table, shown.overview, shown.losses, shown.protocol, shown.studies, *shown.paper.values(),
              *shown.differences, *(figure.table for figure in shown.figures)]  # fmt: skip
    assert shown.bands is not None
    used = {column.term for table in [*tables, shown.bands] for column in table.columns if column.term}
    assert used | {measure.term for measure in MEASURES} <= glossary().keys()
    assert len(used) > 15


@pytest.mark.parametrize(("data", "split"), [
    ({"name": "synthetic"}, "fresh_draw"),
    ({"name": "mnist"}, "official"),
    ({"name": "cifar10", "label": "cifar10+efficientnet_lite0", "backbone": "efficientnet_lite0"}, "official"),
    ({"name": "cub200", "label": "cub200/class_disjoint"}, "class_disjoint"),
    ({"name": "digits", "label": "mine", "split": "class_disjoint"}, "class_disjoint"),
    ({"name": "features", "label": "mine", "path": "file.npz"}, "given"),
])  # fmt: skip
def test_the_split_protocol_is_named(write_record: Any, data: dict[str, str], split: str) -> None:
    summary = summarize(write_record(datasets=[data], split_protocol=split))
    assert summary.comparisons[0].split_protocol == split
    shown = content(summary)
    assert split in shown.overview.groups[0].label
    row = shown.data.groups[0].rows[0]
    assert row.cells[4].endswith("A note of its reader.")
    options = {key: value for key, value in data.items() if key not in ("name", "label")}
    assert row.cells[3] == ", ".join(f'{key} = "{value}"' for key, value in options.items())
    features = "backbone" in data or data["name"] == "features"
    assert summary.comparisons[0].subjects[0].label == ("frozen features" if features else "raw input")


def test_one_name_with_two_margins_is_told_apart(write_record: Any) -> None:
    one = write_record("one", losses=[{"name": "contrastive", "margin": 1.0}])
    other = write_record("other", losses=[{"name": "contrastive", "margin": 0.5}])
    shown = content(summarize([one, other]))
    assert [row.cells[0] for group in shown.losses.groups for row in group.rows] == ["margin = 1.0", "margin = 0.5"]
    assert shown.response is not None
    assert [subject.label for subject in shown.response.legend] == ["contrastive", "contrastive (margin = 0.5)"]
    push = shown.response.panels[1].traces
    # Cosines from 1 - m²/2 on: 0.5 and 0.875.
    assert [min(x for x, y in zip(trace["x"], trace["y"], strict=True) if y > 0) for trace in push] == [0.52, 0.88]
