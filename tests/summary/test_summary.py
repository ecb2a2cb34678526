"""The summary's numbers against an independent reading of the table."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.report import summarize, write_report
from losscope.summary.measures import COMPARED, INTRA_TRAIN, MEASURES, RECALL_1
from losscope.summary.subjects import HUES, subjects
from losscope.summary.types import Comparison
from planted import set_values

LAST = 3


def expected(values: Any, folder: Any, measure: Any, epoch: int, **loss: Any) -> list[float]:
    split = {"train": "train", "evaluation": "heldout", "training": None}[measure.where]
    wanted = {"diagnostic": measure.diagnostic, "split": split, "item": measure.item, **loss}
    if measure.when == "mean over epochs":
        each = [values(folder, epoch=one, **wanted) for one in range(1, epoch + 1)]
        return np.mean(each, axis=0).tolist()
    found: list[float] = values(folder, epoch=0 if measure.when == "start" else epoch, **wanted)
    return found


def test_every_estimate_is_of_the_tables_rows(write_record: Any, values: Any) -> None:
    folder = write_record()
    comparison = summarize(folder).comparisons[0]
    assert len(comparison.estimates) > 60
    for (subject, key), estimate in comparison.estimates.items():
        measure = next(measure for measure in MEASURES if measure.key == key)
        loss = {"loss": subject.loss, "variant": subject.variant}
        if subject.kind == "untrained":
            loss = {"loss": "contrastive", "variant": ""}
        rows = expected(values, folder, measure, LAST if subject.kind == "trained" else 0, **loss)
        assert list(estimate.values.values()) == pytest.approx(rows)
        assert estimate.interval is not None
        assert estimate.interval.mean == pytest.approx(np.mean(rows))
        half = stats.t.ppf(0.975, len(rows) - 1) * stats.sem(rows)
        bounds = np.mean(rows) - half, np.mean(rows) + half
        assert (estimate.interval.low, estimate.interval.high) == pytest.approx(bounds)


def test_curves_are_of_the_tables_rows(write_record: Any, values: Any) -> None:
    folder = write_record()
    comparison = summarize(folder).comparisons[0]
    for (subject, key), curve in comparison.curves.items():
        diagnostic, where, _ = key.split("/")
        assert curve.epochs == (0, 1, 2, 3)
        for epoch, point in zip(curve.epochs, curve.points, strict=True):
            rows = values(folder, loss=subject.loss, variant=subject.variant, diagnostic=diagnostic, epoch=epoch,
                          split=None if where == "training" else where)  # fmt: skip
            assert (point.mean, point.n) == (pytest.approx(np.mean(rows)), 5)


def test_a_loss_that_never_decays_is_censored(write_record: Any, set_values: Any) -> None:
    never = set_values(lambda row: None if row["seed"] < 2 else 7.0, diagnostic="loss_decay_epoch")
    comparison = summarize(write_record(edit=never)).comparisons[0]
    estimate = comparison.estimates[comparison.trained[0], "loss_decay_epoch/training/last"]
    assert (estimate.never, estimate.values, estimate.interval) == ((0, 1), {2: 7.0, 3: 7.0, 4: 7.0}, None)


def test_an_undefined_measurement_is_left_out(write_record: Any, set_values: Any) -> None:
    hole = set_values(lambda row: None if row["seed"] == 2 else row["value"], diagnostic="map_at_r", epoch=LAST)
    comparison = summarize(write_record(edit=hole)).comparisons[0]
    assert list(comparison.estimates[comparison.trained[0], "map_at_r/evaluation/last"].values) == [0, 1, 3, 4]


def test_differences_are_paired_and_adjusted_over_pairs_and_data(write_record: Any, values: Any) -> None:
    folder = write_record(datasets=[{"name": "synthetic"}, {"name": "digits"}])
    summary = summarize(folder)
    family = [found for found in summary.differences if found.measure == RECALL_1]
    assert len(family) == 3 * 2
    assert {found.family for found in family} == {6}
    raw = []
    for found in family:
        one, other = (
            values(folder, dataset=found.comparison.dataset, loss=subject.loss, variant=subject.variant, epoch=LAST,
                   diagnostic="recall_at_k", item=1, split="heldout")
            for subject in (found.first, found.second)
        )  # fmt: skip
        test = stats.ttest_rel(other, one)
        assert found.paired.interval.mean == pytest.approx(np.mean(np.subtract(other, one)))
        assert found.paired.p == pytest.approx(test.pvalue)
        raw.append(test.pvalue)
    highest = 0.0
    for place, index in enumerate(np.argsort(raw)):
        highest = max(highest, min(1.0, (6 - place) * raw[index]))
        assert family[index].adjusted_p == pytest.approx(highest)
    assert {found.measure for found in summary.differences} == set(COMPARED)


@pytest.mark.parametrize(("seeds", "verdicts"), [(12, {"cannot tell yet"}), (13, {"larger", "smaller"})])
def test_verdicts_wait_for_thirteen_seeds(write_record: Any, set_values: Any, seeds: int, verdicts: set[str]) -> None:
    level = {"contrastive": 0.2, "triplet": 0.8}
    apart = set_values(
        lambda row: level.get(row["loss"], 0.5) + 0.1 * (row["variant"] == "squared=true") + 0.001 * row["value"],
        diagnostic="recall_at_k",
        epoch=LAST,
    )
    summary = summarize(write_record(seeds=seeds, edit=apart))
    assert {found.verdict for found in summary.differences if found.measure == RECALL_1} <= verdicts


def test_verdicts_are_about_the_region_over_the_whole_family(write_record: Any, set_values: Any, values: Any) -> None:
    folder = write_record(seeds=13, datasets=[{"name": "synthetic"}, {"name": "digits"}])
    for measure in (RECALL_1, INTRA_TRAIN):
        family = [found for found in summarize(folder).differences if found.measure == measure]
        assert len(family) == 6
        for found in family:
            one, other = (
                np.array(values(folder, dataset=found.comparison.dataset, loss=subject.loss, variant=subject.variant,
                                epoch=LAST, diagnostic=measure.diagnostic, item=measure.item,
                                split="heldout" if measure is RECALL_1 else "train"))
                for subject in (found.first, found.second)
            )  # fmt: skip
            effects = other - one if measure is RECALL_1 else np.log(other) - np.log(one)
            edge = 0.01 if measure is RECALL_1 else np.log(1.1)
            half = stats.t.ppf(1 - 0.05 / 6 / 2, 12) * stats.sem(effects)
            low, high = effects.mean() - half, effects.mean() + half
            assert found.simultaneous is not None
            assert (found.simultaneous.low, found.simultaneous.high) == pytest.approx((low, high))
            expected = {"larger": low > edge, "smaller": high < -edge, "equivalent": -edge < low and high < edge}
            assert found.verdict == next((name for name, holds in expected.items() if holds), "cannot tell")
            assert found.population == "other draws of the data and seeds"


def test_a_variance_of_zero_has_no_verdict(write_record: Any, set_values: Any) -> None:
    collapsed = set_values(lambda row: 0.0 if row["loss"] == "contrastive" else row["value"],
                           diagnostic="intra_class_variance_mean", split="train")  # fmt: skip
    summary = summarize(write_record(seeds=13, edit=collapsed))
    found = [part for part in summary.differences if part.measure == INTRA_TRAIN]
    told = {part.first.loss == "contrastive": (part.simultaneous is None, part.effect is None) for part in found}
    assert told == {True: (True, True), False: (False, False)}
    assert {part.verdict for part in found if part.first.loss == "contrastive"} == {"cannot tell"}


def test_the_fitted_preset_is_no_headline_where_another_protocol_is(write_record: Any) -> None:
    protocols = [{"name": "best_fit", "epochs": 2}, {"name": "as_run", "epochs": 2}]
    both = summarize(write_record("both", protocols=protocols))
    assert [part.protocol for part in both.comparisons] == ["as_run", "best_fit"]
    assert [part.protocol for part in both.headline] == ["as_run"]
    alone = summarize(write_record("alone", protocols=protocols[:1]))
    assert [part.protocol for part in alone.headline] == ["best_fit"]


def test_data_drawn_for_each_seed_are_known(write_record: Any) -> None:
    def of(name: str, **settings: Any) -> Comparison:
        return summarize(write_record(name, **settings)).comparisons[0]

    assert of("drawn").drawn_per_seed
    assert not of("shared", fingerprint="one and the same").drawn_per_seed
    assert not of("one_seed", seeds=1).drawn_per_seed


@pytest.mark.parametrize("losses", [("triplet",), ("contrastive", "triplet")])
def test_data_that_changed_after_some_seeds_are_not_drawn_for_each(write_record: Any, losses: tuple[str, ...]) -> None:
    folder = write_record(fingerprint="one and the same")
    for path in folder.glob("groups/*/runs.json"):
        runs = json.loads(path.read_text())
        changed = [
            {**run, "data_fingerprint": "another"} if run["loss"] in losses and run["seed"] < 3 else run for run in runs
        ]
        path.write_text(json.dumps(changed))
    (comparison,) = summarize(folder).comparisons
    assert len({run.data_fingerprint for run in comparison.runs}) == 2
    assert not comparison.drawn_per_seed


def test_classes_without_a_value_after_the_last_epoch_are_in_no_figure(write_record: Any) -> None:
    def edit(lost: Any) -> Any:
        return lambda rows: [row for row in rows if row["diagnostic"] != "intra_class_variance" or not lost(row)]

    def of(name: str, lost: Any, **settings: Any) -> dict[str, Any]:
        folder = write_record(name, edit=edit(lost), **settings)
        write_report(folder)
        return {row.label: classes for row, classes in summarize(folder).comparisons[0].class_variances.items()}

    def last(row: Any) -> bool:
        return bool(row["epoch"] == LAST)

    for name, shared in (("drawn", {}), ("same", {"fingerprint": "one and the same"})):
        assert set(of(name, last, **shared)) == {"raw input", "untrained network"}
        one = of(f"{name}_one", lambda row: last(row) and row["loss"] == "contrastive", **shared)
        assert "contrastive" not in one
        assert len(one) == 4
        seed = of(f"{name}_seed", lambda row: last(row) and row["loss"] == "contrastive" and row["seed"] == 0, **shared)
        assert {0} == set(seed["raw input"][0]) - set(seed["contrastive"][0])
    undefined = write_record("undefined", edit=set_values(lambda row: math.nan, diagnostic="intra_class_variance"))
    write_report(undefined)
    assert summarize(undefined).comparisons[0].class_variances == {}


def test_features_are_no_raw_input(write_record: Any) -> None:
    data = [{"name": "cifar10", "label": "cifar10"}, {"name": "cifar10", "label": "frozen", "backbone": "some_net"}]
    summary = summarize(write_record(datasets=data))
    assert [part.subjects[0].label for part in summary.comparisons] == ["raw input", "frozen features"]


def test_the_seven_losses_have_a_color_and_a_symbol_each_and_variants_share_them() -> None:
    found = subjects([(loss, variant) for loss in reversed(HUES) for variant in ("a=1", "a=2", "a=3", "a=4")])
    assert list(dict.fromkeys(subject.loss for subject in found)) == [
        "contrastive", "triplet", "n_pair", "info_nce", "arcface", "sup_con", "center_contrastive"
    ]  # fmt: skip
    assert len({subject.color for subject in found}) == len({subject.symbol for subject in found}) == 28
    assert [subject.color for subject in found[::4]] == list(HUES.values())
    for start in range(0, 28, 4):
        assert len({subject.symbol.removesuffix("-dot").removesuffix("-open") for subject in found[start:][:4]}) == 1


def test_one_order_and_one_color_each() -> None:
    found = subjects([("mine", ""), ("triplet", "squared=true"), ("contrastive", ""), ("triplet", "squared=false")])
    assert [subject.label for subject in found] == [
        "contrastive",
        "triplet squared=false",
        "triplet squared=true",
        "mine",
    ]
    assert [subject.color for subject in found[:2]] == [HUES["contrastive"], HUES["triplet"]]
    assert len({subject.color for subject in found}) == len({subject.symbol for subject in found}) == 4
    assert found[1].dash != found[2].dash
