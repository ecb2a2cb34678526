"""The map of the contradiction: settings from what runs were told, who is ahead, and what explains it, on planted records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.files import read_json
from losscope.report import summarize, write_report
from losscope.report.contradiction import Contradiction, contradiction
from losscope.report.contradiction.outcomes import Outcome
from losscope.report.contradiction.settings import levels, maps
from losscope.report.contradiction.shares import FAMILY, SETTING, Shares
from losscope.statistics.decomposition import INTERACTIONS, RESIDUAL, SEED
from losscope.studies import load
from losscope.study import Protocol
from losscope.summary.measures import INTRA, RATIO, RECALL_1

SEEDS = 13
LOSSES = [
    {"name": "contrastive", "margin": [0.5, 1.0]},
    {"name": "triplet", "squared": [False], "margin": [0.5, 1.0]},
    {"name": "triplet", "squared": [True], "margin": [1.0]},
]
AT_ONE = ["contrastive margin=1.0", "triplet squared=false,margin=1.0", "triplet squared=true,margin=1.0"]
IN_BATCH = {"sampling": "all_in_batch"}
PROTOCOLS = [
    {"name": "p1", "epochs": 2, "batch": {"sampling": "one_plus_one"}},
    {"name": "p2", "epochs": 2, "batch": IN_BATCH},
    {"name": "p3", "epochs": 2, "batch": {**IN_BATCH, "mining": "batch_hard"}, "loss": AT_ONE[1:]},
    {"name": "p4", "epochs": 2, "batch": {"sampling": "one_plus_one"}, "labels": "clean", "loss": AT_ONE},
    {"name": "p5", "epochs": 4, "batch": {"sampling": "one_plus_one"}, "loss": AT_ONE},
]

Level = Callable[[Mapping[str, Any]], float]


@pytest.fixture
def planted(write_record: Any) -> Callable[..., Contradiction | None]:
    """The map of a record whose held-out Recall@1 (or another diagnostic) is `level(row)` after the last epoch."""

    def write(level: Level, diagnostic: str = "recall_at_k", **settings: Any) -> Contradiction | None:
        def edit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [
                {**row, "value": level(row)}
                if (row["diagnostic"], row["split"]) == (diagnostic, "heldout") and row["epoch"]
                else row
                for row in rows
            ]

        given = {"protocols": PROTOCOLS, "losses": LOSSES, "seeds": SEEDS, "edit": edit, **settings}
        return contradiction(summarize(write_record(**given)))

    return write


def jitter(row: Mapping[str, Any], size: float = 0.002) -> float:
    """A small number that depends on the run alone."""
    return size * float(np.random.default_rng([row["seed"], *row["run"].encode()]).normal())


def outcome(found: Contradiction, title: str, measure: Any = RECALL_1) -> Outcome:
    (one,) = [one for one in found.outcomes if one.setting.title == title and one.measure == measure]
    return one


def share(found: Contradiction, measure: Any = RECALL_1) -> Shares:
    (one,) = [one for one in found.shares if one.measure == measure]
    return one


# settings ---------------------------------------------------------------------------------------------------


def test_settings_are_read_from_what_runs_were_told_and_not_from_names(planted: Any) -> None:
    renamed = [{**protocol, "name": f"zzz{nth}"} for nth, protocol in enumerate(PROTOCOLS)]
    found, same = (planted(jitter, name=name, protocols=which) for name, which in (("a", PROTOCOLS), ("b", renamed)))
    (one,), (other,) = found.maps, same.maps
    assert [setting.levels for setting in one.settings] == [setting.levels for setting in other.settings]
    assert one.center == {"margin": "1", "squared": "no", "sampler": "one_plus_one", "mining": "none", "labels": "given",
                          "updates": "2 epochs"}  # fmt: skip
    assert [setting.title for setting in one.settings] == [
        "the center", "margin 0.5", "squared yes", "sampler all_in_batch", "labels clean", "updates 4 epochs",
        "margin 0.5, sampler all_in_batch", "squared yes, sampler all_in_batch", "squared yes, labels clean",
        "squared yes, updates 4 epochs", "sampler all_in_batch, mining batch_hard",
        "squared yes, sampler all_in_batch, mining batch_hard",
    ]  # fmt: skip


def test_the_partner_of_a_triplet_was_told_the_same_as_far_as_it_knows(planted: Any) -> None:
    (found,) = planted(jitter).maps
    for setting in found.settings:
        pair, triplet = setting.contrastive, setting.triplet
        assert (pair.subject.loss, triplet.subject.loss) == ("contrastive", "triplet")
        mined = setting.levels["mining"] != "none"
        assert pair.comparison.protocol == ("p2" if mined else triplet.comparison.protocol)
        told = [arm.comparison.hyperparameters[arm.subject]["margin"] for arm in (pair, triplet)]
        assert told[0] == told[1] == float(setting.levels["margin"])


def test_every_option_that_decides_a_result_is_a_factor() -> None:
    one = Protocol(name="a", data=("x",), loss=("y",), evaluate_every=3, chunk=1)
    same = Protocol(name="b")
    assert levels(one, {"margin": 1.0}) == levels(same, {"margin": 1.0})
    for change in (
        {"epochs": 7}, {"inputs": "unit_length"}, {"labels": "noisy"}, {"precision": "float64"}, {"model": {"widths": [8]}},
        {"optimizer": {"lr": 0.5}}, {"batch": {"terms": 3}}, {"batch": {"counts": "anchors"}},
        {"batch": {"tuples_per_anchor": 2}}, {"batch": {"outliers": "drop"}}, {"batch": {"partners": "batch"}},
        {"batch": {**IN_BATCH, "balance": "sides"}}, {"batch": {**IN_BATCH, "mining": "semi_hard"}},
        {"batch": {**IN_BATCH, "classes": 4, "per_class": 2}}, {"batch": {**IN_BATCH, "samples": 8}},
    ):  # fmt: skip
        changed: Any = {"name": "a", **change}
        plain: Any = {"name": "a", "batch": IN_BATCH if change.get("batch", {}).get("sampling") else {}}
        assert levels(Protocol(**changed), {}) != levels(Protocol(**plain), {}), change
    assert levels(same, {"margin": 1.0, "own": 2}) != levels(same, {"margin": 1.0, "own": 3})


def test_a_study_without_enough_settings_has_no_map(write_record: Any) -> None:
    assert contradiction(summarize(write_record())) is None
    protocols = [{"name": f"p{nth}", "epochs": nth} for nth in range(1, 10)]
    alone = write_record("alone", protocols=protocols, losses=LOSSES[:1], seeds=2)
    assert contradiction(summarize(alone)) is None


@pytest.mark.parametrize(
    ("name", "settings", "factors"),
    [
        (
            "contradiction",
            31,
            {"margin", "squared", "sampler", "mining", "balance", "labels", "tuples per anchor", "updates"},
        ),
        ("contradiction_cub", 8, {"margin", "squared", "sampler"}),
    ],
)
def test_the_shipped_studies_vary_what_they_say(name: str, settings: int, factors: set[str], write_record: Any) -> None:
    study = load(name).model_dump(mode="json", exclude_none=True)
    folder: Path = write_record(name, datasets=[{"name": one["name"]} for one in study["data"]], losses=study["loss"], seeds=2,
                                protocols=[{**one, "epochs": one["epochs"] // 25 or 1} for one in study["protocol"]])  # fmt: skip
    found = maps(summarize(folder))
    assert [len(one.settings) for one in found] == [settings] * len(study["data"])
    assert all(set(one.factors) == factors for one in found)
    assert all(one.center["margin"] == "1" and one.settings[0].title == "the center" for one in found)


# outcomes ---------------------------------------------------------------------------------------------------


def test_differences_are_contrastive_minus_triplet_paired_by_seed(planted: Any, values: Any, tmp_path: Path) -> None:
    found = planted(lambda row: 0.6 + 0.1 * (row["loss"] == "contrastive") + jitter(row, 0.03))
    one = outcome(found, "margin 0.5")
    told = {"diagnostic": "recall_at_k", "item": 1, "split": "heldout", "epoch": 2, "protocol": "p1"}
    pair = np.array(values(tmp_path / "tiny", loss="contrastive", variant="margin=0.5", **told))
    triplet = np.array(values(tmp_path / "tiny", loss="triplet", variant="squared=false,margin=0.5", **told))
    differences = pair - triplet
    interval = stats.t.interval(0.95, SEEDS - 1, differences.mean(), stats.sem(differences))
    assert one.shown is not None
    assert (one.shown.n, one.shown.mean) == (SEEDS, pytest.approx(differences.mean()))
    assert (one.shown.low, one.shown.high) == pytest.approx(interval)


def test_who_is_ahead_is_said_where_it_is_sure(planted: Any) -> None:
    effect = {"p1": 0.1, "p2": -0.1, "p4": 0.0, "p5": 0.01}
    found = planted(
        lambda row: 0.6 + effect.get(row["protocol"], 0.0) * (row["loss"] == "contrastive") + jitter(row, 0.0005)
    )
    assert outcome(found, "the center").larger == "contrastive"
    assert outcome(found, "sampler all_in_batch").larger == "triplet"
    assert outcome(found, "labels clean").larger == "equal in practice"
    assert outcome(found, "updates 4 epochs").larger == "cannot tell"  # at the edge of the region
    (answer,) = [one for one in found.answers if "Recall@1" in one]
    assert answer.startswith("synthetic, Recall@1: depends on sampler")
    turned = found.sentences[1]  # after what the family explains
    assert "at the center it is larger for contrastive" in turned
    assert "sampler all_in_batch (it is larger for triplet) and labels clean (both are equal in practice)" in turned
    assert turned.endswith("It can't be told after one change: updates 4 epochs.")


def test_ratios_of_variances_are_contrastive_over_triplet(planted: Any) -> None:
    level = lambda row: 0.1 * (0.5 if row["loss"] == "contrastive" else 1.0) * np.exp(jitter(row))  # noqa: E731
    found = planted(level, "intra_class_variance_mean")
    one = outcome(found, "the center", INTRA)
    assert one.shown is not None
    assert one.shown.mean == pytest.approx(0.5, abs=0.01)
    assert {each.larger for each in found.outcomes if each.measure == INTRA} == {"triplet"}
    (answer,) = [one for one in found.answers if "intra-class variance" in one]
    assert "larger for triplet, whatever the setting" in answer


def test_losses_stand_beside_their_untrained_inputs(planted: Any, values: Any, tmp_path: Path) -> None:
    found = planted(lambda row: 0.9 if row["loss"] == "contrastive" else 0.1)
    inputs = values(tmp_path / "tiny", loss="none", protocol="p1", split="heldout", diagnostic="recall_at_k", item=1)
    said = f"synthetic: raw input, without any training: Recall@1 {np.mean(inputs):.4f}. 6 of the 18 losses"
    assert found.sentences[-1].startswith(said)


def test_too_few_seeds_tell_nothing(planted: Any) -> None:
    found = planted(lambda row: 0.6 + 0.1 * (row["loss"] == "contrastive") + jitter(row), seeds=12)
    assert {one.larger for one in found.outcomes} == {"cannot tell"}
    assert "no setting shows a difference" in found.answers[0]


def test_only_seeds_of_equal_data_are_paired_across_protocols(write_record: Any) -> None:
    folder = write_record(protocols=PROTOCOLS, losses=LOSSES, seeds=SEEDS)
    for path in folder.glob("groups/*/runs.json"):
        runs = json.loads(path.read_text())
        for run in runs:
            if run["loss"] == "triplet" and run["seed"] < 6:
                run["data_fingerprint"] = "changed since then"
        path.write_text(json.dumps(runs))
    found = contradiction(summarize(folder))
    assert found is not None
    assert {one.decision.n for one in found.outcomes} == {SEEDS - 6}


def test_a_variance_of_nothing_is_left_out(planted: Any) -> None:
    def level(row: Mapping[str, Any]) -> float:
        return 0.0 if (row["protocol"], row["seed"]) == ("p3", 4) else 0.1 * np.exp(jitter(row))

    found = planted(level, "intra_class_variance_mean")
    counts = {measure: sum(one.measure == measure for one in found.outcomes) for measure in (RECALL_1, INTRA, RATIO)}
    assert counts == {RECALL_1: 12, INTRA: 10, RATIO: 12}
    rows = {row.label: row.cells for row in found.table.groups[0].rows}
    assert rows["sampler all_in_batch, mining batch_hard"][2:4] == ("–", "–")


# shares -----------------------------------------------------------------------------------------------------


def test_shares_find_what_was_planted(planted: Any) -> None:
    """Family and labels alone, and a family that profits from the sampler: sums of squares by hand."""

    def level(row: Mapping[str, Any]) -> float:
        pair = row["loss"] == "contrastive"
        return (
            0.5 + 0.04 * pair + 0.1 * (row["protocol"] == "p4") + 0.2 * (pair and row["protocol"] == "p2") + jitter(row)
        )

    found = planted(level)
    one = share(found)
    table = np.array([[_value(arm, seed) for seed in range(SEEDS)] for setting in found.maps[0].settings
                      for arm in (setting.contrastive, setting.triplet)]).reshape(-1, 2, SEEDS)  # fmt: skip
    centered = table - table.mean()
    total = (centered**2).sum()
    by_family, by_setting = centered.mean((0, 2)), centered.mean((1, 2))
    expected = {
        FAMILY: len(table) * SEEDS * (by_family**2).sum() / total,
        SETTING: 2 * SEEDS * (by_setting**2).sum() / total,
        INTERACTIONS: SEEDS * ((centered.mean(2) - by_family - by_setting[:, None]) ** 2).sum() / total,
    }
    for name, value in expected.items():
        assert one.families.shares[name].mean == pytest.approx(value, abs=0.003), name
    assert one.families.shares[SEED].mean == pytest.approx(0, abs=0.003)
    assert one.families.shares[RESIDUAL].mean < 0.01
    assert sum(each.mean for each in one.factors.shares.values()) == pytest.approx(1)
    told = one.factors.shares
    assert told[FAMILY].mean == pytest.approx(expected[FAMILY], abs=0.003)  # crossed with every setting
    # A factor without an effect gets a little of those that it is not balanced against.
    assert told["labels"].mean > 2 * abs(told["updates"].mean)
    deciding = one.deciding.shares
    assert one.decisive[0] == "sampler"
    assert deciding["sampler"].mean > 3 * max(abs(deciding[name].mean) for name in ("labels", "updates", "margin"))
    told = [round(100 * one.families.shares[name].mean) for name in (FAMILY, SETTING, INTERACTIONS)]
    assert f"explains {told[0]} %" in found.sentences[0]
    assert found.headline.startswith(
        "Of the variance of Recall@1, intra-class variance and intra/inter ratio, the loss family"
    )
    said = ("loss family alone explains", "settings alone explain", "makes of a setting explains")
    for words, value in zip(said, told, strict=True):
        assert f"{words} {value} %" in found.headline


def _value(arm: Any, seed: int) -> float:
    return float(arm.comparison.get(arm.subject, RECALL_1).values[seed])


def test_the_figure_has_a_panel_and_numbers_for_every_measure(planted: Any) -> None:
    found = planted(lambda row: 0.6 + 0.1 * (row["loss"] == "contrastive") + jitter(row))
    figure = found.figure
    assert [panel.title for panel in figure.panels] == [
        "synthetic: Recall@1", "synthetic: intra-class variance", "synthetic: intra/inter ratio"
    ]  # fmt: skip
    bar = figure.panels[0].traces[0]
    assert bar["y"] == list(share(found).factors.shares)
    assert bar["x"][0] == pytest.approx(share(found).factors.shares[FAMILY].mean, rel=1e-4)
    assert all(low >= 0 for low in bar["x"])
    assert figure.csv.count("\n") == 1 + 3 * (5 + 10 + 9)
    assert "n = 13 seeds" in figure.caption
    assert all("81 to 85 % of strongly skewed ones" in text for text in (figure.caption, figure.table.caption))


def test_the_report_shows_the_map_as_page_as_markdown_and_as_json(write_record: Any) -> None:
    folder = write_record(protocols=PROTOCOLS, losses=LOSSES, seeds=SEEDS)
    html, markdown = (path.read_text(encoding="utf-8") for path in write_report(folder))
    document = read_json(folder / "report.json")["contradiction"]
    found = contradiction(summarize(folder))
    assert found is not None
    for sentence in (found.headline, *found.answers, *found.sentences, *found.limits):
        assert sentence in markdown
        assert sentence.replace("'", "&#39;") in html
    assert 'href="#contradiction"' in html
    assert len(document["outcomes"]) == len(found.outcomes) == 3 * 12
    assert {row["of"] for row in document["shares"]} == {"families", "factors", "deciding"}
    center = next(one for one in document["outcomes"] if one["levels"] == document["centers"]["synthetic"])
    assert center["contrastive"] == {"protocol": "p1", "variant": "margin=1.0"}
    assert center["triplet"] == {"protocol": "p1", "variant": "squared=false,margin=1.0"}
    assert center["family"] == 12


def test_a_report_without_a_map_is_silent_about_it(write_record: Any) -> None:
    folder = write_record()
    html = write_report(folder)[0].read_text(encoding="utf-8")
    assert 'id="contradiction"' not in html
    assert read_json(folder / "report.json")["contradiction"] is None
