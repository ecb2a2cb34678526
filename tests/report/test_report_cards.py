"""The section of loss cards: every loss of the report at its own settings and batches, the same in every form."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from losscope.cards import CARDS, Composition, card
from losscope.report import summarize, write_report
from losscope.report.cards import loss_cards, uses
from losscope.report.content import content
from losscope.study import Batch
from losscope.summary.carded import composition
from losscope.summary.formatting import number

SEVEN = [{"name": name} for name in CARDS]


@pytest.mark.parametrize(
    ("batch", "loss", "expected"),
    [
        ({"sampling": "all_in_batch", "samples": 60}, "sup_con", Composition(10, 6, 10)),
        ({"sampling": "one_tuple", "terms": 60}, "info_nce", Composition(10, 6, 10, "one_tuple")),
        ({"sampling": "one_plus_one", "terms": 60}, "contrastive", Composition(10, 6, 10, "one_tuple")),
        (
            {"sampling": "all_in_batch", "samples": 60, "balance": "sides"},
            "contrastive",
            Composition(10, 6, 10, "one_tuple"),
        ),
        ({"sampling": "all_in_batch", "classes": 8, "per_class": 4}, "triplet", Composition(10, 4, 8)),
        (
            {"sampling": "customary", "partners": "batch", "classes": 8, "per_class": 4},
            "sup_con",
            Composition(10, 4, 8),
        ),
        (
            {"sampling": "customary", "partners": "batch", "classes": 8, "per_class": 4},
            "info_nce",
            Composition(10, 4, 8, "one_tuple"),
        ),
        ({"sampling": "all_in_batch", "samples": 12}, "info_nce", Composition(10, 2, 6)),
    ],
)
def test_a_protocols_batches(batch: dict[str, Any], loss: str, expected: Composition) -> None:
    assert composition(Batch(**batch), 10, CARDS[loss]) == expected


def test_cards_are_the_same_in_every_form(write_record: Any) -> None:
    protocol = {"name": "pk", "epochs": 2, "batch": {"sampling": "all_in_batch", "classes": 3, "per_class": 5}}
    folder = write_record(losses=SEVEN, protocols=[protocol])
    page, text = (path.read_text() for path in write_report(folder))
    document = {entry["loss"]: entry for entry in json.loads((folder / "report.json").read_text())["cards"]}
    assert set(document) == set(CARDS)
    shape = {"classes": 4, "per_class": 5, "batch_classes": 3}
    for name, found in CARDS.items():
        values = (
            found.floor(**shape),
            found.collapse_value(**shape),
            found.random_value(**shape),
            found.random_value(dim=32, **shape),
        )
        entry = document[name]
        assert (entry["floor"], entry["collapse_value"], entry["random_value"]) == (*values[:2], values[3])
        assert entry["composition"] == {**shape, "sampling": "all_in_batch", "dim": 32}
        assert "curve" not in entry
        block = re.search(rf'<details class="more" id="card-{name}">(.*?)</details>', page, flags=re.S)
        assert block
        assert found.title in block[1]
        assert all(f">{number(value)}</td>" in block[1] for value in (*values, found.bound()))
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} | {number(values[0])} |"))
        assert row.split(" | ")[1:6] == [number(value) for value in (*values, found.bound())]
        assert found.equation in text
    assert "3 of 4 classes x 5 samples, all in batch, embeddings of 32 dimensions" in text


def test_variants_and_settings_stand_in_one_card(write_record: Any) -> None:
    one = write_record("one", losses=[{"name": "triplet", "margin": 1.0, "squared": [False, True]}])
    other = write_record("other", losses=[{"name": "triplet", "margin": 2.4, "squared": [False, True]}])
    (shown,) = loss_cards(summarize([one, other]))
    rows = [row for group in shown.numbers.groups for row in group.rows]
    assert [row.label for row in rows] == [
        "triplet squared=false",
        "triplet squared=true",
        "triplet squared=false (margin = 2.4, squared = False)",
        "triplet squared=true (margin = 2.4, squared = True)",
    ]
    floors = [
        card("triplet", margin=margin, squared=squared).floor(classes=4)
        for margin in (1.0, 2.4)
        for squared in (False, True)
    ]
    assert [row.cells[0] for row in rows] == [number(floor) for floor in floors]
    margin, squared = (row.cells[0] for row in shown.hyperparameters.groups[0].rows)
    assert (margin, squared) == ("1, 2.4", "false, true")


def test_a_loss_of_ones_own_has_no_card(write_record: Any) -> None:
    shown = content(
        summarize(write_record(losses=[{"name": "contrastive", "margin": 1.0}, {"name": "mine", "margin": 1.0}]))
    )
    assert [one.title for one in shown.cards] == ["Contrastive loss"]
    assert shown.response is not None
    assert len(shown.response.legend) == 1
    only = write_record("only", losses=[{"name": "mine"}])
    assert all("No loss of this report has a card." in path.read_text() for path in write_report(only))


def test_what_has_no_closed_form_is_absent(write_record: Any) -> None:
    folder = write_record(losses=[{"name": "arcface", "scale": 5000.0}, {"name": "n_pair", "unit_length": False}])
    uses_of = {use.subject.loss: use for use in uses(summarize(folder))}
    assert uses_of["arcface"].dim == 32
    shown = {one.title: one.numbers.groups[0].rows[0].cells for one in loss_cards(summarize(folder))}
    assert shown["ArcFace"][3] == "–"
    assert shown["N-pair loss"][4] == "unbounded"
    page, text = write_report(folder)
    assert "unbounded" in page.read_text()
    assert "unbounded" in text.read_text()
    entries = {entry["loss"]: entry for entry in json.loads((folder / "report.json").read_text())["cards"]}
    assert entries["n_pair"]["bound"] is None
    assert entries["arcface"]["composition"]["dim"] is None


def test_the_figure_has_all_losses_on_one_axis(write_record: Any) -> None:
    response = content(summarize(write_record(losses=SEVEN))).response
    assert response is not None
    assert len(response.legend) == 7
    for panel in response.panels[:2]:
        heights = [max(trace["y"]) for trace in panel.traces]
        assert all(0.05 < height <= 1 for height in heights), panel.title
    lowest = {trace["name"]: min(trace["y"]) for trace in response.panels[0].traces}
    assert lowest["sup_con"] < 0  # pushed away once its share is too large
    assert all(level >= 0 for name, level in lowest.items() if name != "sup_con")
